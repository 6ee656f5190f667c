//! Deferred entries for readers that do not have the inbox written first.
//!
//! Deferred entries are the newest of their inbox, unread and unchanged. A reader that takes the
//! tail first and then reads the tables has both parts. If the inbox was written in between, the
//! tables have all of it; an entry that is in both is recognised by its number.

use std::collections::HashMap;

use bellpull_domain::ids::{Seq, UserId};
use bellpull_domain::inbox::Head;

use super::{Deferred, DeferredEntry, Inbox};

/// The deferred entries of an inbox.
#[derive(Debug, Default)]
pub(in super::super) struct Tail {
    end: End,
    entries: Vec<DeferredEntry>,
}

/// The inbox' head with them.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct End {
    last_seq: Seq,
    delivered: Seq,
}

impl Default for End {
    fn default() -> Self {
        Self { last_seq: Seq::ZERO, delivered: Seq::ZERO }
    }
}

impl Deferred {
    /// This inbox' deferred entries. To be called before the tables are read.
    pub(in super::super) fn tail(&self, user: UserId) -> Tail {
        let state = self.state();
        let Some(inbox) = state.held(user) else { return Tail::default() };
        let entries = inbox.numbered().map(|(seq, entry)| {
            let message = state.lists.message(entry);
            DeferredEntry { user, seq, id: entry.id, message }
        });
        Tail { end: inbox.end(), entries: entries.collect() }
    }

    /// The heads of those of these inboxes that have deferred entries.
    pub(in super::super) fn ends(&self, users: &[UserId]) -> HashMap<UserId, End> {
        let state = self.state();
        let end = |user: &UserId| Some((*user, state.held(*user)?.end()));
        users.iter().filter_map(end).collect()
    }
}

impl Inbox {
    fn end(&self) -> End {
        End { last_seq: self.position.last_seq, delivered: self.delivered }
    }
}

impl End {
    /// Completes a head from the tables.
    pub(in super::super) fn complete(self, head: &mut Head) {
        head.delivered_seq = head.delivered_seq.max(self.delivered);
        if head.last_seq < self.last_seq {
            // Every number since then is an entry's.
            head.unread_count += self.last_seq.0 - head.last_seq.0;
            head.last_seq = self.last_seq;
        }
    }
}

impl Tail {
    /// Completes a head from the tables; returns the entries that are not in them.
    pub(in super::super) fn complete(self, head: &mut Head) -> Vec<DeferredEntry> {
        let Self { end, mut entries } = self;
        entries.retain(|entry| entry.seq > head.last_seq);
        end.complete(head);
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_flushed_in_between_is_not_returned_twice() {
        let entry =
            |seq| DeferredEntry { user: UserId(1), seq: Seq(seq), id: seq + 100, message: 7 };
        let tail = || Tail {
            end: End { last_seq: Seq(9), delivered: Seq(5) },
            entries: vec![entry(8), entry(9)],
        };
        let stored = |last_seq, unread_count, delivered| Head {
            last_seq: Seq(last_seq),
            unread_count,
            delivered_seq: Seq(delivered),
            ..Head::default()
        };
        let mut before = stored(7, 3, 2);
        assert_eq!(tail().complete(&mut before), [entry(8), entry(9)]);
        assert_eq!(before, stored(9, 5, 5));
        for (mut flushed, whole) in [
            (stored(9, 5, 5), stored(9, 5, 5)),
            // Written since then.
            (stored(11, 3, 10), stored(11, 3, 10)),
        ] {
            assert!(tail().complete(&mut flushed).is_empty());
            assert_eq!(flushed, whole);
        }
        let mut other = stored(3, 1, 2);
        assert!(Tail::default().complete(&mut other).is_empty());
        assert_eq!(other, stored(3, 1, 2));
    }
}
