//! OpenAPI schemas: external deliveries.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use utoipa::{IntoParams, ToSchema};

use super::inboxes::{channel, delivery_status};

/// The external delivery of a notification to one address on one channel.
#[derive(ToSchema)]
pub(in crate::http) struct OutboxDelivery {
    id: i64,
    /// Null for a project's webhook, which has no recipient, and for mails about the recipient's
    /// account.
    #[schema(required)]
    notification: Option<i64>,
    #[schema(required)]
    recipient: Option<i64>,
    #[schema(required)]
    recipient_name: Option<String>,
    #[schema(schema_with = channel)]
    channel: String,
    channel_display: String,
    /// The id of the browser or webhook.
    #[schema(required)]
    target: Option<i64>,
    #[schema(schema_with = delivery_status)]
    status: String,
    status_display: String,
    /// What suppresses or delays it: one of `preference`, `no_address`, `unsubscribed`,
    /// `quiet_hours`, `digest`, `escalation`, `seen`, `moved_on`, `unverified` and `expired`.
    #[schema(required)]
    rule: Option<String>,
    /// How many attempts were started.
    attempts: i64,
    due_at: Timestamp,
    /// When the channel's lease expires.
    #[schema(required)]
    leased_until: Option<Timestamp>,
    #[schema(required)]
    sent_at: Option<Timestamp>,
    /// The provider's id for it.
    #[schema(required)]
    provider_id: Option<String>,
    /// The provider's last report: one of `sent`, `delivered`, `read` and `failed`.
    #[schema(required)]
    provider_status: Option<String>,
    /// The last failure; null once it was sent.
    #[schema(required)]
    error: Option<String>,
}

/// Filters of the list of deliveries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct DeliveryFilters {
    #[param(schema_with = delivery_status)]
    status: Option<String>,
    #[param(schema_with = channel)]
    channel: Option<String>,
}
