//! What is old is forgotten, a small step at a time.
//!
//! A step looks at so many rows and no more, whether or not it may remove them, and goes on behind
//! them: rows that something else still needs are not looked at again and again.

use std::collections::BTreeMap;

use bellpull_actors::port::retention::{Forgotten, Old, Position};
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::multi_row::{Cell, MultiRow, id_list};
use super::super::statement::{all, execute};
use super::group::Failure;
use super::{Answer, Done};

/// The highest change of those that an inbox has forgotten.
static FORGOTTEN: MultiRow = MultiRow::new(
    "UPDATE inboxes SET forgotten_seq = max(forgotten_seq, v.column2) FROM ",
    2,
    " AS v WHERE user_id = v.column1",
);

/// Ids were given in the order of births, so the oldest lie ahead of all others.
const DELIVERIES: &str = "SELECT id, max(due_at, ifnull(sent_at, 0)) < ?2, status <> 'QUEUED' \
    FROM deliveries WHERE id > ?1 ORDER BY id LIMIT ?3";

const TOMBSTONES: &str = "SELECT n.deleted_at, n.recipient_id, n.seq, n.changed_seq, n.id, \
    n.message_id, EXISTS (SELECT 1 FROM deliveries d WHERE d.notification_id = n.id) AS is_needed \
    FROM notifications n INDEXED BY notifications_deleted \
    WHERE n.deleted_at IS NOT NULL AND n.deleted_at < ?4 \
    AND (n.deleted_at, n.recipient_id, n.seq) > (?1, ?2, ?3) \
    ORDER BY n.deleted_at, n.recipient_id, n.seq LIMIT ?5";

/// What is still to be said is no more in the way than what is remembered by its key: both are few.
/// What a project's webhooks were told goes with the last of its deliveries, which name it.
const MESSAGES: &str = "SELECT m.created_at, m.id, EXISTS (SELECT 1 FROM sends s \
    WHERE s.message_id = m.id AND (s.status = 'ACTIVE' \
    OR EXISTS (SELECT 1 FROM idempotency_keys k WHERE k.send_id = s.id))) \
    OR EXISTS (SELECT 1 FROM deliveries d WHERE d.message_id = m.id) \
    FROM messages m INDEXED BY messages_free WHERE m.copies = 0 AND m.created_at < ?3 \
    AND (m.created_at, m.id) > (?1, ?2) ORDER BY m.created_at, m.id LIMIT ?4";

/// Rows of these messages are gone.
static COPIES: MultiRow = MultiRow::new(
    "UPDATE messages SET copies = max(copies - v.column2, 0) FROM ",
    2,
    " AS v WHERE id = v.column1",
);

/// A step of a walk that is wanted.
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
    };
    Ok(Ok(Done::Forgotten(forgotten)))
}

/// Whether there may be others behind so many.
fn is_full(found: usize, step: Step) -> bool {
    u32::try_from(found).is_ok_and(|found| found >= step.limit)
}

fn deliveries(connection: &Connection, step: Step) -> rusqlite::Result<Forgotten> {
    let Position([last, ..]) = step.from;
    let values = (last, step.before.as_millisecond(), step.limit);
    let found: Vec<(i64, bool, bool)> = all(connection, DELIVERIES, values, |row| row.try_into())?;
    let old = found.iter().filter(|(_, is_old, has_ended)| *is_old && *has_ended);
    let old: Vec<i64> = old.map(|(id, ..)| *id).collect();
    if !old.is_empty() {
        let list = id_list(old.iter().copied());
        let attempts = "DELETE FROM delivery_attempts \
                        WHERE delivery_id IN (SELECT value FROM json_each(?))";
        execute(connection, attempts, (&list,))?;
        let rows = "DELETE FROM deliveries WHERE id IN (SELECT value FROM json_each(?))";
        execute(connection, rows, (&list,))?;
    }
    // Where none of them is old, none behind them is: but for a few, which are a later walk's.
    let goes_on = is_full(found.len(), step) && found.iter().any(|(_, is_old, _)| *is_old);
    let next = found.last().filter(|_| goes_on).map(|(id, ..)| Position([*id, 0, 0]));
    Ok(Forgotten { removed: u64::try_from(old.len()).unwrap_or(u64::MAX), next })
}

/// A tombstone: when it was deleted, whose it is, its birth, its last change, its id, its message,
/// and whether a delivery of it is kept.
type Tombstone = (i64, i64, i64, i64, i64, i64, bool);

fn tombstones(connection: &Connection, step: Step) -> rusqlite::Result<Forgotten> {
    let Position([deleted_at, recipient, seq]) = step.from;
    let values = (deleted_at, recipient, seq, step.before.as_millisecond(), step.limit);
    let found: Vec<Tombstone> = all(connection, TOMBSTONES, values, |row| row.try_into())?;
    let (mut old, mut highest, mut copies) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (_, recipient, _, changed_seq, id, message, _) in found.iter().filter(|row| !row.6) {
        old.push(*id);
        *copies.entry(*message).or_default() += 1;
        let known = highest.entry(*recipient).or_insert(*changed_seq);
        *known = (*known).max(*changed_seq);
    }
    if !old.is_empty() {
        let cells = highest.into_iter().flat_map(|(user, seq)| [user, seq].map(Cell::Int));
        FORGOTTEN.run(connection, &cells.collect::<Vec<_>>())?;
        let cells = copies.into_iter().flat_map(|(id, count)| [id, count].map(Cell::Int));
        COPIES.run(connection, &cells.collect::<Vec<_>>())?;
        let rows = "DELETE FROM notifications WHERE id IN (SELECT value FROM json_each(?))";
        execute(connection, rows, (id_list(old.iter().copied()),))?;
    }
    let last = found.last().filter(|_| is_full(found.len(), step));
    let next = last.map(|(deleted_at, user, seq, ..)| Position([*deleted_at, *user, *seq]));
    Ok(Forgotten { removed: u64::try_from(old.len()).unwrap_or(u64::MAX), next })
}

fn messages(connection: &Connection, step: Step) -> rusqlite::Result<Forgotten> {
    let Position([created_at, last, _]) = step.from;
    let values = (created_at, last, step.before.as_millisecond(), step.limit);
    let found: Vec<(i64, i64, bool)> = all(connection, MESSAGES, values, |row| row.try_into())?;
    let free = found.iter().filter(|(.., is_needed)| !*is_needed);
    let free: Vec<i64> = free.map(|(_, id, _)| *id).collect();
    if !free.is_empty() {
        let list = id_list(free.iter().copied());
        let sends = "DELETE FROM sends WHERE message_id IN (SELECT value FROM json_each(?))";
        execute(connection, sends, (&list,))?;
        let rows = "DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?))";
        execute(connection, rows, (&list,))?;
    }
    let goes_on = found.last().filter(|_| is_full(found.len(), step));
    let next = goes_on.map(|(created_at, id, _)| Position([*created_at, *id, 0]));
    Ok(Forgotten { removed: u64::try_from(free.len()).unwrap_or(u64::MAX), next })
}
