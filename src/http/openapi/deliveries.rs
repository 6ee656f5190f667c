//! What leaves the house, as the document has it.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use utoipa::{IntoParams, ToSchema};

use super::inboxes::{channel, delivery_status};

/// A notification on its way out of the house, to one address on one channel.
#[derive(ToSchema)]
pub(in crate::http) struct OutboxDelivery {
    id: i64,
    /// None where it is for a project's webhook, which has no recipient either, and where it is
    /// about the recipient's account.
    #[schema(required)]
    notification: Option<i64>,
    #[schema(required)]
    recipient: Option<i64>,
    #[schema(required)]
    recipient_name: Option<String>,
    #[schema(schema_with = channel)]
    channel: String,
    channel_display: String,
    /// Which browser or webhook.
    #[schema(required)]
    target: Option<i64>,
    #[schema(schema_with = delivery_status)]
    status: String,
    status_display: String,
    /// What holds it back, or delays it: one of `preference`, `no_address`, `unsubscribed`,
    /// `quiet_hours`, `digest`, `escalation`, `seen`, `moved_on`, `unverified` and `expired`.
    #[schema(required)]
    rule: Option<String>,
    /// How many attempts were begun.
    attempts: i64,
    due_at: Timestamp,
    /// Until when a channel has it in hand.
    #[schema(required)]
    leased_until: Option<Timestamp>,
    #[schema(required)]
    sent_at: Option<Timestamp>,
    /// The provider's own name for it.
    #[schema(required)]
    provider_id: Option<String>,
    /// What the provider has said of it since: one of `sent`, `delivered`, `read` and `failed`.
    #[schema(required)]
    provider_status: Option<String>,
    /// The last failure; none once it was sent.
    #[schema(required)]
    error: Option<String>,
}

/// Which deliveries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct DeliveryFilters {
    #[param(schema_with = delivery_status)]
    status: Option<String>,
    #[param(schema_with = channel)]
    channel: Option<String>,
}
