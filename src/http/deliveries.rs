//! `/api/deliveries/`: external deliveries and their states, for admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use bellpull_actors::directory::Users;
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::delivery_log::DeliveryFilter;
use bellpull_port::{Clock, DeliveryLog, DeliveryStore};
use utoipa_axum::routes;

use super::error::ApiError;
use super::openapi as doc;
use super::page::Paging;
use super::query::{Id, Params};
use super::read_turns::InTurn;
use super::responses as res;
use super::routes::Routes;
use super::who::Admin;

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(list)).with(routes!(retry))
}

/// The deliveries, newest first.
#[utoipa::path(
    get, path = "/api/deliveries/", tag = "Deliveries",
    params(doc::DeliveryFilters, doc::Paged),
    responses(
        (status = 200, description = "A page of them.", body = res::Page<res::OutboxDelivery>),
        (status = 403, description = "For admins."),
        doc::TooManyReads,
    )
)]
async fn list(
    State(log): State<Arc<dyn DeliveryLog>>,
    _: InTurn<Admin>,
    paging: Paging,
    mut params: Params,
) -> Result<Response, ApiError> {
    let filter = DeliveryFilter {
        status: params.choice("status", DeliveryStatus::from_name),
        channel: params.choice("channel", Channel::from_name),
    };
    params.finish()?;
    let page = log.deliveries(filter, paging.request()).await?;
    paging.show(page, res::OutboxDelivery::from).await
}

/// Queues a failed delivery again, with the full number of attempts.
#[utoipa::path(
    post, path = "/api/deliveries/{id}/retry/", tag = "Deliveries", params(doc::Id),
    responses(
        (status = 200, description = "It is queued.", body = res::OutboxDelivery),
        (status = 403, description = "For admins."),
        (status = 409, description = "It has not failed."),
    )
)]
async fn retry(
    State(log): State<Arc<dyn DeliveryLog>>,
    State(store): State<Arc<dyn DeliveryStore>>,
    State(users): State<Users>,
    State(clock): State<Arc<dyn Clock>>,
    _: Admin,
    Id(id): Id,
) -> Result<Json<res::OutboxDelivery>, ApiError> {
    let id = DeliveryId(id);
    let is_queued = store.retry(id, clock.now()).await?;
    let row = log.delivery(id).await?.ok_or(ApiError::NotFound)?;
    if !is_queued {
        let shown = row.status.display();
        let detail = format!("Only a delivery that failed can be retried; this is {shown}.");
        return Err(ApiError::Conflict { code: "wrong_status", detail });
    }
    users.nudge(Channels::of(&[row.channel]));
    Ok(Json(row.into()))
}
