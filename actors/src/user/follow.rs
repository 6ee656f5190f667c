//! Following an inbox: hints in any order, with duplicates and losses, become one sequence.
//!
//! The next number is applied, an old one is dropped, one that leaves a gap waits. The missing one
//! is usually on its way (two tickets' actors notified this user at once), so the actor waits a
//! moment before it reads the gap from the store. Pure, so that every order can be tested.
//!
//! A change of this node comes from its own commit. One that another node has announced is shown at
//! once too, but it is a claim: that these rows took these numbers. Until the store has confirmed
//! it, no position beyond it is saved ([`Follow::sure`]). So a message about another history of the
//! inbox (of a copy of the database, or of a server that was restored or failed over) delays what
//! it took the place of, and does not lose it.

use std::collections::BTreeMap;

use smallvec::{SmallVec, smallvec};

use super::stretch::Stretch;
use bellpull_domain::ids::{NotificationId, Seq};
use bellpull_domain::inbox::{Change, Marked};
use bellpull_port::inbox::Taken;

/// How many early hints wait; further ones are left to the store. About 100 KiB.
const WAITING_MAX: usize = 1_024;

/// How many numbers may be claimed and not confirmed; further changes are left to the store. About
/// 24 KiB.
const CLAIMS_MAX: usize = 1_024;

/// From so many on the store is asked early.
const CLAIMS_EARLY: usize = CLAIMS_MAX / 2;

/// The changes to apply, in order: nearly always one.
pub(super) type Applied = SmallVec<[Change; 1]>;

/// Who says that a change happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// This node, which has committed it.
    Own,
    /// Another node.
    Peer,
}

/// What the store is to confirm: that it has come as far as `at`, and the claims.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    pub(super) at: Option<Seq>,
    pub(super) claims: Vec<Taken>,
}

/// What was claimed and not confirmed.
#[derive(Debug)]
struct Unsure {
    /// Up to where the inbox is as the store has it.
    after: Seq,
    /// By their numbers.
    claims: Vec<Taken>,
}

/// The position in one inbox.
#[derive(Debug, Default)]
pub(super) struct Follow {
    /// The last number that was applied; `None` before the first reading of the store.
    at: Option<Seq>,
    /// Where it began: changes up to there were never applied here.
    begun_at: Seq,
    /// Up to where the store was read: hints up to there may come after that.
    read_to: Seq,
    /// The highest known number.
    target: Seq,
    waiting: BTreeMap<Seq, (Change, Source)>,
    /// Boxed: a word in each user's actor, and mostly empty.
    unsure: Option<Box<Unsure>>,
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
        (self.begun_at, self.read_to) = (head, head);
        self.target = self.target.max(head);
        self.drain()
    }

    /// A hint: returns the changes to apply now, in order.
    pub(super) fn offer(&mut self, change: Change, source: Source) -> Applied {
        self.target = self.target.max(change.last());
        match self.at {
            Some(at) if change.last() <= at => return Applied::new(),
            // The usual case, without a detour through the map.
            Some(at) if change.first() == at.next() && self.waiting.is_empty() => {
                return match self.take(&change, source) {
                    true => smallvec![change],
                    false => Applied::new(),
                };
            }
            Some(_) | None => {}
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.insert(change.first(), (change, source));
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
        self.read_to = self.read_to.max(stretch.head);
        self.target = self.target.max(stretch.head);
        Some(self.drain())
    }

    /// The store was asked when `heard` was the highest known number, and is at `head`. A node
    /// commits before it announces, so what it was said to have beyond that is false.
    pub(super) fn forget_false(&mut self, heard: Seq, head: Seq) {
        if head >= heard {
            return;
        }
        self.waiting.retain(|_, (change, _)| change.last() <= head || change.last() > heard);
        if self.target <= heard {
            self.target = self.at.map_or(head, |at| at.max(head));
        }
    }

    /// The highest number that is known.
    pub(super) fn target(&self) -> Seq {
        self.target
    }

    /// Up to where a position may be saved.
    pub(super) fn sure(&self) -> Seq {
        self.unsure.as_ref().map_or(Seq(i64::MAX), |unsure| unsure.after)
    }

    /// What the store is to be asked.
    pub(super) fn question(&self) -> Question {
        let claims = self.unsure.as_ref().map_or_else(Vec::new, |unsure| unsure.claims.clone());
        Question { at: self.at, claims }
    }

    /// Whether so much is unsure that the store should be asked now.
    pub(super) fn is_full(&self) -> bool {
        self.unsure.as_ref().is_some_and(|unsure| unsure.claims.len() >= CLAIMS_EARLY)
    }

    /// Whether a claim says otherwise about the numbers of this change.
    pub(super) fn contradicts(&self, change: &Change) -> bool {
        let Some(unsure) = &self.unsure else { return false };
        claims(change).any(|new| {
            unsure.claims.iter().any(|known| known.number == new.number && *known != new)
        })
    }

    /// Whether a change takes numbers that another one was applied with: the store gives out none
    /// twice, unless it is not what it was.
    pub(super) fn is_again(&self, change: &Change) -> bool {
        self.at.is_some_and(|at| change.last() <= at) && change.last() > self.read_to
    }

    /// The store has confirmed what it was asked.
    pub(super) fn confirmed(&mut self, question: &Question) {
        let (Some(unsure), Some(at)) = (&mut self.unsure, question.at) else { return };
        // Otherwise it is an answer about what was forgotten since.
        if !question.claims.is_empty() && unsure.claims.starts_with(&question.claims) {
            unsure.claims.drain(..question.claims.len());
            unsure.after = unsure.after.max(at);
            if unsure.claims.is_empty() {
                self.unsure = None;
            }
        }
    }

    /// Whether the store's refusal of what it was asked is about the present.
    pub(super) fn stands(&self, question: &Question) -> bool {
        let known = self.unsure.as_ref().map_or(&[][..], |unsure| &unsure.claims);
        self.at >= question.at && known.starts_with(&question.claims)
    }

    /// Moves to the end of a change; `false` if it is left to the store.
    fn take(&mut self, change: &Change, source: Source) -> bool {
        if source == Source::Peer {
            let after = self.at.unwrap_or(Seq::ZERO);
            let new = || Box::new(Unsure { after, claims: Vec::new() });
            let unsure = self.unsure.get_or_insert_with(new);
            unsure.claims.extend(claims(change).take(CLAIMS_MAX + 1 - unsure.claims.len()));
            if unsure.claims.len() > CLAIMS_MAX {
                let first = change.first();
                unsure.claims.retain(|claim| claim.number < first);
                return false;
            }
        }
        self.at = Some(change.last());
        true
    }

    fn drain(&mut self) -> Applied {
        let mut applied = Applied::new();
        while let Some(at) = self.at
            && let Some(first) = self.waiting.first_entry()
        {
            if first.get().0.last() <= at {
                first.remove();
            } else if *first.key() == at.next() {
                let (change, source) = first.remove();
                if self.take(&change, source) {
                    applied.push(change);
                }
            } else {
                break;
            }
        }
        applied
    }
}

/// The numbers that a change took, each with its row.
fn claims(change: &Change) -> impl Iterator<Item = Taken> {
    let (first, added, marked): (_, _, &[NotificationId]) = match change {
        Change::Added { entry, .. } => (entry.seq, Some(entry.id), &[]),
        Change::Marked(Marked { first, ids, .. }) => (*first, None, ids),
    };
    let is_entry = added.is_some();
    let ids = added.into_iter().chain(marked.iter().copied());
    (first.0..).zip(ids).map(move |(number, id)| Taken { number: Seq(number), id, is_entry })
}
