//! Retention: which rows may be removed, given the ages and states of the rows that a step has
//! read.
//!
//! A step reads a fixed number of rows in the order of their time, whether or not it may remove
//! them, and the next one continues after them: rows that are still needed are not read again and
//! again.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::ids::{DeliveryId, NotificationId, Seq, UserId};
use crate::notification::DeliveryStatus;

/// The position of a walk through old rows; only the store knows what the numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position(pub [i64; 3]);

impl Position {
    /// Where every walk begins.
    pub const START: Self = Self([i64::MIN; 3]);
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// How many were removed.
    pub removed: u64,
    /// Where the next step begins; `None` where nothing old lies ahead.
    pub next: Option<Position>,
}

/// A delivery, as a step finds it.
#[derive(Debug, Clone, Copy)]
pub struct OldDelivery {
    /// Which.
    pub id: DeliveryId,
    /// When it is or was due: the order of the walk.
    pub due_at: Timestamp,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// Its state.
    pub status: DeliveryStatus,
}

/// A tombstone, as a step finds it.
#[derive(Debug, Clone, Copy)]
pub struct Tombstone {
    /// Which.
    pub id: NotificationId,
    /// When it was deleted: the order of the walk, with the inbox and the number.
    pub deleted_at: Timestamp,
    /// The inbox' user.
    pub recipient: UserId,
    /// The number of its entry.
    pub seq: Seq,
    /// The number of its last change.
    pub changed_seq: Seq,
    /// Its message.
    pub message: i64,
    /// Whether a delivery of it is kept.
    pub has_deliveries: bool,
}

/// A message that no inbox has, as a step finds it.
#[derive(Debug, Clone, Copy)]
pub struct UnusedMessage {
    /// Which.
    pub id: i64,
    /// When it was created: the order of the walk.
    pub created_at: Timestamp,
    /// Whether a send that is active or remembered by its key, or a delivery, needs it.
    pub is_needed: bool,
}

/// The rows that a step removes, and where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal<Id> {
    /// Which.
    pub ids: Vec<Id>,
    /// See [`Forgotten::next`].
    pub next: Option<Position>,
}

impl<Id> Removal<Id> {
    /// The answer.
    #[must_use]
    pub fn outcome(&self) -> Forgotten {
        Forgotten { removed: u64::try_from(self.ids.len()).unwrap_or(u64::MAX), next: self.next }
    }
}

/// The tombstones that a step removes, and its effects elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TombstoneRemoval {
    /// Which.
    pub removal: Removal<NotificationId>,
    /// The highest change that each inbox loses: a client with a lower position cannot be told that
    /// the row is deleted.
    pub forgotten: BTreeMap<UserId, Seq>,
    /// How many rows each message loses.
    pub copies: BTreeMap<i64, i64>,
}

/// Whether there may be more rows behind `found` of them.
fn is_full(found: usize, limit: u32) -> bool {
    u32::try_from(found).is_ok_and(|found| found >= limit)
}

/// Removes deliveries that have ended, and were due and sent before that time. `found` is in the
/// order of `due_at`: behind a step in which all are due later, nothing is old.
#[must_use]
pub fn deliveries(found: &[OldDelivery], before: Timestamp, limit: u32) -> Removal<DeliveryId> {
    let is_old = |row: &&OldDelivery| {
        let has_ended = row.status != DeliveryStatus::Queued;
        has_ended && row.due_at < before && row.sent_at.is_none_or(|sent_at| sent_at < before)
    };
    let ids = found.iter().filter(is_old).map(|row| row.id).collect();
    let goes_on =
        is_full(found.len(), limit) && found.first().is_some_and(|row| row.due_at < before);
    let last = found.last().filter(|_| goes_on);
    let next = last.map(|row| Position([row.due_at.as_millisecond(), row.id.0, 0]));
    Removal { ids, next }
}

/// Removes tombstones, all of them old, of which no delivery is kept.
#[must_use]
pub fn tombstones(found: &[Tombstone], limit: u32) -> TombstoneRemoval {
    let mut ids = Vec::new();
    let (mut forgotten, mut copies) = (BTreeMap::new(), BTreeMap::new());
    for row in found.iter().filter(|row| !row.has_deliveries) {
        ids.push(row.id);
        *copies.entry(row.message).or_default() += 1;
        let highest = forgotten.entry(row.recipient).or_insert(row.changed_seq);
        *highest = (*highest).max(row.changed_seq);
    }
    let last = found.last().filter(|_| is_full(found.len(), limit));
    let next =
        last.map(|row| Position([row.deleted_at.as_millisecond(), row.recipient.0, row.seq.0]));
    TombstoneRemoval { removal: Removal { ids, next }, forgotten, copies }
}

/// Removes messages, all of them old, that nothing needs.
#[must_use]
pub fn messages(found: &[UnusedMessage], limit: u32) -> Removal<i64> {
    let ids = found.iter().filter(|row| !row.is_needed).map(|row| row.id).collect();
    let last = found.last().filter(|_| is_full(found.len(), limit));
    let next = last.map(|row| Position([row.created_at.as_millisecond(), row.id, 0]));
    Removal { ids, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn delivery(id: i64, due: i64, sent: Option<i64>, status: DeliveryStatus) -> OldDelivery {
        OldDelivery { id: DeliveryId(id), due_at: at(due), sent_at: sent.map(at), status }
    }

    #[test]
    fn deliveries_go_once_they_have_ended_and_all_their_times_are_past() {
        use DeliveryStatus::{Failed, Queued, Sent, Suppressed};
        let found = [
            delivery(9, 1, Some(2), Sent),
            delivery(2, 3, None, Queued),
            delivery(7, 4, Some(10), Sent),
            delivery(1, 5, None, Failed),
            delivery(3, 6, None, Suppressed),
            delivery(4, 10, None, Suppressed),
        ];
        let ids = [9, 1, 3].map(DeliveryId);
        assert_eq!(deliveries(&found, at(10), 9), Removal { ids: ids.to_vec(), next: None });
        let full = deliveries(&found[..4], at(10), 4);
        assert_eq!(full.ids, [9, 1].map(DeliveryId));
        assert_eq!(full.next, Some(Position([5, 1, 0])));
        assert_eq!(full.outcome().removed, 2);
        let young = [delivery(1, 10, None, Failed), delivery(2, 11, None, Failed)];
        assert_eq!(deliveries(&young, at(10), 2), Removal { ids: Vec::new(), next: None });
        let queued = [delivery(1, 1, None, Queued), delivery(2, 2, None, Queued)];
        let next = Some(Position([2, 2, 0]));
        assert_eq!(deliveries(&queued, at(10), 2), Removal { ids: Vec::new(), next });
    }

    #[test]
    fn an_inbox_notes_the_highest_change_that_it_forgets() {
        let row = |id: i64, recipient: i64, changed: i64, has_deliveries| Tombstone {
            id: NotificationId(id),
            deleted_at: at(id),
            recipient: UserId(recipient),
            seq: Seq(id),
            changed_seq: Seq(changed),
            message: 100 + id % 2,
            has_deliveries,
        };
        let found = [row(1, 5, 20, false), row(2, 5, 12, false), row(3, 6, 9, false)];
        let gone = tombstones(&[&found[..], &[row(4, 6, 30, true)]].concat(), 4);
        assert_eq!(gone.removal.ids, [1, 2, 3].map(NotificationId));
        assert_eq!(gone.removal.next, Some(Position([4, 6, 4])), "behind the one that stays");
        assert_eq!(gone.forgotten, BTreeMap::from([(UserId(5), Seq(20)), (UserId(6), Seq(9))]));
        assert_eq!(gone.copies, BTreeMap::from([(101, 2), (100, 1)]));
        assert_eq!(tombstones(&found, 4).removal.next, None);
    }

    #[test]
    fn messages_go_unless_something_needs_them() {
        let row = |id: i64, is_needed| UnusedMessage { id, created_at: at(id), is_needed };
        let gone = messages(&[row(1, true), row(2, false)], 2);
        assert_eq!((gone.ids, gone.next), (vec![2], Some(Position([2, 2, 0]))));
        assert_eq!(messages(&[row(1, true)], 2), Removal { ids: Vec::new(), next: None });
    }
}
