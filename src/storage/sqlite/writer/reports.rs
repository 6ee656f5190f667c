//! Reports of providers about messages that they accepted.
//!
//! A report may arrive before the outcome of its attempt, which brings the provider's id of the
//! message. A report of an unknown id is kept, and applied in the transaction of that outcome.
//! Reports that match none are removed after some time, or when there are too many.

use std::collections::BTreeSet;

use bellpull_domain::delivery::{Attempt, ProviderReport, ProviderStatus};
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::plan::attempt::bounded;
use bellpull_domain::plan::provider_report::Reported;
use bellpull_domain::routing::Channel;
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::error::corrupt;
use super::super::multi_row::{Cell, MultiRow, id_list};
use super::super::provider_reports::{EARLY_FOR_MS, EARLY_MAX, Named, changed, provider_ids};
use super::super::rows::{timestamp, to_json};
use super::super::statement::{all, execute, one};
use super::failure::Failure;
use super::{Answer, Done, Write};

static REPORTS: MultiRow = MultiRow::new(
    "UPDATE deliveries SET status = v.column2, provider_status = v.column3, \
     error = iif(v.column3 = 'failed', v.column4, error), provider_at = v.column5 FROM ",
    5,
    " AS v WHERE id = v.column1",
);

/// The deliveries with these provider ids (pairs of a channel and an id).
const NAMED: &str = "SELECT d.channel, d.provider_id, d.id, d.status, d.provider_status \
    FROM json_each(?1) w CROSS JOIN deliveries d \
    ON d.channel = w.value ->> 0 AND d.provider_id = w.value ->> 1";

/// Ours among these ids, in any order.
const EARLY: &str = "SELECT e.id, e.channel, e.provider_id, e.status, e.error, e.said_at \
    FROM json_each(?1) n CROSS JOIN early_reports e ON e.provider_id = n.value \
    WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.channel = e.channel \
    AND d.provider_id = e.provider_id)";

/// A provider's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Report {
    pub(in super::super) channel: Channel,
    pub(in super::super) report: ProviderReport,
    /// By our clock.
    pub(in super::super) now: Timestamp,
}

/// Applies the reports of a group, or keeps those that may be early.
pub(super) fn take(
    connection: &Connection,
    writes: &[&Write],
    answers: &mut [Option<Answer>],
) -> Result<(), Failure> {
    let mut reports = Vec::new();
    for (at, write) in writes.iter().enumerate() {
        if let Write::Report(report) = write {
            reports.push((at, &**report));
        }
    }
    if reports.is_empty() {
        return Ok(());
    }
    let named = named(connection, reports.iter().map(|(_, one)| (one.channel, &one.report)))?;
    let (mut known, mut early) = (Vec::new(), Vec::new());
    for (at, one) in reports {
        let is_known = named.contains_key(&(one.channel, one.report.provider_id.clone()));
        answers[at] = Some(Ok(Done::Changed(u64::from(is_known))));
        if is_known {
            known.push((one.channel, &one.report));
        } else {
            early.push(one);
        }
    }
    apply(connection, named, known.into_iter())?;
    Ok(keep(connection, &early)?)
}

/// Applies early reports of the messages whose provider ids these attempts have brought.
pub(super) fn take_early(connection: &Connection, attempts: &[&Attempt]) -> Result<(), Failure> {
    let sql = "SELECT EXISTS (SELECT 1 FROM early_reports)";
    if attempts.is_empty() || !one(connection, sql, (), |row| row.get(0))? {
        return Ok(());
    }
    let names = provider_ids(attempts);
    type Row = (i64, String, String, String, Option<String>, i64);
    let mut found: Vec<Row> = all(connection, EARLY, (to_json(&names)?,), |row| row.try_into())?;
    if found.is_empty() {
        return Ok(());
    }
    found.sort_unstable_by_key(|row| row.0);
    let ids = id_list(found.iter().map(|row| row.0));
    let mut reports = Vec::with_capacity(found.len());
    for (_, channel, provider_id, status, error, said_at) in found {
        let channel = Channel::from_name(&channel).ok_or_else(|| corrupt("channel"))?;
        let status = ProviderStatus::from_name(&status).ok_or_else(|| corrupt("status"))?;
        let at = timestamp(said_at)?;
        reports.push((channel, ProviderReport { provider_id, status, error, at }));
    }
    let reports = || reports.iter().map(|(channel, report)| (*channel, report));
    apply(connection, named(connection, reports())?, reports())?;
    let sql = "DELETE FROM early_reports WHERE id IN (SELECT value FROM json_each(?))";
    execute(connection, sql, (ids,))?;
    Ok(())
}

fn named<'a>(
    connection: &Connection,
    reports: impl Iterator<Item = (Channel, &'a ProviderReport)>,
) -> Result<Named, Failure> {
    let pairs: BTreeSet<(&str, &str)> =
        reports.map(|(channel, report)| (channel.as_str(), &*report.provider_id)).collect();
    type Row = (String, String, i64, String, Option<String>);
    let found: Vec<Row> = all(connection, NAMED, (to_json(&pairs)?,), |row| row.try_into())?;
    let mut named = Named::new();
    for (channel, provider_id, id, status, provider_status) in found {
        let channel = Channel::from_name(&channel).ok_or_else(|| corrupt("channel"))?;
        let status = DeliveryStatus::from_name(&status).ok_or_else(|| corrupt("status"))?;
        let provider_status = provider_status.as_deref().and_then(ProviderStatus::from_name);
        let one = (DeliveryId(id), Reported { status, provider_status });
        named.entry((channel, provider_id)).or_default().push(one);
    }
    Ok(named)
}

/// Applies reports in order; each delivery that one of them changes is written once.
fn apply<'a>(
    connection: &Connection,
    named: Named,
    reports: impl Iterator<Item = (Channel, &'a ProviderReport)>,
) -> rusqlite::Result<()> {
    let mut cells = Vec::new();
    for (id, (delivery, report)) in &changed(named, reports) {
        cells.extend([Cell::Int(id.0), delivery.status.as_str().into()]);
        let error = report.error.as_deref().map(bounded);
        cells.extend([report.status.as_str().into(), error.map_or(Cell::Null, Cell::from)]);
        cells.push(report.at.as_millisecond().into());
    }
    REPORTS.run(connection, &cells)
}

fn keep(connection: &Connection, early: &[&Report]) -> rusqlite::Result<()> {
    let Some(now) = early.iter().map(|one| one.now.as_millisecond()).max() else { return Ok(()) };
    let sql = "DELETE FROM early_reports WHERE kept_at <= ?";
    execute(connection, sql, (now.saturating_sub(EARLY_FOR_MS),))?;
    for Report { channel, report, now } in early {
        let sql = "INSERT INTO early_reports \
                   (channel, provider_id, status, error, said_at, kept_at) \
                   VALUES (?, ?, ?, ?, ?, ?)";
        let error = report.error.as_deref().map(bounded);
        let (said_at, kept_at) = (report.at.as_millisecond(), now.as_millisecond());
        let (name, status) = (&report.provider_id, report.status.as_str());
        execute(connection, sql, (channel.as_str(), name, status, error, said_at, kept_at))?;
    }
    let sql = "DELETE FROM early_reports WHERE id <= (SELECT max(id) FROM early_reports) - ?";
    execute(connection, sql, (EARLY_MAX,)).map(drop)
}
