//! Attempts: many are recorded together. Their deliveries are locked and read at once,
//! [`bellpull_domain::plan::attempt`] decides the outcome of each, and each table is
//! written with one statement.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bellpull_domain::delivery::{Attempt, OutcomeKind, Rule};
use bellpull_domain::ids::{DeliveryId, WebhookId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::plan;
use bellpull_domain::plan::attempt::{Delivery, Moved};
use bellpull_domain::plan::step::Step;
use bellpull_domain::routing::Channel;
use bellpull_domain::webhook::Health;
use bellpull_port::StoreError;
use jiff::Timestamp;
use sqlx::postgres::PgRow;

use super::database::Connection;
use super::texts::storable;
use super::transaction::{Work, failed};
use super::{hung_lanes, provider_reports};
use crate::attempts::{Known, Planned, planned};
use crate::delivery_rows::{count, optional_name};
use crate::provider_reports::provider_ids;
use crate::rows::{Columns, get_name, get_time, int, optional_timestamp};

/// The deliveries with these ids, locked.
const DELIVERIES: &str = "SELECT d.id, d.status, d.rule, d.leases, \
    d.leased_until IS NOT NULL AS is_leased, d.failures, d.due_at, d.sent_at, d.until_seen, \
    (n.read_at IS NOT NULL OR n.deleted_at IS NOT NULL) AS is_seen, \
    d.digest_id IS NOT NULL AS is_in_digest, \
    CASE WHEN d.channel = 'WEBHOOK' THEN d.target_id END AS webhook_id FROM deliveries d \
    LEFT JOIN notifications n ON d.until_seen IS NOT NULL AND n.id = d.notification_id \
    WHERE d.id = ANY ($1) ORDER BY d.id FOR UPDATE OF d";

/// Those of these webhooks that are enabled, locked.
const WEBHOOKS: &str = "SELECT id, failures, failing_since FROM webhooks WHERE id = ANY ($1) AND is_active \
    ORDER BY id FOR UPDATE";

/// Adds those attempts that were not recorded before, and names them.
const ATTEMPTS: &str = "INSERT INTO delivery_attempts \
    (delivery_id, number, started_at, took_ms, outcome, detail) \
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], \
    $6::text[]) ON CONFLICT (delivery_id, number) DO NOTHING RETURNING delivery_id, number";

const MOVE: &str = "UPDATE deliveries d SET status = v.status, rule = v.rule, \
    failures = v.failures, due_at = v.due_at, sent_at = v.sent_at, error = v.error, \
    provider_id = coalesce(v.provider_id, d.provider_id), leased_until = NULL, \
    lease_owner = NULL FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], \
    $5::bigint[], $6::bigint[], $7::text[], $8::text[]) \
    AS v (id, status, rule, failures, due_at, sent_at, error, provider_id) WHERE d.id = v.id";

/// A webhook that does not exist any more, or that has failed for too long, is disabled. Its other
/// deliveries are suppressed when they are due.
const HEALTH: &str = "UPDATE webhooks w SET failures = v.failures, off_reason = v.off_reason, \
    failing_since = v.failing_since, is_active = v.off_reason IS NULL \
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) \
    AS v (id, failures, off_reason, failing_since) WHERE w.id = v.id \
    AND (w.failures <> v.failures OR v.off_reason IS NOT NULL)";

/// Removes subscriptions that do not exist any more. Other deliveries to them are held back when
/// they are due.
const FORGET_GONE: &str = "WITH gone AS (SELECT s.id FROM push_subscriptions s WHERE s.id IN \
    (SELECT d.target_id FROM deliveries d WHERE d.id = ANY ($1) AND d.channel = $2) \
    ORDER BY s.id FOR UPDATE) DELETE FROM push_subscriptions s USING gone WHERE s.id = gone.id";

/// What else a record may concern: hosts that hang, and early reports.
const ELSE: &str = "SELECT EXISTS (SELECT 1 FROM hung_lanes) AS has_hung_lanes, \
    EXISTS (SELECT 1 FROM early_reports WHERE provider_id = ANY ($1)) AS has_reports";

/// Records attempts, in their order.
pub(super) async fn record(mut work: Work, attempts: &[Attempt]) -> Result<(), StoreError> {
    let attempts: Vec<&Attempt> = attempts.iter().collect();
    let names = provider_ids(&attempts);
    let names: Vec<Cow<'_, str>> = names.iter().map(|name| storable(name)).collect();
    provider_reports::begin_record(&mut work, &names).await?;
    let known = known(&mut work, &attempts).await?;
    let of_known: Vec<&Attempt> =
        attempts.iter().copied().filter(|one| known.contains_key(&one.delivery)).collect();
    if of_known.is_empty() {
        work.roll_back().await;
        return Ok(());
    }
    let recorded = insert(&mut work, &of_known).await?;
    let Planned { moves, hooks, .. } = planned(&of_known, known, recorded);
    move_deliveries(&mut work, &moves).await?;
    save_health(&mut work, hooks).await?;
    let query = sqlx::query(ELSE).bind(&names);
    let other = query.fetch_one(&mut *work).await.map_err(failed)?;
    if other.flag("has_reports")? {
        provider_reports::take_early(&mut work, &names).await?;
    }
    hung_lanes::mark(&mut work, &attempts, other.flag("has_hung_lanes")?).await?;
    forget_gone(&mut work, &attempts).await?;
    work.commit().await
}

async fn known(
    connection: &mut Connection,
    attempts: &[&Attempt],
) -> Result<HashMap<DeliveryId, Known>, StoreError> {
    let ids: Vec<i64> = attempts.iter().map(|attempt| attempt.delivery.0).collect();
    let rows = sqlx::query(DELIVERIES).bind(ids).fetch_all(&mut *connection).await;
    let rows = rows.map_err(failed)?;
    let mut ids = BTreeSet::new();
    for row in &rows {
        ids.extend(row.int("webhook_id")?);
    }
    let mut hooks: HashMap<i64, Health> = HashMap::new();
    if !ids.is_empty() {
        let query = sqlx::query(WEBHOOKS).bind(ids.into_iter().collect::<Vec<i64>>());
        for row in query.fetch_all(connection).await.map_err(failed)? {
            let failing_since = optional_timestamp(row.int("failing_since")?)?;
            let failures = count(&row, "failures")?;
            let health = Health { failures, failing_since, off_reason: None };
            hooks.insert(int(&row, "id")?, health);
        }
    }
    let known = |row: &PgRow| {
        let hook = row.int("webhook_id")?;
        let hook = hook.and_then(|id| Some((WebhookId(id), hooks.get(&id)?.clone())));
        Ok((DeliveryId(int(row, "id")?), Known { delivery: delivery(row)?, hook }))
    };
    rows.iter().map(known).collect()
}

fn delivery(row: &PgRow) -> Result<Delivery, StoreError> {
    let (is_seen, is_in_digest) = (row.flag("is_seen")?, row.flag("is_in_digest")?);
    let step = |until: i64| Step { has_moved_on: until < 0, is_seen, is_in_digest };
    Ok(Delivery {
        status: get_name(row, "status", DeliveryStatus::from_name)?,
        rule: optional_name(row, "rule", Rule::from_name)?,
        leases: count(row, "leases")?,
        is_leased: row.flag("is_leased")?,
        failures: count(row, "failures")?,
        due_at: get_time(row, "due_at")?,
        sent_at: optional_timestamp(row.int("sent_at")?)?,
        step: row.int("until_seen")?.map(step),
    })
}

/// Adds the rows of attempts; returns those that were recorded before.
async fn insert(
    connection: &mut Connection,
    attempts: &[&Attempt],
) -> Result<BTreeSet<(DeliveryId, u32)>, StoreError> {
    let each = |value: fn(&Attempt) -> i64| attempts.iter().map(|one| value(one)).collect();
    let (deliveries, numbers): (Vec<i64>, Vec<i64>) =
        (each(|one| one.delivery.0), each(|one| i64::from(one.number)));
    let (started, took): (Vec<i64>, Vec<i64>) =
        (each(|one| one.started_at.as_millisecond()), each(|one| i64::from(one.took_ms)));
    let outcomes: Vec<&str> = attempts.iter().map(|one| one.outcome.kind().as_str()).collect();
    let details = attempts.iter().map(|one| plan::attempt::detail(one).map(storable));
    let details: Vec<Option<Cow<'_, str>>> = details.collect();
    let query = sqlx::query(ATTEMPTS).bind(deliveries).bind(numbers).bind(started).bind(took);
    let query = query.bind(outcomes).bind(details);
    let pair = |one: &&Attempt| (one.delivery, one.number);
    let mut recorded: BTreeSet<_> = attempts.iter().map(pair).collect();
    for row in query.fetch_all(connection).await.map_err(failed)? {
        recorded.remove(&(DeliveryId(int(&row, "delivery_id")?), count(&row, "number")?));
    }
    Ok(recorded)
}

async fn move_deliveries(
    connection: &mut Connection,
    moves: &BTreeMap<DeliveryId, Moved<'_>>,
) -> Result<(), StoreError> {
    if moves.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = moves.keys().map(|id| id.0).collect();
    let next = || moves.values().map(|moved| &moved.delivery);
    let statuses: Vec<&str> = next().map(|next| next.status.as_str()).collect();
    let rules: Vec<Option<&str>> = next().map(|next| next.rule.map(Rule::as_str)).collect();
    let failures: Vec<i64> = next().map(|next| i64::from(next.failures)).collect();
    let due: Vec<i64> = next().map(|next| next.due_at.as_millisecond()).collect();
    let sent: Vec<Option<i64>> =
        next().map(|next| next.sent_at.map(Timestamp::as_millisecond)).collect();
    let errors = moves.values().map(|moved| moved.error.map(storable));
    let errors: Vec<Option<Cow<'_, str>>> = errors.collect();
    let names = moves.values().map(|moved| moved.provider_id.map(storable));
    let names: Vec<Option<Cow<'_, str>>> = names.collect();
    let query = sqlx::query(MOVE).bind(ids).bind(statuses).bind(rules).bind(failures).bind(due);
    let query = query.bind(sent).bind(errors).bind(names);
    query.execute(connection).await.map(drop).map_err(failed)
}

async fn save_health(
    connection: &mut Connection,
    hooks: BTreeMap<WebhookId, Health>,
) -> Result<(), StoreError> {
    if hooks.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = hooks.keys().map(|id| id.0).collect();
    let failures: Vec<i64> = hooks.values().map(|health| i64::from(health.failures)).collect();
    let reasons: Vec<Option<&str>> =
        hooks.values().map(|health| health.off_reason.as_deref()).collect();
    let since = hooks.values().map(|health| health.failing_since);
    let since: Vec<Option<i64>> = since.map(|at| at.map(Timestamp::as_millisecond)).collect();
    let query = sqlx::query(HEALTH).bind(ids).bind(failures).bind(&reasons).bind(since);
    query.execute(connection).await.map(drop).map_err(failed)
}

async fn forget_gone(connection: &mut Connection, attempts: &[&Attempt]) -> Result<(), StoreError> {
    let gone = attempts.iter().filter(|attempt| attempt.outcome.kind() == OutcomeKind::Gone);
    let gone: Vec<i64> = gone.map(|attempt| attempt.delivery.0).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(FORGET_GONE).bind(gone).bind(Channel::Push.as_str());
    query.execute(connection).await.map(drop).map_err(failed)
}
