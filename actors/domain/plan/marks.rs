//! What marks write: entries become read, unread or deleted, each change with a number of its own.
//!
//! A store reads the entries that a mark may change, and the inboxes' heads. Two marks on one inbox
//! are planned one after the other, each on entries as the previous one has left them.
//!
//! A mark of a large inbox is written in portions, each in a group of its own: a group with all its
//! rows would keep everyone waiting for seconds. A portion examines a window of entries, the newest
//! first, and says where the next one begins.

use jiff::Timestamp;

use super::super::ids::{NotificationId, Seq, UserId};
use super::super::inbox::{Head, MARKED_MAX, Mark, Marked, RowState};

/// The most entries that the marks of one group examine: some 15 ms of work on SQLite, 45 ms on
/// PostgreSQL.
pub const PORTION_MAX: usize = 5_000;

/// The most entries that the first portion of a mark examines. It is written together with other
/// users' requests; the portions after it wait until those are written.
pub const FIRST_PORTION_MAX: usize = 1_000;

/// A request to mark entries of one inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkRequest {
    /// The inbox' user.
    pub user: UserId,
    /// The change of its entries.
    pub mark: Mark,
    /// When.
    pub at: Timestamp,
    /// Only entries before this number; `None` for the first portion.
    pub before: Option<Seq>,
    /// Only entries up to and including this number.
    pub up_to: Option<Seq>,
}

/// A portion that was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MarkedPortion {
    /// The changes, in the order of their numbers.
    pub changes: Vec<Marked>,
    /// The next portion is of entries before this number; `None` if this was the last one.
    pub rest: Option<Seq>,
}

/// The entries that a portion examines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Those before this number, the newest first.
    pub before: Seq,
    /// So many. A store reads one more, if there is one: then there is a next portion.
    pub most: usize,
}

/// An inbox in which entries are marked.
#[derive(Debug, Clone, Copy)]
pub struct MarkedInbox {
    /// The inbox' head.
    pub head: Head,
    /// Whether deliveries wait that are cancelled once an entry is seen.
    pub has_steps: bool,
}

/// An entry that a mark examines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub seq: Seq,
    /// Its id.
    pub id: NotificationId,
    /// Whether it is read.
    pub is_read: bool,
    /// Whether the mark is for it: never, if it is deleted.
    pub is_selected: bool,
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
pub struct MarkRows {
    /// The entries that change.
    pub entries: Vec<ChangedEntry>,
    /// The new heads of the inboxes.
    pub heads: Vec<(UserId, Head)>,
    /// The users whose waiting deliveries are cancelled because an entry was seen.
    pub seen_by: Vec<UserId>,
    /// The entries that those users have seen.
    pub seen: Vec<NotificationId>,
}

/// The marks of a group.
#[derive(Debug, Default)]
pub struct MarkPlan {
    rows: MarkRows,
    /// How many entries were examined.
    examined: usize,
}

impl MarkPlan {
    /// The rows that were planned since the last call.
    pub fn take(&mut self) -> MarkRows {
        std::mem::take(&mut self.rows)
    }

    /// What a mark examines now, in an inbox with this head. Marks of one group share
    /// [`PORTION_MAX`]: one that comes when it is used up examines nothing, and goes on later.
    #[must_use]
    pub fn window(&self, request: &MarkRequest, head: &Head) -> Window {
        let most = if request.before.is_some() { PORTION_MAX } else { FIRST_PORTION_MAX };
        let before = request.before.unwrap_or_else(|| head.last_seq.next());
        let end = request.up_to.map_or(i64::MAX, |up_to| up_to.0.saturating_add(1));
        Window { before: before.min(Seq(end)), most: most.min(PORTION_MAX - self.examined) }
    }

    /// Plans a mark of the entries in its window: of those that are given, in any order, the
    /// newest. Older ones are left to the next portion, and one that is given says that there is
    /// one. Each changed entry takes the next number, in the order of the entries' own.
    pub fn mark(
        &mut self,
        request: &MarkRequest,
        inbox: &mut MarkedInbox,
        mut found: Vec<Candidate>,
    ) -> MarkedPortion {
        let MarkRequest { user, mark, at, .. } = *request;
        let head = &mut inbox.head;
        let window = self.window(request, head);
        found.retain(|entry| entry.seq < window.before);
        found.sort_unstable_by_key(|entry| entry.seq);
        found.dedup_by_key(|entry| entry.seq);
        let older = found.len().saturating_sub(window.most);
        found.drain(..older);
        self.examined += found.len();
        let oldest = found.first().map_or(window.before, |entry| entry.seq);

        let (mut changes, mut ids) = (Vec::new(), Vec::new());
        for Candidate { seq, id, is_read, .. } in found.into_iter().filter(|one| one.is_selected) {
            let state = if is_read { RowState::Read } else { RowState::Unread };
            let Some((changed_seq, _)) = head.mark(state, mark) else { continue };
            self.rows.entries.push(ChangedEntry { user, seq, changed_seq, mark, at });
            ids.push(id);
            if ids.len() == MARKED_MAX {
                changes.push(marked(mark, std::mem::take(&mut ids), head));
            }
        }
        if !ids.is_empty() {
            changes.push(marked(mark, ids, head));
        }
        if !changes.is_empty() {
            self.rows.heads.push((user, *head));
            if inbox.has_steps && mark != Mark::Unread {
                self.rows.seen_by.push(user);
                self.rows.seen.extend(changes.iter().flat_map(|one| one.ids.iter().copied()));
            }
        }
        // Where nothing is unread, older entries have nothing to be read.
        let is_done = older == 0 || (mark == Mark::Read && head.unread_count == 0);
        MarkedPortion { changes, rest: (!is_done).then_some(oldest) }
    }
}

/// The change of these entries, which have just taken the last numbers.
fn marked(mark: Mark, ids: Vec<NotificationId>, head: &Head) -> Marked {
    let Head { last_seq, unread_count, .. } = *head;
    let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let first = Seq(last_seq.0 - count + 1);
    Marked { mark, ids: ids.into(), first, last: last_seq, unread_count }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USER: UserId = UserId(7);

    fn request(mark: Mark) -> MarkRequest {
        MarkRequest { user: USER, mark, at: Timestamp::UNIX_EPOCH, before: None, up_to: None }
    }

    fn entry(seq: i64, is_read: bool) -> Candidate {
        Candidate { seq: Seq(seq), id: NotificationId(100_000 - seq), is_read, is_selected: true }
    }

    fn inbox(has_steps: bool) -> MarkedInbox {
        let head = Head { last_seq: Seq(9), unread_count: 2, ..Head::default() };
        MarkedInbox { head, has_steps }
    }

    #[test]
    fn entries_change_in_the_order_of_their_numbers_each_once() {
        // Ids fall where numbers rise.
        let deleted = Candidate { is_selected: false, ..entry(3, false) };
        let found =
            vec![entry(4, false), entry(2, true), entry(1, false), entry(4, false), deleted];
        for (mark, ids, unread_count) in [
            (Mark::Read, &[99_999, 99_996][..], 0),
            (Mark::Unread, &[99_998], 3),
            (Mark::Delete, &[99_999, 99_998, 99_996], 0),
        ] {
            let (mut plan, mut inbox) = (MarkPlan::default(), inbox(true));
            let portion = plan.mark(&request(mark), &mut inbox, found.clone());
            assert_eq!(portion.rest, None);
            let [marked] = &portion.changes[..] else { panic!("{portion:?}") };
            let seen: Vec<i64> = marked.ids.iter().map(|id| id.0).collect();
            assert_eq!((seen.as_slice(), marked.unread_count), (ids, unread_count));
            let count = i64::try_from(ids.len()).unwrap();
            assert_eq!((marked.first, marked.last), (Seq(10), Seq(9 + count)));
            let rows = plan.take();
            assert_eq!(rows.heads, [(USER, inbox.head)]);
            assert_eq!(rows.seen.len(), if mark == Mark::Unread { 0 } else { ids.len() });
            assert!(plan.take().entries.is_empty(), "they are written once");
        }
    }

    #[test]
    fn what_changes_nothing_writes_nothing() {
        for (mark, found) in
            [(Mark::Read, vec![entry(1, true)]), (Mark::Unread, vec![]), (Mark::Delete, vec![])]
        {
            let (mut plan, mut inbox) = (MarkPlan::default(), inbox(true));
            let portion = plan.mark(&request(mark), &mut inbox, found);
            assert_eq!(portion, MarkedPortion::default());
            let rows = plan.take();
            assert!(rows.entries.is_empty() && rows.heads.is_empty() && rows.seen_by.is_empty());
            assert_eq!(inbox.head.last_seq, Seq(9));
        }
    }

    #[test]
    fn only_an_inbox_with_steps_has_some_called_off() {
        let (mut plan, mut inbox) = (MarkPlan::default(), inbox(false));
        plan.mark(&request(Mark::Read), &mut inbox, vec![entry(1, false)]);
        let rows = plan.take();
        assert!(rows.seen_by.is_empty() && rows.seen.is_empty());
    }

    #[test]
    fn marks_of_one_group_share_its_bound() {
        let mut plan = MarkPlan::default();
        let head = Head { last_seq: Seq(100_000), unread_count: 100_000, ..Head::default() };
        let found = || (1..=100_000).map(|seq| entry(seq, false)).collect::<Vec<_>>();
        let mut examined = Vec::new();
        for before in [None, Some(Seq(90_000)), None, Some(Seq(5))] {
            let mut inbox = MarkedInbox { head, has_steps: false };
            let request = MarkRequest { before, ..request(Mark::Delete) };
            let portion = plan.mark(&request, &mut inbox, found());
            examined.push((plan.take().entries.len(), portion.rest));
        }
        let wanted = [
            (FIRST_PORTION_MAX, Some(Seq(99_001))),
            (PORTION_MAX - FIRST_PORTION_MAX, Some(Seq(86_000))),
            (0, Some(Seq(100_001))),
            (0, Some(Seq(5))),
        ];
        assert_eq!(examined, wanted);
    }

    #[test]
    fn a_mark_up_to_a_number_ends_there_and_the_last_number_has_no_next() {
        for (up_to, count) in [(Seq(3), 3), (Seq(0), 0), (Seq(i64::MAX), 9)] {
            let (mut plan, mut inbox) = (MarkPlan::default(), inbox(false));
            let request = MarkRequest { up_to: Some(up_to), ..request(Mark::Delete) };
            let found = (1..=9).map(|seq| entry(seq, false)).collect();
            plan.mark(&request, &mut inbox, found);
            assert_eq!(plan.take().entries.len(), count, "{up_to:?}");
        }
    }

    proptest! {
        #[test]
        fn portions_together_are_the_whole_mark_in_changes_that_follow_each_other(
            reads in prop::collection::vec((any::<bool>(), any::<bool>()), 0..2_800),
            mark in prop::sample::select(vec![Mark::Read, Mark::Unread, Mark::Delete]),
        ) {
            let count = |of: &dyn Fn(&(bool, bool)) -> bool| {
                i64::try_from(reads.iter().filter(|row| of(row)).count()).unwrap()
            };
            let last_seq = Seq(i64::try_from(reads.len()).unwrap());
            let unread_count = count(&|(is_read, _)| !is_read);
            let head = Head { last_seq, unread_count, ..Head::default() };
            let mut inbox = MarkedInbox { head, has_steps: false };
            let candidates = (1..).zip(&reads).map(|(seq, (is_read, is_selected))| {
                Candidate { is_selected: *is_selected, ..entry(seq, *is_read) }
            });
            let found: Vec<Candidate> = candidates.collect();
            let (mut before, mut changed, mut portions) = (None, 0, 0);
            loop {
                let mut plan = MarkPlan::default();
                let request = MarkRequest { before, ..request(mark) };
                let portion = plan.mark(&request, &mut inbox, found.clone());
                let MarkedPortion { changes, rest } = portion;
                let rows = plan.take();
                portions += 1;
                for (n, one) in (1..).zip(&rows.entries) {
                    prop_assert_eq!(one.changed_seq, Seq(last_seq.0 + changed + n));
                }
                for change in &changes {
                    let ids = i64::try_from(change.ids.len()).unwrap();
                    prop_assert!((1..=i64::try_from(MARKED_MAX).unwrap()).contains(&ids));
                    prop_assert_eq!(change.first, Seq(last_seq.0 + changed + 1));
                    changed += ids;
                    prop_assert_eq!(change.last, Seq(last_seq.0 + changed));
                    let unread = match mark {
                        Mark::Read => unread_count - changed,
                        Mark::Unread => unread_count + changed,
                        Mark::Delete => change.unread_count,
                    };
                    prop_assert_eq!(change.unread_count, unread);
                }
                match rest {
                    Some(rest) => before = Some(rest),
                    None => break,
                }
            }
            let [read, unread] =
                [true, false].map(|is_read| count(&|row| *row == (is_read, true)));
            let wanted = match mark {
                Mark::Read => (unread, unread_count - unread),
                Mark::Unread => (read, unread_count + read),
                Mark::Delete => (read + unread, unread_count - unread),
            };
            prop_assert_eq!((changed, inbox.head.unread_count), wanted);
            prop_assert!(portions <= 1 + reads.len() / FIRST_PORTION_MAX);
        }
    }
}
