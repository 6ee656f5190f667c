//! Reports of providers about messages that they accepted; they may come to any node.
//!
//! A report may arrive before the outcome of its attempt, which brings the provider's id of the
//! message. A report of an unknown id is kept, and applied in the transaction of that outcome.
//! Reports that match none are removed after some time, or when there are too many.
//!
//! A record and an early report of one message must not miss each other: the record looks for
//! reports before it commits, and the report looks for the id before it is kept. Both hold a lock
//! of the id meanwhile, taken before any row's: records share it, and an early report has it alone.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bellpull_domain::delivery::{ProviderReport, ProviderStatus};
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::plan::attempt::bounded;
use bellpull_domain::plan::provider_report::Reported;
use bellpull_domain::routing::Channel;
use bellpull_port::StoreError;
use jiff::Timestamp;

use super::database::{Connection, Database};
use super::locks::{class, lock, lock_shared};
use super::texts::storable;
use super::transaction::{begin, failed};
use crate::delivery_rows::optional_name;
use crate::provider_reports::{EARLY_FOR_MS, EARLY_MAX, Named, changed};
use crate::rows::{get, get_name, get_time, int, string};

/// Reports that are written at once: a storm of them leaves connections to everything else.
pub(super) const AT_ONCE: usize = 2;

/// Whether a report may be ours: it names a delivery, or something is leased whose name is unknown.
const MAY_BE_OURS: &str = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE channel = $1 \
    AND provider_id = $2) AS is_known, EXISTS (SELECT 1 FROM deliveries \
    WHERE leased_until IS NOT NULL AND channel = $1) AS is_possible";

/// Locks are of one of 64 sets of ids: a record of very many takes no more.
const RECORDS: &str = concat!(
    "SELECT ",
    lock_shared!(provider_ids, "b.set"),
    " FROM (SELECT DISTINCT hashtext(name) & 63 AS set FROM unnest($1::text[]) AS v (name) \
    ORDER BY 1) b"
);
const EARLY: &str = concat!("SELECT ", lock!(provider_ids, "hashtext($1) & 63"));

/// The deliveries with these provider ids, locked.
const NAMED: &str = "SELECT d.channel, d.provider_id, d.id, d.status, d.provider_status \
    FROM unnest($1::text[], $2::text[]) AS w (channel, provider_id) \
    JOIN deliveries d ON d.channel = w.channel AND d.provider_id = w.provider_id \
    ORDER BY d.id FOR UPDATE OF d";

const APPLY: &str = "UPDATE deliveries d SET status = v.status, \
    provider_status = v.provider_status, provider_at = v.at, \
    error = CASE v.provider_status WHEN 'failed' THEN v.error ELSE d.error END \
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[]) \
    AS v (id, status, provider_status, error, at) WHERE d.id = v.id";

/// Removes the reports of these ids that name a delivery now, and returns them.
const TAKE_EARLY: &str = "DELETE FROM early_reports e WHERE e.provider_id = ANY ($1) \
    AND EXISTS (SELECT 1 FROM deliveries d WHERE d.channel = e.channel \
    AND d.provider_id = e.provider_id) \
    RETURNING e.id, e.channel, e.provider_id, e.status, e.error, e.said_at, e.kept_at";

const KEEP: &str = "INSERT INTO early_reports \
    (channel, provider_id, status, error, said_at, kept_at) VALUES ($1, $2, $3, $4, $5, $6)";

/// Removes old early reports, and the oldest where there are too many. Another node may be at it.
const FORGET: &str = "DELETE FROM early_reports WHERE id IN (SELECT id FROM early_reports \
    WHERE kept_at <= $1 OR id = ANY (ARRAY (SELECT id FROM early_reports \
    ORDER BY kept_at DESC, id DESC OFFSET $2)) FOR UPDATE SKIP LOCKED)";

/// Applies a report, or keeps it if it may be early. Whether it names a delivery.
pub(super) async fn take(
    pool: &Database,
    channel: Channel,
    mut report: ProviderReport,
    now: Timestamp,
) -> Result<bool, StoreError> {
    report.provider_id = storable(&report.provider_id).into_owned();
    // Others may send from the same number: a report that cannot be ours costs no write.
    let query = sqlx::query_as(MAY_BE_OURS).bind(channel.as_str()).bind(&report.provider_id);
    let (is_known, is_possible): (bool, bool) = query.fetch_one(pool).await.map_err(failed)?;
    if !is_known && !is_possible {
        return Ok(false);
    }
    let mut work = begin(pool).await.map_err(failed)?;
    if !is_known {
        let query = sqlx::query(EARLY).bind(&report.provider_id);
        query.execute(&mut *work).await.map_err(failed)?;
    }
    let reports = [(channel, report)];
    let named = named(&mut work, &reports).await?;
    let is_known = !named.is_empty();
    if is_known {
        apply(&mut work, named, &reports).await?;
    } else {
        let [(channel, report)] = reports;
        keep(&mut work, channel, &report, now).await?;
    }
    work.commit().await?;
    Ok(is_known)
}

/// Begins to record attempts that bring these ids: no report of them becomes an early one until the
/// transaction ends.
pub(super) async fn begin_record(
    connection: &mut Connection,
    names: &[Cow<'_, str>],
) -> Result<(), StoreError> {
    if names.is_empty() {
        return Ok(());
    }
    sqlx::query(RECORDS).bind(names).execute(connection).await.map(drop).map_err(failed)
}

/// Applies early reports of these ids, which attempts have brought.
pub(super) async fn take_early(
    connection: &mut Connection,
    names: &[Cow<'_, str>],
) -> Result<(), StoreError> {
    let rows = sqlx::query(TAKE_EARLY).bind(names).fetch_all(&mut *connection).await;
    let mut found = Vec::new();
    for row in &rows.map_err(failed)? {
        let channel = get_name(row, "channel", Channel::from_name)?;
        let status = get_name(row, "status", ProviderStatus::from_name)?;
        let (provider_id, at) = (string(row, "provider_id")?, get_time(row, "said_at")?);
        let error = get(row, "error")?;
        let report = ProviderReport { provider_id, status, error, at };
        found.push(((int(row, "kept_at")?, int(row, "id")?), (channel, report)));
    }
    found.sort_unstable_by_key(|(came, _)| *came);
    let reports: Vec<_> = found.into_iter().map(|(_, report)| report).collect();
    let named = named(connection, &reports).await?;
    apply(connection, named, &reports).await
}

async fn named(
    connection: &mut Connection,
    reports: &[(Channel, ProviderReport)],
) -> Result<Named, StoreError> {
    let pairs: BTreeSet<(&str, &str)> =
        reports.iter().map(|(channel, one)| (channel.as_str(), &*one.provider_id)).collect();
    let (channels, names): (Vec<&str>, Vec<&str>) = pairs.into_iter().unzip();
    let rows = sqlx::query(NAMED).bind(channels).bind(names).fetch_all(connection).await;
    let mut named = Named::new();
    for row in &rows.map_err(failed)? {
        let channel = get_name(row, "channel", Channel::from_name)?;
        let status = get_name(row, "status", DeliveryStatus::from_name)?;
        let provider_status = optional_name(row, "provider_status", ProviderStatus::from_name)?;
        let one = (DeliveryId(int(row, "id")?), Reported { status, provider_status });
        named.entry((channel, string(row, "provider_id")?)).or_default().push(one);
    }
    Ok(named)
}

/// Applies reports in order; each delivery that one of them changes is written once.
async fn apply(
    connection: &mut Connection,
    named: Named,
    reports: &[(Channel, ProviderReport)],
) -> Result<(), StoreError> {
    let changed = changed(named, reports.iter().map(|(channel, report)| (*channel, report)));
    if changed.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = changed.keys().map(|id| id.0).collect();
    let statuses: Vec<&str> = changed.values().map(|(next, _)| next.status.as_str()).collect();
    let said = || changed.values().map(|(_, report)| *report);
    let said_statuses: Vec<&str> = said().map(|report| report.status.as_str()).collect();
    let errors: Vec<Option<Cow<'_, str>>> = said().map(error).collect();
    let times: Vec<i64> = said().map(|report| report.at.as_millisecond()).collect();
    let query = sqlx::query(APPLY).bind(ids).bind(statuses).bind(said_statuses);
    let query = query.bind(errors).bind(times);
    query.execute(connection).await.map(drop).map_err(failed)
}

async fn keep(
    connection: &mut Connection,
    channel: Channel,
    report: &ProviderReport,
    now: Timestamp,
) -> Result<(), StoreError> {
    let now_ms = now.as_millisecond();
    let query = sqlx::query(KEEP).bind(channel.as_str()).bind(&report.provider_id);
    let query = query.bind(report.status.as_str()).bind(error(report));
    let query = query.bind(report.at.as_millisecond()).bind(now_ms);
    query.execute(&mut *connection).await.map_err(failed)?;
    let before = now_ms.saturating_sub(EARLY_FOR_MS);
    let query = sqlx::query(FORGET).bind(before).bind(EARLY_MAX);
    query.execute(connection).await.map(drop).map_err(failed)
}

/// What is stored of the provider's text.
fn error(report: &ProviderReport) -> Option<Cow<'_, str>> {
    report.error.as_deref().map(bounded).map(storable)
}
