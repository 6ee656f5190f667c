//! Following an inbox: hints in any order, with duplicates and losses, become one sequence.
//!
//! The next number is applied, an old one is dropped, one that leaves a gap waits. The missing one
//! is usually on its way (two tickets' actors notified this user at once), so the actor waits a
//! moment before it reads the gap from the store. Pure, so that every order can be tested.

use std::collections::BTreeMap;

use smallvec::{SmallVec, smallvec};

use super::stretch::Stretch;
use crate::domain::ids::Seq;
use crate::domain::inbox::Change;

/// How many early hints wait; further ones are left to the store. About 100 KiB.
const WAITING_MAX: usize = 1_024;

/// The changes to apply, in order: nearly always one.
pub(super) type Applied = SmallVec<[Change; 1]>;

/// The position in one inbox.
#[derive(Debug, Default)]
pub(super) struct Follow {
    /// The last number that was applied; `None` before the first reading of the store.
    at: Option<Seq>,
    /// Where it began: changes up to there were never applied here.
    begun_at: Seq,
    /// The highest known number.
    target: Seq,
    waiting: BTreeMap<Seq, Change>,
}

impl Follow {
    /// The last number that was applied.
    pub(super) fn at(&self) -> Option<Seq> {
        self.at
    }

    /// Whether a read of the store that ended there is continued by the changes applied since it
    /// was begun. It is not if this began with a later read that was faster.
    pub(super) fn continues(&self, head: Seq) -> bool {
        head >= self.begun_at
    }

    /// Whether numbers are known that were not applied.
    pub(super) fn has_gap(&self) -> bool {
        self.at.is_some_and(|at| at < self.target)
    }

    /// The inbox is known to have reached that number.
    pub(super) fn heard_of(&mut self, last: Seq) {
        self.target = self.target.max(last);
    }

    /// The store's state is known for the first time (later calls change nothing): returns the
    /// waiting changes that now fit, in order.
    pub(super) fn begin(&mut self, head: Seq) -> Applied {
        if self.at.is_some() {
            return Applied::new();
        }
        self.at = Some(head);
        self.begun_at = head;
        self.target = self.target.max(head);
        self.drain()
    }

    /// A hint: returns the changes to apply now, in order.
    pub(super) fn offer(&mut self, change: Change) -> Applied {
        self.target = self.target.max(change.last());
        match self.at {
            Some(at) if change.last() <= at => return Applied::new(),
            // The usual case, without a detour through the map.
            Some(at) if change.first() == at.next() && self.waiting.is_empty() => {
                self.at = Some(change.last());
                return smallvec![change];
            }
            Some(_) | None => {}
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.insert(change.first(), change);
        }
        self.drain()
    }

    /// A stretch was read: returns the waiting changes to apply after it, in order; `None` if it
    /// has nothing new, or does not reach back to the position.
    pub(super) fn fill(&mut self, stretch: &Stretch) -> Option<Applied> {
        let at = self.at.filter(|at| stretch.after <= *at && *at < stretch.head)?;
        // Waiting changes up to its end are in it: a change of many rows is one transaction.
        self.waiting = self.waiting.split_off(&stretch.head.next());
        self.at = Some(at.max(stretch.head));
        self.target = self.target.max(stretch.head);
        Some(self.drain())
    }

    fn drain(&mut self) -> Applied {
        let mut applied = Applied::new();
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
