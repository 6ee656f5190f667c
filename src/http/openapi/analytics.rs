//! Figures, as the document has them.
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

/// What became of the notifications that were made in a range of time.
#[derive(ToSchema)]
pub(in crate::http) struct Analytics {
    from: Timestamp,
    /// What was made at this moment is not in it any more.
    to: Timestamp,
    /// By event and channel, in the order of both.
    results: Vec<AnalyticsRow>,
}

/// What became of an event's notifications on a channel. `SYSTEM` is the inbox, where all are sent.
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
    /// By the rule that held them back.
    suppressed_by: BTreeMap<String, i64>,
    /// On a device, as the provider says.
    delivered: i64,
    /// Read there, as the provider says.
    read_at_provider: i64,
    /// Deliveries whose notification was read here.
    notifications_read: i64,
    /// Within so many seconds half of them were read.
    #[schema(required)]
    time_to_read_p50_s: Option<i64>,
    #[schema(required)]
    time_to_read_p95_s: Option<i64>,
}

/// Which notifications.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct AnalyticsFilters {
    /// A moment, or a day in UTC; a week before `to`, where nobody says.
    #[param(example = "2026-01-01")]
    from: Option<String>,
    /// A moment, or a day in UTC, which is then included; now, where nobody says.
    #[param(example = "2026-01-31")]
    to: Option<String>,
    #[param(max_length = 64)]
    event: Option<String>,
    #[param(schema_with = channel)]
    channel: Option<String>,
    #[param(schema_with = format)]
    format: Option<String>,
}
