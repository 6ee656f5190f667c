//! `/api/deliveries/`: what left the house, what is waiting to, and what did not; for admins.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use bellpull_actors::domain::delivery::{ProviderStatus, Rule};
use bellpull_actors::domain::ids::DeliveryId;
use bellpull_actors::domain::notification::DeliveryStatus;
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::delivery_log::{DeliveryFilter, DeliveryRow};
use bellpull_actors::port::{Clock, DeliveryLog, DeliveryStore};
use serde_json::{Value, json};

use super::error::ApiError;
use super::page::Paging;
use super::query::{Id, Params};
use super::who::Admin;
use super::{Edge, at};

pub(super) fn routes() -> Router<Edge> {
    let routes = at(Router::new(), "/api/deliveries", get(list));
    at(routes, "/api/deliveries/{id}/retry", post(retry))
}

fn delivery_json(row: &DeliveryRow) -> Value {
    json!({
        "id": row.id,
        "notification": row.notification,
        "recipient": row.recipient,
        "recipient_name": row.recipient_name,
        "channel": row.channel.as_str(),
        "channel_display": row.channel.display(),
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

async fn list(
    State(log): State<Arc<dyn DeliveryLog>>,
    _: Admin,
    paging: Paging,
    mut params: Params,
) -> Result<Json<Value>, ApiError> {
    let filter = DeliveryFilter {
        status: params.choice("status", DeliveryStatus::from_name),
        channel: params.choice("channel", Channel::from_name),
    };
    params.finish()?;
    paging.show(&log.deliveries(filter, paging.request()).await?, delivery_json)
}

/// Queues it again. Its channel looks for what is due by itself.
async fn retry(
    State(log): State<Arc<dyn DeliveryLog>>,
    State(store): State<Arc<dyn DeliveryStore>>,
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
    Ok(Json(delivery_json(&row)))
}
