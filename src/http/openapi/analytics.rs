//! OpenAPI schemas: statistics.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use utoipa::openapi::Schema;
use utoipa::{IntoParams, ToSchema};

use super::inboxes::channel;
use super::one_of;

fn format() -> Schema {
    one_of(["json", "csv"])
}

/// Delivery statistics for the notifications created in a range of time.
#[derive(ToSchema)]
pub(in crate::http) struct Analytics {
    from: Timestamp,
    /// Exclusive.
    to: Timestamp,
    /// By event and channel, sorted by both.
    results: Vec<AnalyticsRow>,
}

/// An event's deliveries on a channel. `SYSTEM` is the inbox, which receives every notification.
#[derive(ToSchema)]
pub(in crate::http) struct AnalyticsRow {
    event: String,
    #[schema(schema_with = channel)]
    channel: String,
    channel_display: String,
    queued: i64,
    sent: i64,
    failed: i64,
    suppressed: i64,
    /// By the rule that suppressed them.
    suppressed_by: BTreeMap<String, i64>,
    /// Reached a device, as the provider reports.
    delivered: i64,
    /// Read there, as the provider reports.
    read_at_provider: i64,
    /// Deliveries whose notification was read in the inbox.
    notifications_read: i64,
    /// The median time until they were read, in seconds.
    #[schema(required)]
    time_to_read_p50_s: Option<i64>,
    #[schema(required)]
    time_to_read_p95_s: Option<i64>,
}

/// The range of time.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct AnalyticsFilters {
    /// A time, or a day in UTC; by default a week before `to`.
    #[param(example = "2026-01-01")]
    from: Option<String>,
    /// A time, or a day in UTC, which is included; by default now.
    #[param(example = "2026-01-31")]
    to: Option<String>,
    #[param(max_length = 64)]
    event: Option<String>,
    #[param(schema_with = channel)]
    channel: Option<String>,
    #[param(schema_with = format)]
    format: Option<String>,
}
