//! `/api/audit/`: what admins and operators changed.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bellpull_domain::ids::UserId;
use bellpull_port::AuditStore;
use bellpull_port::audit::AuditFilter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::openapi as doc;
use super::page::Paging;
use super::query::{Params, moment};
use super::read_turns::InTurn;
use super::responses as res;
use super::routes::Routes;
use super::who::Admin;

/// The longest name of an operation.
const ACTION_MAX: usize = 200;

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(list))
}

/// What admins and operators changed, newest first: one entry for each request that needs their
/// right, without its content. Steps of tickets are in their history.
#[utoipa::path(
    get, path = "/api/audit/", tag = "Audit",
    params(doc::AuditFilters, doc::Paged),
    responses(
        (status = 200, description = "A page of them.", body = res::Page<res::AuditEntry>),
        (status = 403, description = "For admins."),
        doc::TooManyReads,
    )
)]
async fn list(
    State(store): State<Arc<dyn AuditStore>>,
    _: InTurn<Admin>,
    paging: Paging,
    mut params: Params,
) -> Result<Response, ApiError> {
    let filter = AuditFilter {
        user: params.natural("user").map(UserId),
        action: params.bounded("action", ACTION_MAX),
        since: params.parsed("since", |text| moment(text, 0)),
    };
    params.finish()?;
    let page = store.audit(filter, paging.request()).await?;
    paging.show(page, res::AuditEntry::from).await
}
