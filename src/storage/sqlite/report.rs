//! Reports: the messages of a range of time, by its index, then one pass over the segments that
//! hold their notifications and deliveries ([`report_ranges`](super::report_ranges)), on a
//! connection for slow reads.
//!
//! The domain computes the sums ([`ReportSums`]): SQLite would sort the rows first, which takes
//! three times as long as reading them. Rows are read in portions, so that each JSON text is
//! bounded.

use std::time::Instant;

use bellpull_domain::delivery::{ProviderStatus, Rule};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::plan::report::{ReportSums, Reported};
use bellpull_domain::routing::Channel;
use bellpull_port::analytics::{ReportFilter, ReportRow};

use super::error::corrupt;
use super::report_ranges::{Range, Segments};
use crate::engine::{Db, Sql, sql, values};
use crate::ports::report::{Stop, check, stop};
use crate::rows::{json, text};

/// Ids that one statement covers: some 20 ms of reading.
const PORTION: i64 = 20_000;

type MessageRow = (i64, String, i64);
type Row<'t> = (i64, &'t str, &'t str, Option<&'t str>, Option<&'t str>, Option<i64>);

/// The rows of a report.
pub(in super::super) async fn report(
    db: &mut Db<'_>,
    filter: &ReportFilter,
    deadline: Instant,
) -> Result<Option<Vec<ReportRow>>, Stop> {
    // The rows between `$1` and `$2`, as one JSON text: cheaper than one result row each.
    let notifications = sql!(
        "SELECT json_group_array(json_array(message_id, 'SYSTEM', 'SENT', NULL, NULL, read_at)) \
         AS rows FROM notifications INDEXED BY notifications_id WHERE id > $1 AND id <= $2"
    );
    // A delivery of a project's webhook has no notification: it names its message itself.
    let deliveries = sql!(
        "SELECT json_group_array(json_array(ifnull(n.message_id, d.message_id), d.channel, \
         d.status, d.rule, d.provider_status, n.read_at)) AS rows FROM deliveries d \
         LEFT JOIN notifications n ON n.id = d.notification_id WHERE d.id > $1 AND d.id <= $2"
    );
    let mut segments = Segments::read(db).await?;
    let mut sums = ReportSums::new(filter);
    read_messages(db, filter, deadline, &mut sums, &mut segments).await?;
    if filter.has_channel(Channel::System) {
        read_rows(db, notifications, segments.notifications(), deadline, &mut sums).await?;
    }
    if filter.has_deliveries() {
        read_rows(db, deliveries, segments.deliveries(), deadline, &mut sums).await?;
    }
    Ok(sums.rows(filter))
}

/// Reads the messages of the range of time, portion by portion.
async fn read_messages(
    db: &mut Db<'_>,
    filter: &ReportFilter,
    deadline: Instant,
    sums: &mut ReportSums,
    segments: &mut Segments,
) -> Result<(), Stop> {
    let sql = sql!(
        "SELECT json_group_array(json_array(id, event, created_at)) AS rows FROM \
         (SELECT id, event, created_at FROM messages INDEXED BY messages_created \
         WHERE (created_at, id) > ($1, $2) AND created_at < $3 \
         ORDER BY created_at, id LIMIT $4)"
    );
    let mut after = (filter.from.as_millisecond().saturating_sub(1), i64::MAX);
    loop {
        check(deadline)?;
        let found = db.rows(sql, values![after.0, after.1, filter.to, PORTION]).await?;
        let found = found.first().ok_or_else(|| corrupt("messages"))?;
        let rows: Vec<MessageRow> = json(text(found, "rows")?)?;
        let Some((id, _, created_ms)) = rows.last() else { return Ok(()) };
        after = (*created_ms, *id);
        for (id, event, created_ms) in rows {
            if sums.take_message(id, event, created_ms).map_err(stop)? {
                segments.want(id, created_ms);
            }
        }
    }
}

/// Counts the rows of these ranges of ids, portion by portion.
async fn read_rows(
    db: &mut Db<'_>,
    sql: &'static Sql,
    ranges: Vec<Range>,
    deadline: Instant,
    sums: &mut ReportSums,
) -> Result<(), Stop> {
    for (mut after, to) in ranges {
        while after < to {
            check(deadline)?;
            let until = (after + PORTION).min(to);
            let found = db.rows(sql, values![after, until]).await?;
            let found = found.first().ok_or_else(|| corrupt("deliveries"))?;
            let rows: Vec<Row<'_>> =
                serde_json::from_str(text(found, "rows")?).map_err(|_| corrupt("deliveries"))?;
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
