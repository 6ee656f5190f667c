//! Reports: the messages of a range of time, by its index, then one pass over the segments that
//! hold their notifications and deliveries ([`report_ranges`](super::report_ranges)), on a
//! connection for slow reads.
//!
//! The domain computes the sums ([`ReportSums`]): SQLite would sort the rows first, which takes
//! three times as long as reading them. Rows are read in portions, so that each JSON text is
//! bounded.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bellpull_domain::delivery::{ProviderStatus, Rule};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::plan::report::{ReportSums, Reported, TooMuch};
use bellpull_domain::routing::Channel;
use bellpull_port::analytics::{ReportFilter, ReportRow};
use bellpull_port::{ReportStore, StoreError};
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::error::corrupt;
use super::report_ranges::{Range, Segments};
use super::slow_reads::read_error;

/// How long a report may read.
const READ_MAX: Duration = Duration::from_secs(10);
/// Its total time limit, waits included: less than a request's 15 s.
const ALL_MAX: Duration = Duration::from_secs(14);
/// How long one waits for the report before it.
const TURN_MAX: Duration = Duration::from_secs(3);
/// Ids that one statement covers: some 20 ms of reading.
const PORTION: i64 = 20_000;

/// The next messages of a range of time, as one JSON text: cheaper than one result row each.
const MESSAGES: &str = "SELECT json_group_array(json_array(id, event, created_at)) FROM \
    (SELECT id, event, created_at FROM messages INDEXED BY messages_created \
    WHERE (created_at, id) > (?1, ?2) AND created_at < ?3 ORDER BY created_at, id LIMIT ?4)";

/// The rows between `?1` and `?2`, as one JSON text.
const NOTIFICATIONS: &str = "SELECT json_group_array(json_array(message_id, 'SYSTEM', 'SENT', \
    NULL, NULL, read_at)) FROM notifications INDEXED BY notifications_id WHERE id > ?1 AND id <= ?2";

/// A delivery of a project's webhook has no notification: it names its message itself.
const DELIVERIES: &str = "SELECT json_group_array(json_array(ifnull(n.message_id, d.message_id), \
    d.channel, d.status, d.rule, d.provider_status, n.read_at)) FROM deliveries d \
    LEFT JOIN notifications n ON n.id = d.notification_id WHERE d.id > ?1 AND d.id <= ?2";

type MessageRow = (i64, String, i64);
type Row<'t> = (i64, &'t str, &'t str, Option<&'t str>, Option<&'t str>, Option<i64>);

/// Why a report was not finished.
enum Stop {
    TooMuch,
    Failed(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<TooMuch> for Stop {
    fn from(_: TooMuch) -> Self {
        Self::TooMuch
    }
}

#[async_trait]
impl ReportStore for SqliteStore {
    async fn report(&self, filter: ReportFilter) -> Result<Option<Vec<ReportRow>>, StoreError> {
        let began = Instant::now();
        let late = |_| StoreError::Unavailable("other reports take too long".to_owned());
        let _turn = tokio::time::timeout(TURN_MAX, self.reports.lock()).await.map_err(late)?;
        self.barrier.all_users().await?;
        let read_max = READ_MAX.min(ALL_MAX.saturating_sub(began.elapsed()));
        let mut slow = self.slow.begin(read_max).await?;
        let mut snapshot = slow.snapshot().await?;
        match read(&mut snapshot, &filter, Instant::now() + read_max).await {
            Ok(rows) => Ok(rows),
            Err(Stop::TooMuch | Stop::Failed(StoreError::TooSlow)) => Ok(None),
            Err(Stop::Failed(error)) => Err(error),
        }
    }
}

async fn read(
    snapshot: &mut SqliteConnection,
    filter: &ReportFilter,
    deadline: Instant,
) -> Result<Option<Vec<ReportRow>>, Stop> {
    let mut segments = Segments::read(snapshot).await?;
    let mut sums = ReportSums::new(filter);
    read_messages(snapshot, filter, deadline, &mut sums, &mut segments).await?;
    if filter.has_channel(Channel::System) {
        let ranges = segments.notifications();
        read_rows(snapshot, NOTIFICATIONS, ranges, deadline, &mut sums).await?;
    }
    if filter.has_deliveries() {
        read_rows(snapshot, DELIVERIES, segments.deliveries(), deadline, &mut sums).await?;
    }
    Ok(sums.rows(filter))
}

/// Reads the messages of the range of time, portion by portion.
async fn read_messages(
    connection: &mut SqliteConnection,
    filter: &ReportFilter,
    deadline: Instant,
    sums: &mut ReportSums,
    segments: &mut Segments,
) -> Result<(), Stop> {
    let mut after = (filter.from.as_millisecond().saturating_sub(1), i64::MAX);
    loop {
        check(deadline)?;
        let query = sqlx::query_scalar(MESSAGES).bind(after.0).bind(after.1);
        let query = query.bind(filter.to.as_millisecond()).bind(PORTION);
        let text: String = query.fetch_one(&mut *connection).await.map_err(read_error)?;
        let rows: Vec<MessageRow> = serde_json::from_str(&text).map_err(|_| corrupt("messages"))?;
        let Some((id, _, created_ms)) = rows.last() else { return Ok(()) };
        after = (*created_ms, *id);
        for (id, event, created_ms) in rows {
            if sums.take_message(id, event, created_ms)? {
                segments.want(id, created_ms);
            }
        }
    }
}

/// Counts the rows of these ranges of ids, portion by portion.
async fn read_rows(
    connection: &mut SqliteConnection,
    sql: &'static str,
    ranges: Vec<Range>,
    deadline: Instant,
    sums: &mut ReportSums,
) -> Result<(), Stop> {
    for (mut after, to) in ranges {
        while after < to {
            check(deadline)?;
            let until = (after + PORTION).min(to);
            let query = sqlx::query_scalar(sql).bind(after).bind(until);
            let text: String = query.fetch_one(&mut *connection).await.map_err(read_error)?;
            let rows: Vec<Row<'_>> =
                serde_json::from_str(&text).map_err(|_| corrupt("deliveries"))?;
            for (message, channel, status, rule, provider, read_ms) in rows {
                sums.add(&Reported {
                    message,
                    channel: Channel::from_name(channel).ok_or_else(|| corrupt("channel"))?,
                    status: DeliveryStatus::from_name(status).ok_or_else(|| corrupt("status"))?,
                    rule: rule.and_then(Rule::from_name),
                    provider: provider.and_then(ProviderStatus::from_name),
                    read_ms,
                });
            }
            after = until;
        }
    }
    Ok(())
}

fn check(deadline: Instant) -> Result<(), Stop> {
    if Instant::now() >= deadline { Err(Stop::TooMuch) } else { Ok(()) }
}
