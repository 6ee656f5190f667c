//! Sends: their next recipients, and their positions after them. Their notifications are written
//! with all others of the group, in [`super::set`].

use jiff::Timestamp;
use rusqlite::Connection;

use super::super::statement::execute;
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
