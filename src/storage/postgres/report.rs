//! Reports: the messages of a range of time, by its index, then the rows of the ranges of ids that
//! they have ([`report_ranges`](super::report_ranges)).
//!
//! The domain computes the sums ([`ReportSums`]). Rows are streamed: none but the messages are in
//! memory.

use std::time::Instant;

use bellpull_domain::delivery::{ProviderStatus, Rule};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::plan::report::{ReportSums, Reported};
use bellpull_domain::routing::Channel;
use bellpull_port::StoreError;
use bellpull_port::analytics::{ReportFilter, ReportRow};
use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;

use super::database::Connection;
use super::report_ranges::{Range, ranges};
use super::transaction::failed;
use crate::delivery_rows::optional_name;
use crate::ports::report::{Stop, check, stop};
use crate::rows::{Columns, get_name, int, string};

/// Rows between two looks at the clock.
const LOOK_EVERY: u32 = 1_024;

const MESSAGES: &str = "SELECT id, event, created_at FROM messages \
    WHERE created_at >= $1 AND created_at < $2 AND ($3::text IS NULL OR event = $3)";

/// The notifications of messages whose ids are in a range.
const NOTIFICATIONS: &str = "SELECT message_id, 'SYSTEM' AS channel, 'SENT' AS status, \
    NULL::text AS rule, NULL::text AS provider_status, read_at FROM notifications \
    WHERE message_id BETWEEN $1 AND $2";

/// Their deliveries, and those of projects' webhooks, which have no notification.
const DELIVERIES: &str = "SELECT n.message_id, d.channel, d.status, d.rule, d.provider_status, \
    n.read_at FROM notifications n JOIN deliveries d ON d.notification_id = n.id \
    WHERE n.message_id BETWEEN $1 AND $2 \
    UNION ALL SELECT message_id, channel, status, rule, provider_status, NULL FROM deliveries \
    WHERE message_id BETWEEN $1 AND $2";

/// The rows of a report.
pub(in super::super) async fn report(
    connection: &mut Connection,
    filter: &ReportFilter,
    deadline: Instant,
) -> Result<Option<Vec<ReportRow>>, Stop> {
    let mut sums = ReportSums::new(filter);
    let ranges = ranges(read_messages(connection, filter, deadline, &mut sums).await?);
    if filter.has_channel(Channel::System) {
        read_rows(connection, NOTIFICATIONS, &ranges, deadline, &mut sums).await?;
    }
    if filter.has_deliveries() {
        read_rows(connection, DELIVERIES, &ranges, deadline, &mut sums).await?;
    }
    Ok(sums.rows(filter))
}

/// Reads the messages of the range of time; returns the ids of those that count.
async fn read_messages(
    connection: &mut Connection,
    filter: &ReportFilter,
    deadline: Instant,
    sums: &mut ReportSums,
) -> Result<Vec<i64>, Stop> {
    let query = sqlx::query(MESSAGES).bind(filter.from.as_millisecond());
    let query = query.bind(filter.to.as_millisecond()).bind(filter.event.as_deref());
    let mut rows = query.fetch(connection);
    let mut ids = Vec::new();
    let mut clock = Clock { deadline, rows: 0 };
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        clock.check()?;
        let (id, created_ms) = (int(&row, "id")?, int(&row, "created_at")?);
        if sums.take_message(id, string(&row, "event")?, created_ms).map_err(stop)? {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Counts the rows of messages of these ranges.
async fn read_rows(
    connection: &mut Connection,
    sql: &'static str,
    ranges: &[Range],
    deadline: Instant,
    sums: &mut ReportSums,
) -> Result<(), Stop> {
    let mut clock = Clock { deadline, rows: 0 };
    for (from, to) in ranges {
        let mut rows = sqlx::query(sql).bind(from).bind(to).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            clock.check()?;
            sums.add(&reported(&row)?);
        }
    }
    Ok(())
}

fn reported(row: &PgRow) -> Result<Reported, StoreError> {
    Ok(Reported {
        message: int(row, "message_id")?,
        channel: get_name(row, "channel", Channel::from_name)?,
        status: get_name(row, "status", DeliveryStatus::from_name)?,
        rule: optional_name(row, "rule", Rule::from_name)?,
        provider: optional_name(row, "provider_status", ProviderStatus::from_name)?,
        read_ms: row.int("read_at")?,
    })
}

/// Looks at the time every so many rows.
struct Clock {
    deadline: Instant,
    rows: u32,
}

impl Clock {
    fn check(&mut self) -> Result<(), Stop> {
        self.rows = self.rows.wrapping_add(1);
        let is_due = self.rows.is_multiple_of(LOOK_EVERY);
        if is_due { check(self.deadline) } else { Ok(()) }
    }
}
