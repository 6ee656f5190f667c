//! `/api/scheduled/`: scheduled and running sends, for admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bellpull_domain::ids::SendId;
use bellpull_domain::send::SendStatus;
use bellpull_port::SendLog;
use bellpull_port::send_log::CancelSend;
use utoipa_axum::routes;

use super::error::ApiError;
use super::openapi as doc;
use super::page::Paging;
use super::query::Id;
use super::read_turns::InTurn;
use super::responses as res;
use super::routes::Routes;
use super::who::Admin;

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(list)).with(routes!(read, cancel))
}

/// Scheduled and running sends, the earliest due first.
#[utoipa::path(
    get, path = "/api/scheduled/", tag = "Scheduled", params(doc::Paged),
    responses(
        (status = 200, description = "A page of them.", body = res::Page<res::ScheduledSend>),
        (status = 403, description = "For admins."),
        doc::TooManyReads,
    )
)]
async fn list(
    State(log): State<Arc<dyn SendLog>>,
    _: InTurn<Admin>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let page = log.unfinished(paging.request()).await?;
    paging.show(page, res::ScheduledSend::from).await
}

/// A send, by the id that its sender was given: waiting, running, done or cancelled.
#[utoipa::path(
    get, path = "/api/scheduled/{id}/", tag = "Scheduled", params(doc::Id),
    responses(
        (status = 200, description = "How it stands.", body = res::ScheduledSend),
        (status = 403, description = "For admins."),
    )
)]
async fn read(
    State(log): State<Arc<dyn SendLog>>,
    _: Admin,
    Id(id): Id,
) -> Result<Json<res::ScheduledSend>, ApiError> {
    let row = log.send(SendId(id)).await?.ok_or(ApiError::NotFound)?;
    Ok(Json(row.into()))
}

/// Cancels a send. A running one stops where it is: recipients that have it keep it. Cancelling
/// twice is the same as once.
#[utoipa::path(
    delete, path = "/api/scheduled/{id}/", tag = "Scheduled", params(doc::Id),
    responses(
        (status = 200, description = "It was on its way: so many were told.",
            body = res::ScheduledSend),
        (status = 204, description = "It had not begun: no recipient is notified."),
        (status = 403, description = "For admins."),
        (status = 409, description = "All of its recipients were told."),
    )
)]
async fn cancel(
    State(log): State<Arc<dyn SendLog>>,
    _: Admin,
    Id(id): Id,
) -> Result<Response, ApiError> {
    let id = SendId(id);
    match log.cancel_send(id).await? {
        CancelSend::Cancelled { was_begun: false, .. } => {
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        CancelSend::Cancelled { was_begun: true, .. } => {
            let row = log.send(id).await?.ok_or(ApiError::NotFound)?;
            Ok(Json(res::ScheduledSend::from(row)).into_response())
        }
        CancelSend::TooLate => {
            let shown = SendStatus::Done.as_str();
            let detail = format!("It is {shown}: all of its recipients were told.");
            Err(ApiError::Conflict { code: "already_sent", detail })
        }
    }
}
