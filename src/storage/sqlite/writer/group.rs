//! A group within its transaction: accounts and projects first, then marks, then all announcements:
//! decisions, comments, and chunks of sends; the outbox last, so that a lease sees what has just
//! been written.
//!
//! A reader sees all of a group or nothing of it, so the order within is free: each kind is applied
//! together, in the order of its requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellpull_domain::ids::{MessageId, Seq, UserId};
use bellpull_domain::inbox::{MessageContent, Reached};
use rusqlite::Connection;

use super::super::epoch;
use super::super::error::is_of_request;
use super::super::multi_row::{Cell, MultiRow};
use super::super::options::limit_pages;
use super::super::statement::execute;
use super::context::Place;
use super::failure::Failure;
use super::send_rows::Sends;
use super::set::Work;
use super::{Answer, Done, Write, accounts, marks, outbox, sends, set};
use crate::engine::{self, Db, SqlError, written};

static RAISE_DELIVERED: MultiRow = MultiRow::new(
    "UPDATE inboxes SET delivered_seq = min(v.column2, last_seq) FROM ",
    2,
    " AS v WHERE user_id = v.column1 AND (delivered_seq < min(v.column2, last_seq) \
     OR delivered_seq > last_seq)",
);

static RAISE_ACKNOWLEDGED: MultiRow = MultiRow::new(
    "INSERT INTO inboxes (user_id, last_seq, unread_count, acknowledged_seq) \
     SELECT column1, 0, 0, column2 FROM ",
    2,
    " WHERE column1 IS NOT NULL ON CONFLICT (user_id) DO UPDATE \
     SET acknowledged_seq = max(ifnull(acknowledged_seq, -1), excluded.acknowledged_seq)",
);

/// The result of a group, once its transaction is committed.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// One answer for each write, in order.
    pub(super) answers: Vec<Answer>,
    /// The new contents, by message id.
    pub(super) contents: Vec<(MessageId, Arc<MessageContent>)>,
    /// The file's new size limit, if one was set.
    pub(super) max_page_count: Option<u32>,
}

/// Applies all writes; a rejected request (a conflict, a name that is taken) leaves no trace in the
/// group.
pub(super) fn apply(
    connection: &mut Connection,
    place: Place<'_>,
    writes: &[&Write],
) -> Result<Applied, Failure> {
    let mut answers: Vec<Option<Answer>> = writes.iter().map(|_| None).collect();
    let mut applied = Applied::default();
    let mut created = Vec::new();
    operations(connection, writes, &mut answers)?;
    for (at, write) in writes.iter().enumerate() {
        if let Some(answer) = accounts::apply(connection, at, write, &mut created)? {
            answers[at] = Some(answer);
        }
        if let Write::LimitPages(pages) = write {
            limit_pages(connection, *pages)?;
            applied.max_page_count = Some(*pages);
        }
    }
    let connection = &*connection;
    flush(connection, place, writes)?;
    marks::apply(connection, place, writes, &mut answers)?;
    save_reached(connection, place, writes)?;
    let Sends { chunks, mut records } = sends::plan(connection, place, writes, &mut answers)?;
    let work = Work::of(writes, created, chunks);
    let written = set::apply(connection, place, work, &mut answers)?;
    (applied.contents, records.announced) = (written.contents, written.announced);
    records.write(connection)?;
    outbox::apply(connection, place, writes, &mut answers)?;
    place.staged.borrow_mut().write(connection, place.deferred)?;
    place.ids.save(connection)?;
    // The other writes have no answer of their own.
    applied.answers =
        answers.into_iter().map(|answer| answer.unwrap_or(Ok(Done::Nothing))).collect();
    Ok(applied)
}

/// Carries out operations, each by itself: what one that fails has written is rolled back, and the
/// others of the group stay.
fn operations(
    connection: &mut Connection,
    writes: &[&Write],
    answers: &mut [Option<Answer>],
) -> Result<(), Failure> {
    for (at, write) in writes.iter().enumerate() {
        let Write::Operation(operation) = write else { continue };
        execute(connection, "SAVEPOINT operation", ())?;
        let done = written(operation.run_any(&mut Db::Sqlite(connection)));
        if done.is_err() && !connection.is_autocommit() {
            execute(connection, "ROLLBACK TO operation", ())?;
        }
        answers[at] = Some(match done {
            Ok(answer) => Ok(Done::Operation(answer)),
            Err(engine::Failure::Refused(refused)) => Err(refused),
            Err(engine::Failure::Sql(SqlError::Sqlite(error))) if !is_of_request(&error) => {
                return Err(error.into());
            }
            Err(engine::Failure::Sql(error)) => Err(error.into()),
        });
        execute(connection, "RELEASE operation", ())?;
    }
    Ok(())
}

/// Writes deferred entries first: later writes find these inboxes in their tables.
fn flush(connection: &Connection, place: Place<'_>, writes: &[&Write]) -> rusqlite::Result<()> {
    let mut staged = place.staged.borrow_mut();
    for write in writes {
        if let Write::Flush(users) = write {
            staged.flush(connection, place.deferred, users.iter().copied())?;
        }
        if let Write::FlushSome(entries) = write {
            staged.flush_some(connection, place.deferred, *entries)?;
        }
        if let Write::RenewEpoch(name, known) = write {
            staged.flush(connection, place.deferred, place.deferred.inboxes())?;
            epoch::renew(connection, name, *known)?;
        }
        if write.changes_people() {
            staged.forget_known();
        }
    }
    Ok(())
}

/// Raises each position once, to the furthest of the group's requests.
fn save_reached(
    connection: &Connection,
    place: Place<'_>,
    writes: &[&Write],
) -> rusqlite::Result<()> {
    let mut furthest: BTreeMap<UserId, Reached> = BTreeMap::new();
    for write in writes {
        if let Write::SaveReached(positions) = write {
            for (user, reached) in positions {
                let known = furthest.entry(*user).or_default();
                *known = known.max(*reached);
            }
        }
    }
    let acknowledged = furthest.iter().filter_map(|(user, reached)| {
        let seq = reached.acknowledged?;
        Some([Cell::Int(user.0), Cell::Int(seq.0)])
    });
    RAISE_ACKNOWLEDGED.run(connection, &acknowledged.flatten().collect::<Vec<_>>())?;
    let mut staged = place.staged.borrow_mut();
    let delivered = furthest.into_iter().map(|(user, reached)| (user, reached.delivered));
    let stored = delivered.filter(|(user, seq)| !staged.deliver(place.deferred, *user, *seq));
    raise_delivered(connection, stored.collect::<Vec<_>>())
}

/// Saves positions of inboxes without deferred entries.
pub(super) fn raise_delivered(
    connection: &Connection,
    positions: impl IntoIterator<Item = (UserId, Seq)>,
) -> rusqlite::Result<()> {
    let positions = positions.into_iter();
    let cells = positions.flat_map(|(user, seq)| [Cell::Int(user.0), Cell::Int(seq.0)]);
    RAISE_DELIVERED.run(connection, &cells.collect::<Vec<_>>())
}
