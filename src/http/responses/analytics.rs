//! Statistics.

use std::collections::BTreeMap;

use bellpull_port::analytics::ReportRow;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::choices::channel;

use super::times;

/// Delivery statistics for the notifications created in a range of time.
#[derive(Serialize, ToSchema)]
pub(crate) struct Analytics {
    #[serde(serialize_with = "times::time")]
    pub(crate) from: Timestamp,
    /// Exclusive.
    #[serde(serialize_with = "times::time")]
    pub(crate) to: Timestamp,
    /// By event and channel, sorted by both.
    pub(crate) results: Vec<AnalyticsRow>,
}

/// An event's deliveries on a channel. `SYSTEM` is the inbox, which receives every notification.
#[derive(Serialize, ToSchema)]
pub(crate) struct AnalyticsRow {
    event: String,
    #[schema(schema_with = channel)]
    channel: &'static str,
    channel_display: &'static str,
    queued: i64,
    sent: i64,
    failed: i64,
    suppressed: i64,
    /// By the rule that suppressed them.
    suppressed_by: BTreeMap<&'static str, i64>,
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

impl From<ReportRow> for AnalyticsRow {
    fn from(row: ReportRow) -> Self {
        Self {
            event: row.event,
            channel: row.channel.as_str(),
            channel_display: row.channel.display(),
            queued: row.queued,
            sent: row.sent,
            failed: row.failed,
            suppressed: row.suppressed.iter().map(|(_, count)| count).sum(),
            suppressed_by: row.suppressed.iter().map(|(rule, n)| (rule.as_str(), *n)).collect(),
            delivered: row.delivered,
            read_at_provider: row.read_there,
            notifications_read: row.read,
            time_to_read_p50_s: row.read_p50_s,
            time_to_read_p95_s: row.read_p95_s,
        }
    }
}
