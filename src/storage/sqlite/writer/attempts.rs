//! Attempts: all of a group are recorded together. Their deliveries are read at once,
//! [`plan::attempt`] decides the outcome of each, and each table is written with one statement.

use std::collections::BTreeSet;

use bellpull_domain::delivery::{Attempt, Rule};
use bellpull_domain::ids::{DeliveryId, WebhookId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::plan;
use bellpull_domain::plan::attempt::{Delivery, Moved};
use bellpull_domain::plan::step::Step;
use bellpull_domain::webhook::Health;
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::super::attempts::{Known, Planned, planned};
use super::super::multi_row::{Cell, MultiRow, id_list};
use super::super::rows::to_json;
use super::super::statement::all;
use super::failure::Failure;
use super::{Write, hung_lanes, push, reports, webhooks};

/// The deliveries with these ids, each with its webhook if that is enabled.
const DELIVERIES: &str = "SELECT d.id, d.status, d.rule, d.leases, d.leased_until IS NOT NULL, \
    d.failures, d.due_at, d.sent_at, d.until_seen, \
    n.read_at IS NOT NULL OR n.deleted_at IS NOT NULL, d.digest_id IS NOT NULL, w.id, w.failures, \
    w.failing_since \
    FROM json_each(?1) i CROSS JOIN deliveries d ON d.id = i.value \
    LEFT JOIN notifications n ON d.until_seen IS NOT NULL AND n.id = d.notification_id \
    LEFT JOIN webhooks w ON d.channel = 'WEBHOOK' AND w.id = d.target_id AND w.is_active = 1";

/// Those of these attempts that were recorded before: pairs of a delivery and a number.
const RECORDED: &str = "SELECT a.delivery_id, a.number FROM json_each(?) w \
    CROSS JOIN delivery_attempts a \
    ON a.delivery_id = w.value ->> 0 AND a.number = w.value ->> 1";

static MOVE: MultiRow = MultiRow::new(
    "UPDATE deliveries SET status = v.column2, rule = v.column3, failures = v.column4, \
     due_at = v.column5, sent_at = v.column6, error = v.column7, \
     provider_id = ifnull(v.column8, provider_id), leased_until = NULL, lease_owner = NULL FROM ",
    8,
    " AS v WHERE id = v.column1",
);
static ATTEMPTS: MultiRow = MultiRow::new(
    "INSERT INTO delivery_attempts (delivery_id, number, started_at, took_ms, outcome, detail) \
     SELECT column1, column2, column3, column4, column5, column6 FROM ",
    6,
    " WHERE column1 IS NOT NULL",
);

/// Records all attempts of a group, in their order.
pub(super) fn record(connection: &Connection, writes: &[&Write]) -> Result<(), Failure> {
    let mut attempts: Vec<&Attempt> = Vec::new();
    for write in writes {
        if let Write::Record(some) = write {
            attempts.extend(some);
        }
    }
    if attempts.is_empty() {
        return Ok(());
    }
    let ids = id_list(attempts.iter().map(|attempt| attempt.delivery.0));
    let known = all(connection, DELIVERIES, (ids,), known)?.into_iter().collect();
    let Planned { moves, attempts: new, hooks } =
        planned(&attempts, known, recorded(connection, &attempts)?);
    let mut cells = Vec::with_capacity(moves.len() * 8);
    for (id, moved) in &moves {
        put_move(*id, moved, &mut cells);
    }
    webhooks::save_health(connection, hooks)?;
    MOVE.run(connection, &cells)?;
    let mut cells = Vec::with_capacity(new.len() * 6);
    for attempt in new {
        put_attempt(attempt, &mut cells);
    }
    ATTEMPTS.run(connection, &cells)?;
    reports::take_early(connection, &attempts)?;
    hung_lanes::mark(connection, &attempts)?;
    Ok(push::forget_gone(connection, &attempts)?)
}

fn recorded(
    connection: &Connection,
    attempts: &[&Attempt],
) -> Result<BTreeSet<(DeliveryId, u32)>, Failure> {
    let pairs: Vec<(DeliveryId, u32)> =
        attempts.iter().map(|attempt| (attempt.delivery, attempt.number)).collect();
    let pair = |row: &Row<'_>| Ok((DeliveryId(row.get(0)?), row.get(1)?));
    Ok(all(connection, RECORDED, (to_json(&pairs)?,), pair)?.into_iter().collect())
}

fn known(row: &Row<'_>) -> rusqlite::Result<(DeliveryId, Known)> {
    let status = DeliveryStatus::from_name(row.get_ref(1)?.as_str()?);
    let bad = || rusqlite::Error::InvalidColumnType(1, "status".to_owned(), Type::Text);
    let until_seen: Option<i64> = row.get(8)?;
    let (is_seen, is_in_digest) = (row.get(9)?, row.get(10)?);
    let step = |until: i64| Step { has_moved_on: until < 0, is_seen, is_in_digest };
    let delivery = Delivery {
        status: status.ok_or_else(bad)?,
        rule: row.get_ref(2)?.as_str_or_null()?.and_then(Rule::from_name),
        leases: row.get(3)?,
        is_leased: row.get(4)?,
        failures: row.get(5)?,
        due_at: instant(row, 6)?.unwrap_or_default(),
        sent_at: instant(row, 7)?,
        step: until_seen.map(step),
    };
    let hook: Option<i64> = row.get(11)?;
    let failures: Option<u32> = row.get(12)?;
    let (failures, failing_since) = (failures.unwrap_or_default(), instant(row, 13)?);
    let health = Health { failures, failing_since, off_reason: None };
    let hook = hook.map(|id| (WebhookId(id), health));
    Ok((DeliveryId(row.get(0)?), Known { delivery, hook }))
}

fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let ms: Option<i64> = row.get(column)?;
    ms.map(Timestamp::from_millisecond).transpose().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, Box::new(error))
    })
}

fn put_move<'a>(id: DeliveryId, moved: &Moved<'a>, cells: &mut Vec<Cell<'a>>) {
    let Moved { delivery, error, provider_id } = moved;
    let text = |text: Option<&'a str>| text.map_or(Cell::Null, Cell::from);
    cells.extend([Cell::Int(id.0), delivery.status.as_str().into()]);
    cells.extend([text(delivery.rule.map(Rule::as_str)), i64::from(delivery.failures).into()]);
    cells.push(delivery.due_at.as_millisecond().into());
    cells.push(delivery.sent_at.map(Timestamp::as_millisecond).into());
    cells.extend([text(*error), text(*provider_id)]);
}

fn put_attempt<'a>(attempt: &'a Attempt, rows: &mut Vec<Cell<'a>>) {
    rows.extend([Cell::Int(attempt.delivery.0), i64::from(attempt.number).into()]);
    rows.extend([attempt.started_at.as_millisecond(), i64::from(attempt.took_ms)].map(Cell::Int));
    let detail = plan::attempt::detail(attempt).map_or(Cell::Null, Cell::from);
    rows.extend([attempt.outcome.kind().as_str().into(), detail]);
}
