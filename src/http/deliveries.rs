//! `/api/deliveries/`: external deliveries and their states, for admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use bellpull_actors::directory::Users;
use bellpull_actors::domain::delivery::{ProviderStatus, Rule};
use bellpull_actors::domain::ids::DeliveryId;
use bellpull_actors::domain::notification::DeliveryStatus;
use bellpull_actors::domain::routing::{Channel, Channels};
use bellpull_actors::port::delivery_log::{DeliveryFilter, DeliveryRow};
use bellpull_actors::port::{Clock, DeliveryLog, DeliveryStore};
use serde_json::{Value, json};
use utoipa_axum::routes;

use super::error::ApiError;
use super::openapi as doc;
use super::page::Paging;
use super::query::{Id, Params};
use super::read_turns::InTurn;
use super::routes::Routes;
use super::who::Admin;

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(list)).with(routes!(retry))
}

/// A delivery as operators see it.
fn delivery_json(row: &DeliveryRow) -> Value {
    json!({
        "id": row.id,
        "notification": row.notification,
        "recipient": row.recipient,
        "recipient_name": row.recipient_name,
        "channel": row.channel.as_str(),
        "channel_display": row.channel.display(),
        "target": Some(row.target).filter(|target| *target != 0),
        "status": row.status.as_str(),
        "status_display": row.status.display(),
        "rule": row.rule.map(Rule::as_str),
        "attempts": row.attempts,
        "due_at": row.due_at,
        "leased_until": row.leased_until,
        "sent_at": row.sent_at,
        "provider_id": row.provider_id,
        "provider_status": row.provider_status.map(ProviderStatus::as_str),
        "error": row.error,
    })
}

/// The deliveries, newest first.
#[utoipa::path(
    get, path = "/api/deliveries/", tag = "Deliveries",
    params(doc::DeliveryFilters, doc::Paged),
    responses(
        (status = 200, description = "A page of them.", body = doc::Page<doc::OutboxDelivery>),
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
    paging.show(page, delivery_json).await
}

/// Queues a failed delivery again, with the full number of attempts.
#[utoipa::path(
    post, path = "/api/deliveries/{id}/retry/", tag = "Deliveries", params(doc::Id),
    responses(
        (status = 200, description = "It is queued.", body = doc::OutboxDelivery),
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
) -> Result<Json<Value>, ApiError> {
    let id = DeliveryId(id);
    let is_queued = store.retry(id, clock.now()).await?;
    let row = log.delivery(id).await?.ok_or(ApiError::NotFound)?;
    if !is_queued {
        let shown = row.status.display();
        let detail = format!("Only a delivery that failed can be retried; this is {shown}.");
        return Err(ApiError::Conflict { code: "wrong_status", detail });
    }
    users.nudge(Channels::of(&[row.channel]));
    Ok(Json(delivery_json(&row)))
}
