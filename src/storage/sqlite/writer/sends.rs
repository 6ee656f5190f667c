//! Sends: their next recipients, and their positions after them. Their notifications are written
//! with all others of the group, in [`super::set`].

use bellpull_domain::ids::SendId;
use bellpull_domain::plan::send::Progress;
use bellpull_port::StoreError;
use bellpull_port::send_log::CancelSend;
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::error::corrupt;
use super::super::statement::{execute, optional};
use super::begin::Beginnings;
use super::context::Place;
use super::failure::Failure;
use super::in_step;
use super::send_rows::Sends;
use super::{Answer, Done, Write};
use crate::send_chunks::Asked;

/// Finds the next recipients of the group's sends. Those without any, because they are
/// refused, repeated or finished, are answered here.
pub(super) fn plan<'a>(
    connection: &Connection,
    place: Place<'a>,
    writes: &[&'a Write],
    answers: &mut [Option<Answer>],
) -> Result<Sends<'a>, Failure> {
    let mut sends = Sends::default();
    let (mut begins, mut continues) = (Vec::new(), Vec::new());
    for (at, write) in writes.iter().enumerate() {
        if let Write::BeginSend(begin) = write {
            begins.push((at, &**begin));
        } else if let Write::ContinueSends { owner, ids, rows, now } = write {
            continues.push((at, Asked { owner, ids, rows: *rows, now: *now }));
        } else if let Write::ReleaseSends(owner) = write {
            sends.records.released.push(owner);
        }
    }
    if !begins.is_empty() {
        let mut known = Beginnings::read(connection, place, &begins)?;
        for (at, begin) in begins {
            match known.begin(connection, at, begin, &mut sends.records)? {
                Ok(chunk) => sends.chunks.push(chunk),
                Err(outcome) => answers[at] = Some(Ok(Done::Begun(Box::new(outcome)))),
            }
        }
    }
    in_step::go_on(connection, place, continues, &mut sends, answers)?;
    Ok(sends)
}

/// Stops a send. A chunk of the same group comes after this, and finds it stopped.
pub(super) fn cancel(connection: &Connection, id: SendId) -> Result<Answer, Failure> {
    let sql = "SELECT status, cursor > 0, told FROM sends WHERE id = ?";
    let row: Option<(String, bool, i64)> =
        optional(connection, sql, (id.0,), |row| row.try_into())?;
    let Some((status, was_begun, announced)) = row else { return Ok(Err(StoreError::NotFound)) };
    let progress = Progress::from_name(&status).ok_or_else(|| corrupt("status"))?;
    if !progress.can_cancel() {
        return Ok(Ok(Done::Cancelled(CancelSend::TooLate)));
    }
    let cancelled = (Progress::Cancelled.as_str(), id.0);
    execute(connection, "UPDATE sends SET status = ? WHERE id = ?", cancelled)?;
    Ok(Ok(Done::Cancelled(CancelSend::Cancelled { announced, was_begun })))
}

/// Forgets some of the keys that were first used before that time.
pub(super) fn forget_keys(
    connection: &Connection,
    before: Timestamp,
    limit: u32,
) -> Result<Answer, Failure> {
    let sql = "DELETE FROM idempotency_keys WHERE (owner_id, key) IN \
               (SELECT owner_id, key FROM idempotency_keys WHERE created_at < ? LIMIT ?)";
    Ok(Ok(Done::Changed(execute(connection, sql, (before.as_millisecond(), limit))?)))
}
