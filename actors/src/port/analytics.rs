//! What reports need of a store: how much went out, how much came to something, how much was read.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::delivery::Rule;
use crate::domain::routing::Channel;

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFilter {
    /// Notifications that were made from then on …
    pub from: Timestamp,
    /// … and before then.
    pub to: Timestamp,
    /// Of this event alone.
    pub event: Option<String>,
    /// On this channel alone; [`Channel::System`] is the inbox.
    pub channel: Option<Channel>,
}

/// What became of an event's notifications on a channel. In the inbox all are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// The event's name.
    pub event: String,
    /// The channel.
    pub channel: Channel,
    /// Deliveries that wait.
    pub queued: i64,
    /// Those that a provider took.
    pub sent: i64,
    /// Those that were given up.
    pub failed: i64,
    /// Those that a rule held back, by the rule.
    pub suppressed: Vec<(Rule, i64)>,
    /// Of those sent, the ones that are on a device, as the provider says.
    pub delivered: i64,
    /// Of those delivered, the ones that were read there, as the provider says.
    pub read_there: i64,
    /// Deliveries whose notification was read here, on whatever device.
    pub read: i64,
    /// How long it took until then: half were read within so many seconds.
    pub read_p50_s: Option<i64>,
    /// The same of 95 in 100.
    pub read_p95_s: Option<i64>,
}

/// The most rows of a report; senders may have named any number of events.
pub const REPORT_ROWS_MAX: usize = 2_000;

/// Reports. They read much: one at a time, for a limited time, beside everything else.
#[async_trait]
pub trait ReportStore: std::fmt::Debug + Send + Sync + 'static {
    /// What became of the notifications of a range of time, by event and channel, in the order of
    /// both. Times are exact to a second within ten minutes, to a minute within ten hours, and
    /// to an hour beyond. `None` where it would be too much: more than [`REPORT_ROWS_MAX`] rows,
    /// or longer to read than the store allows.
    async fn report(&self, filter: ReportFilter) -> Result<Option<Vec<ReportRow>>, StoreError>;
}
