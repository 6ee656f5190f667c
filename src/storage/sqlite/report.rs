//! Reports: one pass over the deliveries of a range of ids, on a connection of its own.
//!
//! No index knows when a delivery was made, for every write would have to keep it. Ids only grow,
//! and `id_marks` has the last one of each hour: they lead to where a range begins and ends, and
//! the time of each message decides about the rows between.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bellpull_actors::domain::delivery::{ProviderStatus, Rule};
use bellpull_actors::domain::notification::DeliveryStatus;
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::analytics::{REPORT_ROWS_MAX, ReportFilter, ReportRow};
use bellpull_actors::port::{ReportStore, StoreError};
use sqlx::sqlite::SqliteRow;
use sqlx::{ConnectOptions, Connection, QueryBuilder, Sqlite, SqliteConnection};

use super::SqliteStore;
use super::delivery_log::optional_name;
use super::error::unavailable;
use super::options::for_readers;
use super::rows::{get, get_name};

/// How long a report may read. A million deliveries take about three seconds.
const READ_MAX: Duration = Duration::from_secs(10);
/// How long one waits for the one before.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many steps of SQLite's machine pass between two looks at the clock: some 0.1 ms.
const STEPS: i32 = 10_000;
/// So much later than its message's time may a notification be written: a send to very many takes
/// its time, and one that was due while the hub was off comes late.
const LATE_MAX_HOURS: i64 = 24;
const HOUR_MS: i64 = 3_600_000;

/// How long it took until a notification was read, in seconds, coarser the longer it took: so the
/// groups stay few.
macro_rules! read_after {
    () => {
        "CASE WHEN n.read_at IS NULL THEN NULL \
         WHEN n.read_at - m.created_at < 600000 THEN max(n.read_at - m.created_at, 0) / 1000 \
         WHEN n.read_at - m.created_at < 36000000 \
         THEN (n.read_at - m.created_at) / 60000 * 60 \
         ELSE (n.read_at - m.created_at) / 3600000 * 3600 END AS read_after_s"
    };
}

const DELIVERIES: &str = concat!(
    "SELECT m.event, d.channel, d.status, d.rule, d.provider_status, ",
    read_after!(),
    ", count(*) AS found FROM deliveries d CROSS JOIN notifications n ON n.id = d.notification_id \
     CROSS JOIN messages m ON m.id = n.message_id WHERE d.id > "
);

const NOTIFICATIONS: &str = concat!(
    "SELECT m.event, 'SYSTEM' AS channel, 'SENT' AS status, NULL AS rule, \
     NULL AS provider_status, ",
    read_after!(),
    ", count(*) AS found FROM notifications n INDEXED BY notifications_id \
     CROSS JOIN messages m ON m.id = n.message_id WHERE n.id > "
);

/// The ids of a range of time: greater than the first, and up to the second.
const RANGE: &str = "SELECT \
    ifnull((SELECT notification_id FROM id_marks WHERE hour <= ?1 ORDER BY hour DESC LIMIT 1), 0), \
    ifnull((SELECT delivery_id FROM id_marks WHERE hour <= ?1 ORDER BY hour DESC LIMIT 1), 0), \
    ifnull((SELECT notification_id FROM id_marks WHERE hour > ?2 ORDER BY hour LIMIT 1), ?3), \
    ifnull((SELECT delivery_id FROM id_marks WHERE hour > ?2 ORDER BY hour LIMIT 1), ?3)";

#[async_trait]
impl ReportStore for SqliteStore {
    async fn report(&self, filter: ReportFilter) -> Result<Option<Vec<ReportRow>>, StoreError> {
        let late = |_| StoreError::Unavailable("other reports take too long".to_owned());
        let turn = tokio::time::timeout(PATIENCE, self.reports.lock()).await.map_err(late)?;
        let mut connection = for_readers(&self.path).connect().await.map_err(unavailable)?;
        let deadline = Instant::now() + READ_MAX;
        let mut handle = connection.lock_handle().await.map_err(unavailable)?;
        handle.set_progress_handler(STEPS, move || Instant::now() < deadline);
        drop(handle);
        let read = read(&mut connection, &filter).await;
        let is_late = Instant::now() >= deadline;
        // A connection that only reads has nothing to lose.
        let _ = connection.close().await;
        drop(turn);
        match read {
            Err(_) if is_late => Ok(None),
            read => Ok(Some(read?).filter(|rows| rows.len() <= REPORT_ROWS_MAX)),
        }
    }
}

async fn read(
    connection: &mut SqliteConnection,
    filter: &ReportFilter,
) -> Result<Vec<ReportRow>, StoreError> {
    let mut snapshot = connection.begin().await.map_err(unavailable)?;
    let (from_ms, to_ms) = (filter.from.as_millisecond(), filter.to.as_millisecond());
    let (notifications_after, deliveries_after, notifications_to, deliveries_to): (
        i64,
        i64,
        i64,
        i64,
    ) = sqlx::query_as(RANGE)
        .bind(from_ms.div_euclid(HOUR_MS))
        .bind(to_ms.div_euclid(HOUR_MS) + LATE_MAX_HOURS)
        .bind(i64::MAX)
        .fetch_one(&mut *snapshot)
        .await
        .map_err(unavailable)?;
    let mut sums = Sums::default();
    if filter.channel.is_none_or(|channel| channel == Channel::System) {
        let ids = ("n.id", notifications_after, notifications_to);
        let mut sql = narrowed(NOTIFICATIONS, ids, filter);
        let rows = sql.build().fetch_all(&mut *snapshot).await.map_err(unavailable)?;
        rows.iter().try_for_each(|row| sums.add(row))?;
    }
    if filter.channel != Some(Channel::System) {
        let mut sql = narrowed(DELIVERIES, ("d.id", deliveries_after, deliveries_to), filter);
        let rows = sql.build().fetch_all(&mut *snapshot).await.map_err(unavailable)?;
        rows.iter().try_for_each(|row| sums.add(row))?;
    }
    Ok(sums.rows())
}

fn narrowed(
    select: &'static str,
    (id, after, to): (&'static str, i64, i64),
    filter: &ReportFilter,
) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(select);
    sql.push_bind(after).push(" AND ").push(id).push(" <= ").push_bind(to);
    sql.push(" AND m.created_at >= ").push_bind(filter.from.as_millisecond());
    sql.push(" AND m.created_at < ").push_bind(filter.to.as_millisecond());
    if let Some(event) = &filter.event {
        sql.push(" AND m.event = ").push_bind(event.clone());
    }
    if let Some(channel) = filter.channel.filter(|channel| *channel != Channel::System) {
        sql.push(" AND d.channel = ").push_bind(channel.as_str());
    }
    sql.push(" GROUP BY 1, 2, 3, 4, 5, 6");
    sql
}

/// What was counted so far, by event and channel.
#[derive(Debug, Default)]
struct Sums(BTreeMap<(String, Channel), Sum>);

#[derive(Debug, Default)]
struct Sum {
    queued: i64,
    sent: i64,
    failed: i64,
    suppressed: Vec<(Rule, i64)>,
    delivered: i64,
    read_there: i64,
    /// How many were read after so many seconds.
    read_after_s: BTreeMap<i64, i64>,
}

impl Sums {
    fn add(&mut self, row: &SqliteRow) -> Result<(), StoreError> {
        let channel = get_name(row, "channel", Channel::from_name)?;
        let rows: i64 = get(row, "found")?;
        let sum = self.0.entry((get(row, "event")?, channel)).or_default();
        match get_name(row, "status", DeliveryStatus::from_name)? {
            DeliveryStatus::Queued => sum.queued += rows,
            DeliveryStatus::Sent => sum.sent += rows,
            DeliveryStatus::Failed => sum.failed += rows,
            DeliveryStatus::Suppressed => {
                if let Some(rule) = optional_name(row, "rule", Rule::from_name)? {
                    match sum.suppressed.iter_mut().find(|(known, _)| *known == rule) {
                        Some((_, count)) => *count += rows,
                        None => sum.suppressed.push((rule, rows)),
                    }
                }
            }
        }
        match optional_name(row, "provider_status", ProviderStatus::from_name)? {
            Some(ProviderStatus::Delivered) => sum.delivered += rows,
            Some(ProviderStatus::Read) => {
                sum.delivered += rows;
                sum.read_there += rows;
            }
            Some(ProviderStatus::Sent | ProviderStatus::Failed) | None => {}
        }
        if let Some(seconds) = get::<Option<i64>>(row, "read_after_s")? {
            *sum.read_after_s.entry(seconds).or_default() += rows;
        }
        Ok(())
    }

    fn rows(self) -> Vec<ReportRow> {
        let row = |((event, channel), sum): ((String, Channel), Sum)| {
            let mut suppressed = sum.suppressed;
            suppressed.sort_unstable_by_key(|(rule, _)| rule.as_str());
            ReportRow {
                event,
                channel,
                queued: sum.queued,
                sent: sum.sent,
                failed: sum.failed,
                suppressed,
                delivered: sum.delivered,
                read_there: sum.read_there,
                read: sum.read_after_s.values().sum(),
                read_p50_s: within(&sum.read_after_s, 50),
                read_p95_s: within(&sum.read_after_s, 95),
            }
        };
        self.0.into_iter().map(row).collect()
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
        assert_eq!(
            [50, 51, 95, 100].map(|percent| within(&times, percent)),
            [Some(1), Some(10), Some(60), Some(3600)]
        );
        assert_eq!(within(&BTreeMap::from([(7, 1)]), 50), Some(7));
        assert_eq!(within(&BTreeMap::new(), 95), None);
    }
}
