//! The outgoing channels.

use std::sync::Arc;

use bellpull_actors::channel::health::ChannelHealth;
use serde::Serialize;
use utoipa::ToSchema;

/// The enabled channels of a node.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChannelList {
    /// The node that answers.
    #[schema(value_type = String)]
    pub(crate) node: Arc<str>,
    pub(crate) results: Vec<ChannelState>,
}

/// Whether a channel sends.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChannelState {
    #[schema(examples("EMAIL"))]
    channel: &'static str,
    channel_display: &'static str,
    /// `closed`: it sends; `half_open`: it tries one delivery; `open`: it sends nothing; `down`: it
    /// restarts.
    circuit: &'static str,
    /// Why it sends nothing.
    #[schema(required)]
    cause: Option<String>,
    /// Deliveries that wait, on all nodes.
    queued: i64,
    /// Deliveries that are with the provider, on this node.
    in_flight: usize,
}

impl ChannelState {
    pub(crate) fn new(queued: i64, health: ChannelHealth) -> Self {
        let ChannelHealth { channel, circuit, cause, in_flight } = health;
        Self {
            channel: channel.as_str(),
            channel_display: channel.display(),
            circuit,
            cause: cause.filter(|_| circuit != "closed"),
            queued,
            in_flight,
        }
    }
}
