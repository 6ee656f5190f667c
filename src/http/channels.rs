//! `/api/channels/`: whether the outgoing channels send, for admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bellpull_actors::hub::Hub;
use bellpull_port::DeliveryLog;
use utoipa_axum::routes;

use super::error::ApiError;
use super::responses as res;
use super::routes::Routes;
use super::who::Admin;
use bellpull_nodes::Membership;

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(channels))
}

/// The enabled channels of the answering node: whether each sends, why not, and how many
/// deliveries wait on all nodes.
#[utoipa::path(
    get, path = "/api/channels/", tag = "Deliveries",
    responses(
        (status = 200, description = "All of them.", body = res::ChannelList),
        (status = 403, description = "For admins."),
    )
)]
async fn channels(
    State(hub): State<Hub>,
    State(log): State<Arc<dyn DeliveryLog>>,
    State(nodes): State<Membership>,
    _: Admin,
) -> Result<Json<res::ChannelList>, ApiError> {
    let waiting = log.waiting().await?;
    let queued =
        |channel| waiting.iter().find(|one| one.channel == channel).map_or(0, |one| one.queued);
    let health = hub.channels.health().await;
    let results = health.into_iter().map(|one| res::ChannelState::new(queued(one.channel), one));
    Ok(Json(res::ChannelList { node: nodes.name().shared(), results: results.collect() }))
}
