//! Sends in progress, in step: those that are furthest behind continue together, up to one
//! recipient for all of them, so that several messages to one user are written and sent at once.
//!
//! Each reads its audience in the order of the accounts' ids, and its cursor is an account. Sends
//! that are near each other ([`NEAR`]) take one turn: those of them with the lowest cursor share a
//! chunk, and stop at the lowest account that any of them reaches, or where others are: from there
//! on they are in step. Sends that are far apart take turns, so that a small one does not wait
//! until a huge one has come as far.
//!
//! A store plans a chunk in three moves: [`Turn::of`] selects the sends that continue; for each of
//! these the store reads a [`Portion`] between [`Turn::behind`] and [`Turn::last_for`]; and with
//! [`Turn::end`], [`Standing::advance`] returns the recipients of the chunk.

use std::ops::RangeInclusive;

use jiff::Timestamp;

use crate::ids::UserId;

/// Accounts between two sends, one of which waits for the other: some ten chunks, a tenth of a
/// second's.
pub const NEAR: i64 = 8_192;

/// Some of an audience.
#[derive(Debug)]
pub struct Portion {
    /// In the order of their ids.
    pub recipients: Vec<UserId>,
    /// The last account that was looked at.
    pub cursor: UserId,
    /// Whether others come after.
    pub has_more: bool,
}

impl Portion {
    /// The first `chunk` accounts after `cursor`, of accounts in the order of their ids.
    #[must_use]
    pub fn of(users: &[UserId], cursor: UserId, chunk: u32) -> Self {
        let rest = &users[users.partition_point(|user| *user <= cursor)..];
        let chunk = usize::try_from(chunk.max(1)).unwrap_or(usize::MAX);
        let recipients = rest[..rest.len().min(chunk)].to_vec();
        let cursor = recipients.last().copied().unwrap_or(cursor);
        let has_more = rest.len() > recipients.len();
        Self { recipients, cursor, has_more }
    }
}

/// The position of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Recipients up to this account have it.
    pub cursor: UserId,
    /// The highest account that there was when it was taken in: the walk ends there.
    pub last_user: UserId,
    /// Whether there are recipients left, and it is not cancelled.
    pub is_active: bool,
    /// When it begins.
    pub due_at: Timestamp,
}

impl Standing {
    /// Whether it has a next chunk now.
    #[must_use]
    pub fn goes_on(&self, now: Timestamp) -> bool {
        self.is_active && self.due_at <= now
    }

    /// Advances to `until`, or to its end (`None`); returns the recipients on the way.
    pub fn advance(&mut self, portion: Portion, until: Option<UserId>) -> Vec<UserId> {
        let Portion { mut recipients, cursor, has_more } = portion;
        let count = recipients.len();
        if let Some(until) = until {
            recipients.retain(|user| *user <= until);
        }
        let was_cut = recipients.len() < count;
        self.cursor = until.map_or(cursor, |until| until.min(self.last_user).max(self.cursor));
        self.is_active = has_more || was_cut || until.is_some_and(|until| until < self.last_user);
        recipients
    }
}

/// The turn among the sends that ask for a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// For each send, whether it is in the turn: it continues, or waits for others to catch up.
    pub had_turn: Vec<bool>,
    /// For each send, whether it continues.
    pub goes_on: Vec<bool>,
    /// The cursor of all that go on.
    pub behind: UserId,
    /// The next cursor: the chunk ends there.
    pub ahead: Option<UserId>,
    /// The most recipients that each of them reads; at least one.
    pub share: u32,
}

impl Turn {
    /// The turn for a chunk of this many rows; `None` if no send continues. The first send chooses:
    /// itself and those near it. A send that a store does not know, or that another owner has
    /// claimed, is `None`.
    #[must_use]
    pub fn of(sends: &[Option<Standing>], rows: u32, now: Timestamp) -> Option<Self> {
        let cursor =
            |send: &Option<Standing>| send.filter(|send| send.goes_on(now)).map(|send| send.cursor);
        let cursors: Vec<Option<UserId>> = sends.iter().map(cursor).collect();
        let near = near_first(&cursors)?;
        let behind = *near.start();
        let is_near = |cursor: &Option<UserId>| cursor.is_some_and(|one| near.contains(&one));
        let had_turn = cursors.iter().map(is_near).collect();
        let goes_on: Vec<bool> = cursors.iter().map(|cursor| *cursor == Some(behind)).collect();
        let size = goes_on.iter().filter(|goes_on| **goes_on).count();
        let share = (rows / u32::try_from(size).unwrap_or(u32::MAX)).max(1);
        let ahead = cursors.iter().flatten().filter(|cursor| **cursor > behind).min().copied();
        Some(Self { had_turn, goes_on, behind, ahead, share })
    }

    /// The last account that a portion of this send may have.
    #[must_use]
    pub fn last_for(&self, send: &Standing) -> UserId {
        self.ahead.map_or(send.last_user, |ahead| ahead.min(send.last_user))
    }

    /// Where all of a step stop: at the first end of a portion that is not the last of its send, or
    /// where others wait. `None`: each has come to its end.
    pub fn end<'p>(&self, portions: impl Iterator<Item = &'p Portion>) -> Option<UserId> {
        let unfinished = portions.filter(|portion| portion.has_more).map(|portion| portion.cursor);
        unfinished.chain(self.ahead).min()
    }
}

/// From the lowest to the highest cursor of those that are near the first, or near one that is.
fn near_first(cursors: &[Option<UserId>]) -> Option<RangeInclusive<UserId>> {
    let first = cursors.iter().flatten().next().copied()?;
    let mut sorted: Vec<UserId> = cursors.iter().flatten().copied().collect();
    sorted.sort_unstable();
    let (before, after) = sorted.split_at(sorted.partition_point(|cursor| *cursor < first));
    // As far as one follows the other without a gap.
    let reach =
        |last: UserId, next: UserId| ((last.0 - next.0).abs() <= NEAR).then_some(next).ok_or(last);
    let end = |found: Result<UserId, UserId>| found.unwrap_or_else(|last| last);
    let lowest = end(before.iter().rev().try_fold(first, |last, next| reach(last, *next)));
    Some(lowest..=end(after.iter().try_fold(first, |last, next| reach(last, *next))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(cursor: i64) -> Standing {
        let last_user = UserId(100_000);
        Standing { cursor: UserId(cursor), last_user, is_active: true, due_at: NOW }
    }

    #[test]
    fn portions_join_without_gap_or_overlap() {
        let users: Vec<UserId> = [2, 3, 5, 8, 13].map(UserId).to_vec();
        for chunk in 1..7 {
            let (mut seen, mut cursor, mut has_more) = (Vec::new(), UserId(0), true);
            while has_more {
                let portion = Portion::of(&users, cursor, chunk);
                seen.extend(portion.recipients);
                (cursor, has_more) = (portion.cursor, portion.has_more);
            }
            assert_eq!(seen, users, "by {chunk}");
        }
        assert!(Portion::of(&[], UserId(0), 5).recipients.is_empty());
    }

    #[test]
    fn those_near_the_first_take_its_turn() {
        let near = |cursors: &[i64]| {
            let cursors: Vec<_> = cursors.iter().map(|user| Some(UserId(*user))).collect();
            let near = near_first(&cursors).unwrap();
            (near.start().0, near.end().0)
        };
        assert_eq!(near(&[100]), (100, 100));
        assert_eq!(near(&[100, 7, 8_000]), (7, 8_000));
        assert_eq!(near(&[20_000, 4_000, 12_000, 28_192]), (4_000, 28_192), "one is near the next");
        assert_eq!(near(&[20_000, 7, 11_000, 28_193]), (20_000, 20_000));
        assert_eq!(near_first(&[None, Some(UserId(5))]), Some(UserId(5)..=UserId(5)));
        assert_eq!(near_first(&[None]), None);
    }

    #[test]
    fn the_furthest_behind_share_the_rows() {
        let later = NOW + jiff::SignedDuration::from_secs(1);
        let waits = Standing { due_at: later, ..at(0) };
        let is_over = Standing { is_active: false, ..at(0) };
        let sends = [Some(at(7)), None, Some(waits), Some(is_over), Some(at(90)), Some(at(7))];
        let turn = Turn::of(&sends, 9, NOW).unwrap();
        assert_eq!(turn.goes_on, [true, false, false, false, false, true]);
        assert_eq!(turn.had_turn, [true, false, false, false, true, true]);
        assert_eq!((turn.behind, turn.ahead, turn.share), (UserId(7), Some(UserId(90)), 4));
        assert_eq!(Turn::of(&sends, 1, NOW).unwrap().share, 1, "one recipient at least");
        assert_eq!(Turn::of(&sends[1..4], 9, NOW), None);
    }

    proptest! {
        /// For any audiences, cursors and sizes of chunks: every send ends, and each of its
        /// recipients has it once, in the order of their ids.
        #[test]
        fn each_recipient_has_each_send_once(
            audiences in prop::collection::vec(
                prop::collection::btree_set(1_i64..30_000, 0..40), 1..6,
            ),
            rows in prop::collection::vec(1_u32..50, 1..8),
        ) {
            let audiences: Vec<Vec<UserId>> =
                audiences.into_iter().map(|ids| ids.into_iter().map(UserId).collect()).collect();
            let mut sends: Vec<Option<Standing>> = audiences
                .iter()
                .map(|users| {
                    let last_user = users.last().copied().unwrap_or(UserId(0));
                    Some(Standing { last_user, is_active: !users.is_empty(), ..at(0) })
                })
                .collect();
            let mut reached = vec![Vec::new(); sends.len()];
            let mut steps = 0;
            while let Some(turn) = Turn::of(&sends, rows[steps % rows.len()], NOW) {
                let mut portions = Vec::new();
                for (nth, send) in sends.iter().flatten().enumerate() {
                    if turn.goes_on[nth] {
                        let last = turn.last_for(send);
                        let users = &audiences[nth];
                        let users = &users[..users.partition_point(|user| *user <= last)];
                        portions.push((nth, Portion::of(users, turn.behind, turn.share)));
                    }
                }
                let until = turn.end(portions.iter().map(|(_, portion)| portion));
                for (nth, portion) in portions {
                    reached[nth].extend(sends[nth].as_mut().unwrap().advance(portion, until));
                }
                steps += 1;
                prop_assert!(steps < 2_000, "the sends do not end");
            }
            prop_assert_eq!(reached, audiences);
        }
    }
}
