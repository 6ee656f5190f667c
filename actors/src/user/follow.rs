//! Following an inbox: hints in any order, with doubles and losses, become one sequence.
//!
//! The next number is applied, an old one is dropped, one that leaves a gap waits. What is missing
//! is on its way most times (two tickets' actors told this user at once), so the actor waits a
//! moment before it reads the gap from the store. Pure, so that every order can be tested.

use std::collections::BTreeMap;

use crate::domain::ids::Seq;
use crate::domain::inbox::{Birth, Change};

/// How many early hints wait; further ones are left to the store. About 100 KiB.
const WAITING_MAX: usize = 1_024;

/// The position in one inbox.
#[derive(Debug, Default)]
pub(super) struct Follow {
    /// The last number that was applied; `None` before the first reading of the store.
    at: Option<Seq>,
    /// The highest number ever heard of.
    target: Seq,
    waiting: BTreeMap<Seq, Change>,
}

impl Follow {
    /// The last number that was applied.
    pub(super) fn at(&self) -> Option<Seq> {
        self.at
    }

    /// Whether numbers are known to exist that were not applied.
    pub(super) fn has_gap(&self) -> bool {
        self.at.is_some_and(|at| at < self.target)
    }

    /// Somebody says that the inbox has come so far.
    pub(super) fn heard_of(&mut self, last: Seq) {
        self.target = self.target.max(last);
    }

    /// The store's state is known for the first time (later calls change nothing): what waited
    /// and now fits, in order.
    pub(super) fn begin(&mut self, head: Seq) -> Vec<Change> {
        if self.at.is_some() {
            return Vec::new();
        }
        self.at = Some(head);
        self.target = self.target.max(head);
        self.drain()
    }

    /// A hint: what can be applied now, in order.
    pub(super) fn offer(&mut self, change: Change) -> Vec<Change> {
        self.target = self.target.max(change.last());
        match self.at {
            Some(at) if change.last() <= at => return Vec::new(),
            // The usual case, without a detour through the map.
            Some(at) if change.first() == at.next() && self.waiting.is_empty() => {
                self.at = Some(change.last());
                return vec![change];
            }
            Some(_) | None => {}
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.insert(change.first(), change);
        }
        self.drain()
    }

    /// The store's births after the position, complete up to `head`: what can be applied now.
    pub(super) fn fill(&mut self, head: Seq, births: Vec<Birth>) -> Vec<Change> {
        let Some(at) = self.at else { return Vec::new() };
        let news = births.into_iter().filter(|birth| birth.seq > at);
        let mut applied: Vec<Change> =
            news.map(|birth| Change::Born { birth, unread_count: 0 }).collect();
        // The store tells of births alone; marks that were heard of keep their place among them.
        let later = self.waiting.split_off(&head.next());
        let early = std::mem::replace(&mut self.waiting, later).into_values();
        applied.extend(early.filter(|change| {
            matches!(change, Change::Marked(_)) && change.first() > at && change.last() <= head
        }));
        applied.sort_by_key(Change::first);
        self.at = Some(at.max(head));
        self.target = self.target.max(head);
        applied.append(&mut self.drain());
        applied
    }

    fn drain(&mut self) -> Vec<Change> {
        let mut applied = Vec::new();
        let Some(mut at) = self.at else { return applied };
        while let Some(first) = self.waiting.first_entry() {
            if first.get().last() <= at {
                first.remove();
            } else if *first.key() == at.next() {
                let change = first.remove();
                at = change.last();
                applied.push(change);
            } else {
                break;
            }
        }
        self.at = Some(at);
        applied
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::NotificationId;
    use crate::testing::letter;

    fn birth(seq: i64) -> Birth {
        Birth { id: NotificationId(seq * 10), seq: Seq(seq), is_read: false, message: letter("x") }
    }

    fn born(seq: i64) -> Change {
        Change::Born { birth: birth(seq), unread_count: 0 }
    }

    fn numbers(changes: &[Change]) -> Vec<i64> {
        changes.iter().map(|change| change.last().0).collect()
    }

    #[test]
    fn the_next_is_applied_an_old_one_dropped_and_a_gap_waits() {
        let mut follow = Follow::default();
        assert!(follow.offer(born(4)).is_empty(), "nothing is applied before the store was read");
        assert_eq!(numbers(&follow.begin(Seq(3))), [4]);
        assert!(follow.offer(born(2)).is_empty());
        assert!(follow.offer(born(7)).is_empty());
        assert!(follow.has_gap());
        assert!(follow.offer(born(6)).is_empty());
        assert_eq!(numbers(&follow.offer(born(5))), [5, 6, 7]);
        assert!(!follow.has_gap());
    }

    proptest! {
        /// Hints come in any order, some twice, some never; now and then the store is read. In
        /// the end each birth was applied once, in order.
        #[test]
        fn every_order_becomes_one_sequence(
            start in 0i64..5,
            hints in prop::collection::vec((1i64..60, any::<bool>()), 0..200),
        ) {
            let mut follow = Follow::default();
            let mut seen = Vec::new();
            let mut stored = start;
            seen.extend(numbers(&follow.begin(Seq(start))));
            for (seq, read) in hints {
                // A hint is only ever given for what is stored.
                stored = stored.max(seq);
                if read {
                    let at = follow.at().unwrap().0;
                    let births = (at + 1..=stored).map(birth).collect();
                    seen.extend(numbers(&follow.fill(Seq(stored), births)));
                } else {
                    seen.extend(numbers(&follow.offer(born(seq))));
                }
            }
            let at = follow.at().unwrap().0;
            let births = (at + 1..=stored).map(birth).collect();
            seen.extend(numbers(&follow.fill(Seq(stored), births)));
            let wanted: Vec<i64> = (start + 1..=stored).collect();
            prop_assert_eq!(seen, wanted);
            prop_assert!(!follow.has_gap());
        }
    }
}
