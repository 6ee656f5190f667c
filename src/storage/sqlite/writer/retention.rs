//! Retention, in small steps: each reads the next rows of one kind in the order of their time, and
//! removes those that [`retention`] selects.

use bellpull_domain::ids::{DeliveryId, NotificationId, Seq, UserId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::plan::retention::{
    self, OldDelivery, Tombstone, TombstoneRemoval, UnusedMessage,
};
use bellpull_port::retention::{Forgotten, Old, Position};
use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::super::error::corrupt;
use super::super::multi_row::{Cell, MultiRow, id_list};
use super::super::rows::{optional_timestamp, timestamp};
use super::super::statement::{all, execute};
use super::failure::Failure;
use super::{Answer, Done};

/// The highest change of the rows that an inbox has lost.
static FORGOTTEN: MultiRow = MultiRow::new(
    "UPDATE inboxes SET forgotten_seq = max(forgotten_seq, v.column2) FROM ",
    2,
    " AS v WHERE user_id = v.column1",
);

/// In the order of their time, by an index: ids say nothing about it.
const DELIVERIES: &str = "SELECT id, due_at, sent_at, status \
    FROM deliveries INDEXED BY deliveries_age WHERE (due_at, id) > (?1, ?2) \
    ORDER BY due_at, id LIMIT ?3";

const TOMBSTONES: &str = "SELECT n.deleted_at, n.recipient_id, n.seq, n.changed_seq, n.id, \
    n.message_id, EXISTS (SELECT 1 FROM deliveries d WHERE d.notification_id = n.id) AS is_needed \
    FROM notifications n INDEXED BY notifications_deleted \
    WHERE n.deleted_at IS NOT NULL AND n.deleted_at < ?4 \
    AND (n.deleted_at, n.recipient_id, n.seq) > (?1, ?2, ?3) \
    ORDER BY n.deleted_at, n.recipient_id, n.seq LIMIT ?5";

/// Messages of sends that are active or referenced by a key stay, and are few. A message of a
/// project's webhooks is removed with the last of its deliveries, which name it.
const MESSAGES: &str = "SELECT m.created_at, m.id, EXISTS (SELECT 1 FROM sends s \
    WHERE s.message_id = m.id AND (s.status = 'ACTIVE' \
    OR EXISTS (SELECT 1 FROM idempotency_keys k WHERE k.send_id = s.id))) \
    OR EXISTS (SELECT 1 FROM deliveries d WHERE d.message_id = m.id) \
    FROM messages m INDEXED BY messages_free WHERE m.copies = 0 AND m.created_at < ?3 \
    AND (m.created_at, m.id) > (?1, ?2) ORDER BY m.created_at, m.id LIMIT ?4";

/// All of them may be removed.
const AUDIT: &str = "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log \
    INDEXED BY audit_log_at WHERE at < ?1 ORDER BY at, id LIMIT ?2)";

/// The same; one whose refresh token has expired has few access tokens left, if any.
const LOGINS: &str = "DELETE FROM logins WHERE id IN (SELECT id FROM logins \
    INDEXED BY logins_expired WHERE expires_at < ?1 AND access_until < ?1 \
    ORDER BY expires_at, id LIMIT ?2)";

/// Rows of these messages were removed.
static COPIES: MultiRow = MultiRow::new(
    "UPDATE messages SET copies = max(copies - v.column2, 0) FROM ",
    2,
    " AS v WHERE id = v.column1",
);

/// A step of a scan.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Step {
    pub(in super::super) what: Old,
    pub(in super::super) before: Timestamp,
    pub(in super::super) from: Position,
    pub(in super::super) limit: u32,
}

pub(super) fn forget(connection: &Connection, step: Step) -> Result<Answer, Failure> {
    let forgotten = match step.what {
        Old::Deliveries => deliveries(connection, step)?,
        Old::Tombstones => tombstones(connection, step)?,
        Old::Messages => messages(connection, step)?,
        Old::Audit => all_before(connection, AUDIT, step)?,
        Old::Logins => all_before(connection, LOGINS, step)?,
    };
    Ok(Ok(Done::Forgotten(forgotten)))
}

fn deliveries(connection: &Connection, step: Step) -> Result<Forgotten, Failure> {
    let Position([due_at, last, _]) = step.from;
    let values = (due_at, last, step.limit);
    let found = all(connection, DELIVERIES, values, |row| Ok(delivery(row)))?;
    let found = found.into_iter().collect::<Result<Vec<_>, Failure>>()?;
    let removal = retention::deliveries(&found, step.before, step.limit);
    if !removal.ids.is_empty() {
        let list = id_list(removal.ids.iter().map(|id| id.0));
        let attempts = "DELETE FROM delivery_attempts \
                        WHERE delivery_id IN (SELECT value FROM json_each(?))";
        execute(connection, attempts, (&list,))?;
        let rows = "DELETE FROM deliveries WHERE id IN (SELECT value FROM json_each(?))";
        execute(connection, rows, (&list,))?;
    }
    Ok(removal.outcome())
}

fn delivery(row: &Row<'_>) -> Result<OldDelivery, Failure> {
    let status: String = row.get(3)?;
    Ok(OldDelivery {
        id: DeliveryId(row.get(0)?),
        due_at: timestamp(row.get(1)?)?,
        sent_at: optional_timestamp(row.get(2)?)?,
        status: DeliveryStatus::from_name(&status).ok_or_else(|| corrupt("status"))?,
    })
}

fn tombstones(connection: &Connection, step: Step) -> Result<Forgotten, Failure> {
    let Position([deleted_at, recipient, seq]) = step.from;
    let values = (deleted_at, recipient, seq, step.before.as_millisecond(), step.limit);
    let found = all(connection, TOMBSTONES, values, |row| Ok(tombstone(row)))?;
    let found = found.into_iter().collect::<Result<Vec<_>, Failure>>()?;
    let TombstoneRemoval { removal, forgotten, copies } = retention::tombstones(&found, step.limit);
    if !removal.ids.is_empty() {
        let cells = forgotten.into_iter().flat_map(|(user, seq)| [user.0, seq.0].map(Cell::Int));
        FORGOTTEN.run(connection, &cells.collect::<Vec<_>>())?;
        let cells = copies.into_iter().flat_map(|(id, count)| [id, count].map(Cell::Int));
        COPIES.run(connection, &cells.collect::<Vec<_>>())?;
        let rows = "DELETE FROM notifications WHERE id IN (SELECT value FROM json_each(?))";
        execute(connection, rows, (id_list(removal.ids.iter().map(|id| id.0)),))?;
    }
    Ok(removal.outcome())
}

fn tombstone(row: &Row<'_>) -> Result<Tombstone, Failure> {
    Ok(Tombstone {
        deleted_at: timestamp(row.get(0)?)?,
        recipient: UserId(row.get(1)?),
        seq: Seq(row.get(2)?),
        changed_seq: Seq(row.get(3)?),
        id: NotificationId(row.get(4)?),
        message: row.get(5)?,
        has_deliveries: row.get(6)?,
    })
}

fn messages(connection: &Connection, step: Step) -> Result<Forgotten, Failure> {
    let Position([created_at, last, _]) = step.from;
    let values = (created_at, last, step.before.as_millisecond(), step.limit);
    let found: Vec<(i64, i64, bool)> = all(connection, MESSAGES, values, |row| row.try_into())?;
    let message = |(created_ms, id, is_needed)| {
        Ok(UnusedMessage { id, created_at: timestamp(created_ms)?, is_needed })
    };
    let found = found.into_iter().map(message).collect::<Result<Vec<_>, Failure>>()?;
    let removal = retention::messages(&found, step.limit);
    if !removal.ids.is_empty() {
        let list = id_list(removal.ids.iter().copied());
        let sends = "DELETE FROM sends WHERE message_id IN (SELECT value FROM json_each(?))";
        execute(connection, sends, (&list,))?;
        let rows = "DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?))";
        execute(connection, rows, (&list,))?;
    }
    Ok(removal.outcome())
}

fn all_before(connection: &Connection, sql: &str, step: Step) -> Result<Forgotten, Failure> {
    let removed = execute(connection, sql, (step.before.as_millisecond(), step.limit))?;
    let is_all = removed < u64::from(step.limit);
    Ok(Forgotten { removed, next: (!is_all).then_some(step.from) })
}
