//! What clients were sent, and how many operations had changed the disk by then.
//!
//! A hub sends what it has committed. So a frame that arrives when so many operations were counted
//! proves that what it tells of depends on no later one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::check::Facts;
use super::finding::{Findings, Wrong};
use crate::disk::Counter;

/// What a frame says of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sent {
    /// A user has a notification.
    Row { user: u64, seq: u64, id: u64 },
    /// An inbox was changed.
    Change { user: u64, seq: u64 },
    /// A ticket has a version.
    Version { ticket: u64, version: u64 },
}

/// All frames, each with the number of operations at its arrival.
#[derive(Debug)]
pub(super) struct SentLog {
    counter: Counter,
    frames: Mutex<HashMap<Sent, usize>>,
}

impl SentLog {
    /// An empty one.
    pub(super) fn new(counter: Counter) -> Self {
        Self { counter, frames: Mutex::default() }
    }

    pub(super) fn operations(&self) -> usize {
        self.counter.now()
    }

    /// Notes a frame; its first arrival counts.
    pub(super) fn note(&self, frame: Sent) {
        let at = self.operations();
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.entry(frame).or_insert(at);
    }

    /// What was sent before so many operations had changed the disk, and what is missing of it.
    pub(super) fn take(&self) -> SentFrames {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        SentFrames(std::mem::take(&mut *frames))
    }
}

/// What was sent, with the number of operations at each frame's arrival.
#[derive(Debug, Clone, Default)]
pub(super) struct SentFrames(HashMap<Sent, usize>);

impl SentFrames {
    fn until(&self, operations: usize) -> impl Iterator<Item = Sent> {
        let frames = self.0.iter().filter(move |(_, at)| **at <= operations);
        frames.map(|(frame, _)| *frame)
    }

    /// The tickets of which frames had told by then.
    pub(super) fn tickets(&self, operations: usize) -> BTreeSet<u64> {
        let tickets = self.until(operations).filter_map(|frame| match frame {
            Sent::Version { ticket, .. } => Some(ticket),
            Sent::Row { .. } | Sent::Change { .. } => None,
        });
        tickets.collect()
    }

    /// All that was sent by then is stored, except for what was deleted.
    pub(super) fn check(
        &self,
        operations: usize,
        facts: &Facts,
        deleted: &HashMap<u64, u64>,
        findings: &mut Findings,
    ) {
        let rows = facts.inboxes.iter().flat_map(|(user, inbox)| {
            inbox.rows.iter().map(move |row| Sent::Row { user: *user, seq: row.seq, id: row.id })
        });
        let rows: HashSet<Sent> = rows.collect();
        let head = |user: &u64| facts.inboxes.get(user).map_or(0, |inbox| inbox.head);
        let versions = |ticket: &u64| {
            let history = facts.tickets.get(ticket).map(|ticket| ticket.history.iter());
            history.and_then(|lines| lines.map(|(version, _, _)| *version).max()).unwrap_or(0)
        };
        for frame in self.until(operations) {
            let is_stored = match &frame {
                Sent::Row { id, .. } => rows.contains(&frame) || deleted.contains_key(id),
                Sent::Change { user, seq } => head(user) >= *seq,
                Sent::Version { ticket, version } => versions(ticket) >= *version,
            };
            if !is_stored {
                findings.add(Wrong::Lost, || format!("a client was sent {frame:?}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{Inbox, InboxRow, TicketFacts};
    use super::*;

    #[test]
    fn what_was_sent_by_then_must_be_stored() {
        let row = Sent::Row { user: 1, seq: 3, id: 30 };
        let later = Sent::Row { user: 1, seq: 4, id: 40 };
        let change = Sent::Change { user: 1, seq: 5 };
        let version = Sent::Version { ticket: 9, version: 2 };
        let sent = SentFrames(HashMap::from([(row, 10), (later, 20), (change, 10), (version, 10)]));
        let lost = |facts: &Facts, deleted: &[u64]| {
            let deleted = deleted.iter().map(|id| (*id, 1)).collect();
            let mut findings = Findings::default();
            sent.check(15, facts, &deleted, &mut findings);
            findings.count(Wrong::Lost)
        };
        assert_eq!(sent.tickets(15), BTreeSet::from([9]));
        assert_eq!(sent.tickets(9), BTreeSet::new());
        let mut facts = Facts::default();
        assert_eq!(lost(&facts, &[]), 3);
        assert_eq!(lost(&facts, &[30]), 2);
        let rows = vec![InboxRow { seq: 3, id: 30, ..InboxRow::default() }];
        facts.inboxes.insert(1, Inbox { rows, unread_count: 1, head: 5 });
        let history = vec![(1, "create".to_owned(), 1), (2, "open".to_owned(), 2)];
        facts.tickets.insert(9, TicketFacts { history, ..TicketFacts::default() });
        assert_eq!(lost(&facts, &[]), 0);
        facts.inboxes.get_mut(&1).unwrap().head = 4;
        assert_eq!(lost(&facts, &[]), 1);
    }
}
