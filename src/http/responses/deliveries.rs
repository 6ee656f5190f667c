//! External deliveries.

use bellpull_domain::delivery::{ProviderStatus, Rule};
use bellpull_port::delivery_log::DeliveryRow;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::choices::{channel, delivery_status};

use super::times;

/// The external delivery of a notification to one address on one channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct OutboxDelivery {
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
    channel: &'static str,
    channel_display: &'static str,
    /// The id of the browser or webhook.
    #[schema(required)]
    target: Option<i64>,
    #[schema(schema_with = delivery_status)]
    status: &'static str,
    status_display: &'static str,
    /// What suppresses or delays it: one of `preference`, `no_address`, `unsubscribed`,
    /// `quiet_hours`, `digest`, `escalation`, `seen`, `moved_on`, `unverified`, `expired`
    /// and `not_visible`.
    #[schema(required)]
    rule: Option<&'static str>,
    /// How many attempts were started.
    attempts: i64,
    #[serde(serialize_with = "times::time")]
    due_at: Timestamp,
    /// When the channel's lease expires.
    #[schema(required)]
    #[serde(serialize_with = "times::maybe")]
    leased_until: Option<Timestamp>,
    #[schema(required)]
    #[serde(serialize_with = "times::maybe")]
    sent_at: Option<Timestamp>,
    /// The provider's id for it.
    #[schema(required)]
    provider_id: Option<String>,
    /// The provider's last report: one of `sent`, `delivered`, `read` and `failed`.
    #[schema(required)]
    provider_status: Option<&'static str>,
    /// The last failure; null once it was sent.
    #[schema(required)]
    error: Option<String>,
}

impl From<DeliveryRow> for OutboxDelivery {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.id.0,
            notification: row.notification.map(|id| id.0),
            recipient: row.recipient.map(|id| id.0),
            recipient_name: row.recipient_name,
            channel: row.channel.as_str(),
            channel_display: row.channel.display(),
            target: Some(row.target).filter(|target| *target != 0),
            status: row.status.as_str(),
            status_display: row.status.display(),
            rule: row.rule.map(Rule::as_str),
            attempts: row.attempts.into(),
            due_at: row.due_at,
            leased_until: row.leased_until,
            sent_at: row.sent_at,
            provider_id: row.provider_id,
            provider_status: row.provider_status.map(ProviderStatus::as_str),
            error: row.error,
        }
    }
}
