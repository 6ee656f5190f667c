//! Reports: one pass over the deliveries of a range of ids, on one of the connections for slow
//! reads.
//!
//! No index knows when a delivery was made, for every write would have to keep it. Ids only grow,
//! and `id_marks` has the last ones of each hour: they lead to where a range begins and ends, and
//! the time of each message decides about the rows between.
//!
//! They are added up here, for SQLite would sort them first, which takes thrice the time of reading
//! them; and read in portions, so that a text has a bound.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bellpull_actors::domain::delivery::{ProviderStatus, Rule};
use bellpull_actors::domain::notification::DeliveryStatus;
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::analytics::{REPORT_ROWS_MAX, ReportFilter, ReportRow};
use bellpull_actors::port::{ReportStore, StoreError};
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::error::corrupt;
use super::slow_reads::read_error;

/// How long a report may read.
const READ_MAX: Duration = Duration::from_secs(10);
/// How long it may take with all its waits: less than a request may, which has 15 s.
const ALL_MAX: Duration = Duration::from_secs(14);
/// How long one waits for the one before.
const PATIENCE: Duration = Duration::from_secs(3);
/// Ids that are looked at in one statement: some 20 ms of reading.
const PORTION: i64 = 20_000;
/// So much later than its message's time may a notification be written: a send to very many takes
/// its time, and one that was due while the hub was off comes late.
const LATE_MAX_HOURS: i64 = 24;
const HOUR_MS: i64 = 3_600_000;
/// The most messages of a report, for all of them are in memory: some 100 MiB.
const MESSAGES_MAX: usize = 2_000_000;

/// Where a table's part of a range of time begins (`?1`, an hour) and ends (`?2`).
macro_rules! range {
    ($column:literal, $table:literal) => {
        concat!(
            "SELECT ifnull((SELECT ",
            $column,
            " FROM id_marks WHERE hour <= ?1 ORDER BY hour DESC LIMIT 1), 0), \
             ifnull((SELECT ",
            $column,
            " FROM id_marks WHERE hour > ?2 ORDER BY hour LIMIT 1), \
             ifnull((SELECT max(id) FROM ",
            $table,
            "), 0))"
        )
    };
}

/// A part of a table, as one JSON text: for a row of its own each would cost more.
struct Part {
    /// The ids of the range: greater than the first, and up to the second.
    range: &'static str,
    /// What stands between `?1` and `?2` of it.
    rows: &'static str,
}

const MESSAGES: Part = Part {
    range: range!("message_id", "messages"),
    rows: "SELECT json_group_array(json_array(id, event, created_at)) FROM messages \
           WHERE id > ?1 AND id <= ?2",
};

const NOTIFICATIONS: Part = Part {
    range: range!("notification_id", "notifications"),
    rows: "SELECT json_group_array(json_array(message_id, 'SYSTEM', 'SENT', NULL, NULL, read_at)) \
           FROM notifications INDEXED BY notifications_id WHERE id > ?1 AND id <= ?2",
};

/// What a project's webhook is told is nobody's notification: it names its message itself.
const DELIVERIES: Part = Part {
    range: range!("delivery_id", "deliveries"),
    rows: "SELECT json_group_array(json_array(ifnull(n.message_id, d.message_id), d.channel, \
           d.status, d.rule, d.provider_status, n.read_at)) FROM deliveries d \
           LEFT JOIN notifications n ON n.id = d.notification_id \
           WHERE d.id > ?1 AND d.id <= ?2",
};

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

#[async_trait]
impl ReportStore for SqliteStore {
    async fn report(&self, filter: ReportFilter) -> Result<Option<Vec<ReportRow>>, StoreError> {
        let began = Instant::now();
        let late = |_| StoreError::Unavailable("other reports take too long".to_owned());
        let _turn = tokio::time::timeout(PATIENCE, self.reports.lock()).await.map_err(late)?;
        self.settled.everybody().await?;
        let read_max = READ_MAX.min(ALL_MAX.saturating_sub(began.elapsed()));
        let mut slow = self.slow.begin(read_max).await?;
        let mut snapshot = slow.snapshot().await?;
        match read(&mut snapshot, &filter, Instant::now() + read_max).await {
            Ok(rows) => Ok(Some(rows).filter(|rows| rows.len() <= REPORT_ROWS_MAX)),
            Err(Stop::TooMuch | Stop::Failed(StoreError::TooSlow)) => Ok(None),
            Err(Stop::Failed(error)) => Err(error),
        }
    }
}

async fn read(
    snapshot: &mut SqliteConnection,
    filter: &ReportFilter,
    deadline: Instant,
) -> Result<Vec<ReportRow>, Stop> {
    let mut sums = Sums::default();
    each(snapshot, &MESSAGES, filter, deadline, |text| sums.take_messages(text, filter)).await?;
    if filter.channel.is_none_or(|channel| channel == Channel::System) {
        each(snapshot, &NOTIFICATIONS, filter, deadline, |text| sums.add(text)).await?;
    }
    if filter.channel != Some(Channel::System) {
        each(snapshot, &DELIVERIES, filter, deadline, |text| sums.add(text)).await?;
    }
    Ok(sums.rows(filter.channel))
}

/// Reads a part of a table portion by portion.
async fn each(
    connection: &mut SqliteConnection,
    part: &Part,
    filter: &ReportFilter,
    deadline: Instant,
    mut take: impl FnMut(&str) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let (from_ms, to_ms) = (filter.from.as_millisecond(), filter.to.as_millisecond());
    let (mut after, to): (i64, i64) = sqlx::query_as(part.range)
        .bind(from_ms.div_euclid(HOUR_MS))
        .bind(to_ms.div_euclid(HOUR_MS) + LATE_MAX_HOURS)
        .fetch_one(&mut *connection)
        .await
        .map_err(read_error)?;
    while after < to {
        if Instant::now() >= deadline {
            return Err(Stop::TooMuch);
        }
        let until = (after + PORTION).min(to);
        let query = sqlx::query_scalar(part.rows).bind(after).bind(until);
        let text: String = query.fetch_one(&mut *connection).await.map_err(read_error)?;
        take(&text)?;
        after = until;
    }
    Ok(())
}

/// What was counted so far.
#[derive(Debug, Default)]
struct Sums {
    /// The events, each with its place.
    events: HashMap<String, usize>,
    /// The messages that count: the place of their event, and when they were made.
    messages: HashMap<i64, (usize, i64)>,
    /// By the event's place and the channel.
    sums: HashMap<(usize, Channel), Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    queued: i64,
    sent: i64,
    failed: i64,
    suppressed: BTreeMap<&'static str, (Rule, i64)>,
    delivered: i64,
    read_there: i64,
    /// How many were read after so many seconds.
    read_after_s: BTreeMap<i64, i64>,
}

impl Sums {
    fn take_messages(&mut self, text: &str, filter: &ReportFilter) -> Result<(), Stop> {
        let rows: Vec<MessageRow> = serde_json::from_str(text).map_err(|_| corrupt("messages"))?;
        let range_ms = filter.from.as_millisecond()..filter.to.as_millisecond();
        for (id, event, created_ms) in rows {
            let is_other = filter.event.as_ref().is_some_and(|wanted| *wanted != event);
            if is_other || !range_ms.contains(&created_ms) {
                continue;
            }
            let next = self.events.len();
            let place = *self.events.entry(event).or_insert(next);
            self.messages.insert(id, (place, created_ms));
        }
        if self.messages.len() > MESSAGES_MAX { Err(Stop::TooMuch) } else { Ok(()) }
    }

    fn add(&mut self, text: &str) -> Result<(), Stop> {
        let rows: Vec<Row<'_>> = serde_json::from_str(text).map_err(|_| corrupt("deliveries"))?;
        for (message, channel, status, rule, said, read_ms) in rows {
            let Some(&(event, created_ms)) = self.messages.get(&message) else { continue };
            let channel = Channel::from_name(channel).ok_or_else(|| corrupt("channel"))?;
            let status = DeliveryStatus::from_name(status).ok_or_else(|| corrupt("status"))?;
            let sum = self.sums.entry((event, channel)).or_default();
            sum.count(
                status,
                rule.and_then(Rule::from_name),
                said.and_then(ProviderStatus::from_name),
            );
            if let Some(read_ms) = read_ms {
                *sum.read_after_s.entry(rounded_s(read_ms - created_ms)).or_default() += 1;
            }
        }
        Ok(())
    }

    fn rows(self, only: Option<Channel>) -> Vec<ReportRow> {
        let mut names: HashMap<usize, String> =
            self.events.into_iter().map(|(name, place)| (place, name)).collect();
        let is_wanted = |channel| only.is_none_or(|wanted| wanted == channel);
        let mut sums: BTreeMap<(usize, Channel), Sum> = self.sums.into_iter().collect();
        sums.retain(|(_, channel), _| is_wanted(*channel));
        let mut rows = Vec::with_capacity(sums.len());
        for ((place, channel), sum) in sums {
            let name = names.entry(place).or_default();
            rows.push(sum.row(name.clone(), channel));
        }
        rows.sort_by(|a, b| (&a.event, a.channel).cmp(&(&b.event, b.channel)));
        rows
    }
}

impl Sum {
    fn count(&mut self, status: DeliveryStatus, rule: Option<Rule>, said: Option<ProviderStatus>) {
        match (status, rule) {
            (DeliveryStatus::Queued, _) => self.queued += 1,
            (DeliveryStatus::Sent, _) => self.sent += 1,
            (DeliveryStatus::Failed, _) => self.failed += 1,
            (DeliveryStatus::Suppressed, Some(rule)) => {
                self.suppressed.entry(rule.as_str()).or_insert((rule, 0)).1 += 1;
            }
            (DeliveryStatus::Suppressed, None) => {}
        }
        match said {
            Some(ProviderStatus::Delivered) => self.delivered += 1,
            Some(ProviderStatus::Read) => {
                self.delivered += 1;
                self.read_there += 1;
            }
            Some(ProviderStatus::Sent | ProviderStatus::Failed) | None => {}
        }
    }

    fn row(self, event: String, channel: Channel) -> ReportRow {
        ReportRow {
            event,
            channel,
            queued: self.queued,
            sent: self.sent,
            failed: self.failed,
            suppressed: self.suppressed.into_values().collect(),
            delivered: self.delivered,
            read_there: self.read_there,
            read: self.read_after_s.values().sum(),
            read_p50_s: within(&self.read_after_s, 50),
            read_p95_s: within(&self.read_after_s, 95),
        }
    }
}

/// Whole seconds for ten minutes, whole minutes for ten hours, whole hours from then on: so the
/// different times stay few.
fn rounded_s(ms: i64) -> i64 {
    match ms.max(0) / 1_000 {
        s @ 0..600 => s,
        s @ 600..36_000 => s / 60 * 60,
        s => s / 3_600 * 3_600,
    }
}

/// Within how many seconds so many of a hundred were read.
fn within(read_after_s: &BTreeMap<i64, i64>, percent: i64) -> Option<i64> {
    let all: i64 = read_after_s.values().sum();
    let wanted = (all * percent).div_euclid(100) + i64::from(all * percent % 100 > 0);
    let mut seen = 0;
    let reached = |(seconds, count): (&i64, &i64)| {
        seen += count;
        (seen >= wanted).then_some(*seconds)
    };
    read_after_s.iter().find_map(reached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_hundred_were_read_within() {
        let times = BTreeMap::from([(1, 50), (10, 44), (60, 5), (3600, 1)]);
        let found = [50, 51, 95, 100].map(|percent| within(&times, percent));
        assert_eq!(found, [Some(1), Some(10), Some(60), Some(3600)]);
        assert_eq!(within(&BTreeMap::from([(7, 1)]), 50), Some(7));
        assert_eq!(within(&BTreeMap::new(), 95), None);
    }

    #[test]
    fn times_are_coarser_the_longer_they_are() {
        for (ms, wanted) in [
            (-5, 0),
            (1_999, 1),
            (599_999, 599),
            (659_000, 600),
            (35_999_000, 35_940),
            (36_000_000, 36_000),
            (90_061_000, 90_000),
        ] {
            assert_eq!(rounded_s(ms), wanted, "{ms}");
        }
    }
}
