//! What marks write: entries become read, unread or deleted, each change with a number of its own.
//!
//! A store reads the entries that a mark may change, and the inboxes' heads. Two marks on one inbox
//! are planned one after the other, each on entries as the previous one has left them.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::ids::{NotificationId, Seq, UserId};
use super::super::inbox::{Head, Mark, Marked, RowState};

/// A request to mark entries of one inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkRequest {
    /// The inbox' user.
    pub user: UserId,
    /// The change of its entries.
    pub mark: Mark,
    /// When.
    pub at: Timestamp,
}

/// An inbox in which entries are marked.
#[derive(Debug, Clone, Copy)]
pub struct MarkedInbox {
    /// The inbox' head.
    pub head: Head,
    /// Whether deliveries wait that are cancelled once an entry is seen.
    pub has_steps: bool,
}

/// An entry that a mark may change; never one that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub seq: Seq,
    /// Its id.
    pub id: NotificationId,
    /// Whether it is read.
    pub is_read: bool,
}

/// An entry's new state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedEntry {
    /// The inbox' user.
    pub user: UserId,
    /// The entry's number.
    pub seq: Seq,
    /// The change's number.
    pub changed_seq: Seq,
    /// The change.
    pub mark: Mark,
    /// When.
    pub at: Timestamp,
}

/// What several marks write, each on another inbox.
#[derive(Debug, Default)]
pub struct MarkPlan {
    /// The entries that change.
    pub entries: Vec<ChangedEntry>,
    /// The new heads of the inboxes.
    pub heads: Vec<(UserId, Head)>,
    /// The users whose waiting deliveries are cancelled because an entry was seen.
    pub seen_by: Vec<UserId>,
    /// The entries that those users have seen.
    pub seen: Vec<NotificationId>,
}

impl MarkPlan {
    /// Plans a mark: each changed entry takes the next number, in the order of the entries' own.
    /// Returns the change for clients; `None` if nothing changes.
    pub fn mark(
        &mut self,
        request: MarkRequest,
        inbox: &mut MarkedInbox,
        mut found: Vec<Candidate>,
    ) -> Option<Marked> {
        let MarkRequest { user, mark, at } = request;
        found.sort_unstable_by_key(|entry| entry.seq);
        found.dedup_by_key(|entry| entry.seq);
        let head = &mut inbox.head;
        let first = head.last_seq.next();
        let mut ids = Vec::new();
        for Candidate { seq, id, is_read } in found {
            let state = if is_read { RowState::Read } else { RowState::Unread };
            if let Some((changed_seq, _)) = head.mark(state, mark) {
                self.entries.push(ChangedEntry { user, seq, changed_seq, mark, at });
                ids.push(id);
            }
        }
        if ids.is_empty() {
            return None;
        }
        self.heads.push((user, *head));
        if inbox.has_steps && mark != Mark::Unread {
            self.seen_by.push(user);
            self.seen.extend_from_slice(&ids);
        }
        let (last, unread_count) = (head.last_seq, head.unread_count);
        Some(Marked { mark, ids: Arc::from(ids), first, last, unread_count })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USER: UserId = UserId(7);

    fn request(mark: Mark) -> MarkRequest {
        MarkRequest { user: USER, mark, at: Timestamp::UNIX_EPOCH }
    }

    fn entry(seq: i64, is_read: bool) -> Candidate {
        Candidate { seq: Seq(seq), id: NotificationId(100 - seq), is_read }
    }

    fn inbox(has_steps: bool) -> MarkedInbox {
        let head = Head { last_seq: Seq(9), unread_count: 2, ..Head::default() };
        MarkedInbox { head, has_steps }
    }

    #[test]
    fn entries_change_in_the_order_of_their_numbers_each_once() {
        // Ids fall where numbers rise.
        let found = vec![entry(4, false), entry(2, true), entry(1, false), entry(4, false)];
        for (mark, ids, unread_count) in [
            (Mark::Read, &[99, 96][..], 0),
            (Mark::Unread, &[98], 3),
            (Mark::Delete, &[99, 98, 96], 0),
        ] {
            let (mut plan, mut inbox) = (MarkPlan::default(), inbox(true));
            let marked = plan.mark(request(mark), &mut inbox, found.clone()).unwrap();
            let seen: Vec<i64> = marked.ids.iter().map(|id| id.0).collect();
            assert_eq!((seen.as_slice(), marked.unread_count), (ids, unread_count));
            let count = i64::try_from(ids.len()).unwrap();
            assert_eq!((marked.first, marked.last), (Seq(10), Seq(9 + count)));
            assert_eq!(plan.heads, [(USER, inbox.head)]);
            assert_eq!(plan.seen.len(), if mark == Mark::Unread { 0 } else { ids.len() });
        }
    }

    #[test]
    fn what_changes_nothing_writes_nothing() {
        for (mark, found) in
            [(Mark::Read, vec![entry(1, true)]), (Mark::Unread, vec![]), (Mark::Delete, vec![])]
        {
            let (mut plan, mut inbox) = (MarkPlan::default(), inbox(true));
            assert_eq!(plan.mark(request(mark), &mut inbox, found), None);
            assert!(plan.entries.is_empty() && plan.heads.is_empty() && plan.seen_by.is_empty());
            assert_eq!(inbox.head.last_seq, Seq(9));
        }
    }

    #[test]
    fn only_an_inbox_with_steps_has_some_called_off() {
        let (mut plan, mut inbox) = (MarkPlan::default(), inbox(false));
        plan.mark(request(Mark::Read), &mut inbox, vec![entry(1, false)]).unwrap();
        assert!(plan.seen_by.is_empty() && plan.seen.is_empty());
    }

    proptest! {
        #[test]
        fn each_change_takes_the_next_number_and_the_count_is_that_of_the_entries(
            reads in prop::collection::vec(any::<bool>(), 0..30),
            mark in prop::sample::select(vec![Mark::Read, Mark::Unread, Mark::Delete]),
        ) {
            let unread = |reads: &[bool]| {
                i64::try_from(reads.iter().filter(|is_read| !**is_read).count()).unwrap()
            };
            let last_seq = Seq(i64::try_from(reads.len()).unwrap());
            let head = Head { last_seq, unread_count: unread(&reads), ..Head::default() };
            let mut inbox = MarkedInbox { head, has_steps: false };
            let found = (1..).zip(&reads).map(|(seq, is_read)| entry(seq, *is_read)).collect();
            let mut plan = MarkPlan::default();
            let marked = plan.mark(request(mark), &mut inbox, found);
            let changed = i64::try_from(plan.entries.len()).unwrap();
            let (total, before) = (last_seq.0, head.unread_count);
            let wanted = match mark {
                Mark::Read => (before, 0),
                Mark::Unread => (total - before, total),
                Mark::Delete => (total, 0),
            };
            prop_assert_eq!((changed, inbox.head.unread_count), wanted);
            prop_assert_eq!(marked.is_some(), changed > 0);
            for (n, entry) in (1..).zip(&plan.entries) {
                prop_assert_eq!(entry.changed_seq, Seq(total + n));
            }
        }
    }
}
