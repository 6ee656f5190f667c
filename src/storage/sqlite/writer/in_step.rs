//! Sends under way, in step: those that are furthest behind go on together, up to one recipient for
//! all of them, so that what several sends say to one person is written and told at once.
//!
//! Each goes through its audience in the order of the accounts' ids, and its cursor is an account.
//! Sends that are near each other ([`NEAR`]) take one turn: those of them with the lowest cursor
//! share a chunk, and stop at the lowest account that any of them comes to, or where others wait
//! that are further: from there on they are one step. Sends that are far apart take turns, so that
//! a small one does not wait until a huge one has come as far.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::domain::ids::{SendId, UserId};
use bellpull_actors::domain::inbox::MessageContent;
use bellpull_actors::domain::routing::{Channel, Channels};
use bellpull_actors::port::sends::{Chunk, Chunks};
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::multi_row::Cell;
use super::super::rows::json;
use super::super::statement::optional;
use super::Answer;
use super::Done;
use super::audience::{Audience, Portion};
use super::context::{Failure, Place};
use super::sends::{Reply, SendChunk, SendText, Sends, status};

/// Accounts between two sends, one of which waits for the other: some ten chunks, a tenth of a
/// second's.
const NEAR: i64 = 8_192;

/// Sends that are to go on, by so many notifications altogether: the first, and those near it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) ids: &'a [SendId],
    pub(super) rows: u32,
    pub(super) now: Timestamp,
}

/// A send under way, as it stands within the group.
#[derive(Debug)]
struct Running {
    message_id: i64,
    content: Arc<MessageContent>,
    audience: Arc<Audience>,
    channels: Channels,
    is_critical: bool,
    last_user: UserId,
    cursor: UserId,
    is_active: bool,
    has_moved: bool,
    due_at_ms: i64,
}

/// Plans the next chunk of the sends that are asked for; where several ask, one after the other.
pub(super) fn go_on(
    connection: &Connection,
    place: Place<'_>,
    asked: Vec<(usize, Asked<'_>)>,
    sends: &mut Sends<'_>,
    answers: &mut [Option<Answer>],
) -> Result<(), Failure> {
    let mut running: BTreeMap<SendId, Running> = BTreeMap::new();
    for (at, asked) in asked {
        for id in asked.ids {
            if !running.contains_key(id)
                && let Some(found) = read_running(connection, place, *id)?
            {
                running.insert(*id, found);
            }
        }
        let turn = step(connection, at, asked, &mut running, sends)?;
        let now_ms = asked.now.as_millisecond();
        let chunk = |(id, had_turn)| {
            let send: &Running = running.get(id)?;
            let has_more = send.is_active && send.due_at_ms <= now_ms;
            Some(Chunk { told: None, has_more, had_turn })
        };
        let chunks = asked.ids.iter().zip(turn).map(chunk).collect();
        // How long it took is known when it is committed.
        answers[at] = Some(Ok(Done::Chunks(Chunks { chunks, took: Duration::ZERO })));
    }
    for (id, send) in running.into_iter().filter(|(_, send)| send.has_moved) {
        let row = [Cell::Int(id.0), send.cursor.0.into(), status(send.is_active)];
        sends.records.cursors.extend(row);
    }
    Ok(())
}

/// The next step of those whose turn it is; which these are.
fn step(
    connection: &Connection,
    at: usize,
    asked: Asked<'_>,
    running: &mut BTreeMap<SendId, Running>,
    sends: &mut Sends<'_>,
) -> Result<Vec<bool>, Failure> {
    let now_ms = asked.now.as_millisecond();
    let cursor = |id: &SendId| {
        let send = running.get(id)?;
        (send.is_active && send.due_at_ms <= now_ms).then_some(send.cursor)
    };
    let cursors: Vec<Option<UserId>> = asked.ids.iter().map(cursor).collect();
    if cursors.iter().all(Option::is_none) {
        return Ok(vec![false; cursors.len()]);
    }
    let near = near_first(&cursors);
    let turn = cursors.iter().map(|cursor| cursor.is_some_and(|cursor| near.contains(&cursor)));
    let turn: Vec<bool> = turn.collect();
    let behind = *near.start();
    let ahead = cursors.iter().flatten().filter(|cursor| **cursor > behind).min().copied();
    let size = cursors.iter().filter(|cursor| **cursor == Some(behind)).count();
    let share = (asked.rows / u32::try_from(size).unwrap_or(u32::MAX)).max(1);
    let mut portions = Vec::with_capacity(size);
    for (nth, id) in asked.ids.iter().enumerate() {
        if cursors[nth] == Some(behind)
            && let Some(send) = running.get(id)
        {
            let last = ahead.map_or(send.last_user, |ahead| ahead.min(send.last_user));
            portions.push((nth, *id, send.audience.after(connection, behind, last, share)?));
        }
    }
    let until = common_end(portions.iter().map(|(_, _, portion)| portion), ahead);
    for (nth, id, portion) in portions {
        let Some(send) = running.get_mut(&id) else { continue };
        let recipients = send.advance(portion, until);
        sends.chunks.push(SendChunk {
            at,
            send: id,
            message_id: send.message_id,
            text: SendText::Written(Arc::clone(&send.content)),
            recipients,
            only: None,
            channels: send.channels,
            is_critical: send.is_critical,
            now: asked.now,
            reply: Reply::Continued { nth },
        });
    }
    Ok(turn)
}

/// From the lowest to the highest cursor of those that are near the first, or near one that is.
fn near_first(cursors: &[Option<UserId>]) -> RangeInclusive<UserId> {
    let first = cursors.iter().flatten().next().copied().unwrap_or(UserId(0));
    let mut sorted: Vec<UserId> = cursors.iter().flatten().copied().collect();
    sorted.sort_unstable();
    let (before, after) = sorted.split_at(sorted.partition_point(|cursor| *cursor < first));
    // As far as one follows the other without a gap.
    let reach =
        |last: UserId, next: UserId| ((last.0 - next.0).abs() <= NEAR).then_some(next).ok_or(last);
    let end = |found: Result<UserId, UserId>| found.unwrap_or_else(|last| last);
    let lowest = end(before.iter().rev().try_fold(first, |last, next| reach(last, *next)));
    lowest..=end(after.iter().try_fold(first, |last, next| reach(last, *next)))
}

/// Where all of a step stop: at the first end of a portion that is not the last of its send, or
/// where others wait. `None`: each has come to its end.
fn common_end<'p>(
    portions: impl Iterator<Item = &'p Portion>,
    ahead: Option<UserId>,
) -> Option<UserId> {
    let unfinished = portions.filter(|portion| portion.has_more).map(|portion| portion.cursor);
    unfinished.chain(ahead).min()
}

impl Running {
    /// Comes to `until`, or to its end: whom it reaches on the way.
    fn advance(&mut self, portion: Portion, until: Option<UserId>) -> Vec<UserId> {
        let Portion { mut recipients, cursor, has_more } = portion;
        let count = recipients.len();
        if let Some(until) = until {
            recipients.retain(|user| *user <= until);
        }
        let was_cut = recipients.len() < count;
        self.cursor = until.map_or(cursor, |until| until.min(self.last_user).max(self.cursor));
        self.is_active = has_more || was_cut || until.is_some_and(|until| until < self.last_user);
        self.has_moved = true;
        recipients
    }
}

type RunningRow = (i64, String, bool, i64, i64, bool, i64);

fn read_running(
    connection: &Connection,
    place: Place<'_>,
    id: SendId,
) -> Result<Option<Running>, Failure> {
    let sql = "SELECT message_id, channels, is_critical, last_user_id, cursor, \
               status = 'ACTIVE', due_at FROM sends WHERE id = ?";
    let row: Option<RunningRow> = optional(connection, sql, (id.0,), |row| row.try_into())?;
    let Some(row) = row else { return Ok(None) };
    let (message_id, channels, is_critical, last_user, cursor, is_active, due_at_ms) = row;
    let channels: Vec<Channel> = json(&channels)?;
    Ok(Some(Running {
        message_id,
        content: place.contents.one(connection, message_id)?,
        audience: place.audiences.of(connection, id)?,
        channels: Channels::of(&channels),
        is_critical,
        last_user: UserId(last_user),
        cursor: UserId(cursor),
        is_active,
        has_moved: false,
        due_at_ms,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_near_the_first_take_its_turn() {
        let near = |cursors: &[i64]| {
            let cursors: Vec<_> = cursors.iter().map(|user| Some(UserId(*user))).collect();
            let near = near_first(&cursors);
            (near.start().0, near.end().0)
        };
        assert_eq!(near(&[100]), (100, 100));
        assert_eq!(near(&[100, 7, 8_000]), (7, 8_000));
        assert_eq!(near(&[20_000, 4_000, 12_000, 28_192]), (4_000, 28_192), "one is near the next");
        assert_eq!(near(&[20_000, 7, 11_000, 28_193]), (20_000, 20_000));
        assert_eq!(near_first(&[None, Some(UserId(5))]), UserId(5)..=UserId(5));
    }
}
