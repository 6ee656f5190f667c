//! The inbox: one sequence per user, in which every change of a row takes the next number.
//!
//! A birth, a read, an unread and a delete each take one; a change of many rows takes as many. The
//! unread count is kept beside the number, so a count always belongs to a known position. Both
//! stores apply changes with these functions inside their transaction.

use std::sync::Arc;

use super::encodings::Encodings;
pub use super::encodings::FormatId;
use super::ids::{MessageId, NotificationId, Seq};
use super::notification::Message;

/// The state of a whole inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last number taken.
    pub last_seq: Seq,
    /// How many rows are neither read nor deleted.
    pub unread_count: i64,
    /// The highest number known to have been sent to some socket of the user's.
    pub delivered_seq: Seq,
    /// The highest change of a deleted row that was forgotten since: who has not come as far may
    /// hold that row, and cannot be told any more that it is gone.
    pub forgotten_seq: Seq,
}

/// What can happen to a row after its birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// It was read.
    Read,
    /// It is to be read again.
    Unread,
    /// It is gone for its owner; a tombstone stays for those who sync.
    Delete,
}

/// A row's state as far as a mark is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    /// Never read, or marked unread.
    Unread,
    /// Read.
    Read,
    /// A tombstone.
    Deleted,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            last_seq: Seq::ZERO,
            unread_count: 0,
            delivered_seq: Seq::ZERO,
            forgotten_seq: Seq::ZERO,
        }
    }
}

impl Head {
    /// Whether a client that has come as far as that can be told of all that happened since. One
    /// that has seen nothing holds nothing.
    #[must_use]
    pub fn can_resume(&self, since: Seq) -> bool {
        since <= self.last_seq && (since >= self.forgotten_seq || since == Seq::ZERO)
    }

    /// A row is born: its number.
    pub fn append(&mut self) -> Seq {
        self.unread_count += 1;
        self.last_seq = self.last_seq.next();
        self.last_seq
    }

    /// A row is marked: the number of the change and the row's new state, or nothing where the
    /// mark changes nothing (reading what is read takes no number).
    pub fn mark(&mut self, row: RowState, mark: Mark) -> Option<(Seq, RowState)> {
        let after = match (row, mark) {
            (RowState::Deleted, _)
            | (RowState::Read, Mark::Read)
            | (RowState::Unread, Mark::Unread) => return None,
            (RowState::Unread, Mark::Read) => RowState::Read,
            (RowState::Read, Mark::Unread) => RowState::Unread,
            (RowState::Unread | RowState::Read, Mark::Delete) => RowState::Deleted,
        };
        self.unread_count += i64::from(after == RowState::Unread);
        self.unread_count -= i64::from(row == RowState::Unread);
        self.last_seq = self.last_seq.next();
        Some((self.last_seq, after))
    }
}

/// A row that was born: what a live client is shown.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The notification.
    pub id: NotificationId,
    /// Its number.
    pub seq: Seq,
    /// Whether it has been read; a row that is shown late may be.
    pub is_read: bool,
    /// Its text, shared by all its recipients.
    pub message: Arc<MessageContent>,
}

/// A row in its latest state: what a client that follows changes is shown of what it missed.
#[derive(Debug, Clone)]
pub struct Row {
    /// The row.
    pub entry: Entry,
    /// The number of its last change; its birth's, where there was none since.
    pub changed_seq: Seq,
    /// Whether only its tombstone is left.
    pub is_deleted: bool,
}

/// A row in its latest state without its text, which is read when it is its turn: a long backlog
/// of long texts is never in memory as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// The notification.
    pub id: NotificationId,
    /// The number of its birth.
    pub seq: Seq,
    /// The number of its last change.
    pub changed_seq: Seq,
    /// Whether it has been read.
    pub is_read: bool,
    /// Whether only its tombstone is left.
    pub is_deleted: bool,
    /// Where its text is.
    pub message: MessageId,
}

/// A message on its way to sockets, with its encodings: the bytes of each client format are made
/// once, when they are first needed, however many sockets they go to.
#[derive(Debug)]
pub struct MessageContent {
    /// What it says.
    pub message: Message,
    bytes: usize,
    encodings: Encodings,
}

impl MessageContent {
    /// A message, not encoded yet.
    #[must_use]
    pub fn new(message: Message) -> Arc<Self> {
        let bytes = message.bytes();
        Arc::new(Self { message, bytes, encodings: Encodings::default() })
    }

    /// About how much memory it takes with one encoding.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * self.bytes
    }

    /// The encoding in that format, made by `encode` the first time.
    pub fn encoded(&self, format: FormatId, encode: impl FnOnce(&Message) -> Box<[u8]>) -> &[u8] {
        self.encodings.get(format, || encode(&self.message))
    }
}

/// One change of an inbox, as its user's actor is told it.
#[derive(Debug, Clone)]
pub enum Change {
    /// A notification arrived.
    Added {
        /// What arrived; its `seq` is the change's number.
        entry: Entry,
        /// The count after it.
        unread_count: i64,
    },
    /// Rows were marked; they took the numbers from `first` to `last`.
    Marked(Marked),
}

/// Rows of one inbox that were marked together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// What happened to them.
    pub mark: Mark,
    /// The rows, in the order of their numbers.
    pub ids: Arc<[NotificationId]>,
    /// The number of the first row's change.
    pub first: Seq,
    /// The number of the last row's change.
    pub last: Seq,
    /// The count after all of them.
    pub unread_count: i64,
}

impl Change {
    /// The first number that the change took.
    #[must_use]
    pub fn first(&self) -> Seq {
        match self {
            Self::Added { entry, .. } => entry.seq,
            Self::Marked(marked) => marked.first,
        }
    }

    /// The last number that the change took.
    #[must_use]
    pub fn last(&self) -> Seq {
        match self {
            Self::Added { entry, .. } => entry.seq,
            Self::Marked(marked) => marked.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Entry,
        Mark(usize, Mark),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let mark = prop_oneof![Just(Mark::Read), Just(Mark::Unread), Just(Mark::Delete)];
        let step =
            prop_oneof![Just(Step::Entry), (0usize..20, mark).prop_map(|(n, m)| Step::Mark(n, m))];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn numbers_have_no_gap_and_the_count_is_always_that_of_the_rows(steps in steps()) {
            let mut head = Head::default();
            let mut rows: Vec<RowState> = Vec::new();
            let mut taken = Vec::new();
            for step in steps {
                match step {
                    Step::Entry => {
                        taken.push(head.append());
                        rows.push(RowState::Unread);
                    }
                    Step::Mark(n, mark) => {
                        if let Some(row) = rows.get_mut(n)
                            && let Some((seq, after)) = head.mark(*row, mark)
                        {
                            prop_assert_ne!(*row, after);
                            *row = after;
                            taken.push(seq);
                        }
                    }
                }
                let unread = rows.iter().filter(|row| **row == RowState::Unread).count();
                prop_assert_eq!(head.unread_count, i64::try_from(unread).unwrap());
            }
            let numbers: Vec<i64> = taken.iter().map(|seq| seq.0).collect();
            let wanted: Vec<i64> = (1..=i64::try_from(numbers.len()).unwrap()).collect();
            prop_assert_eq!(numbers, wanted);
        }
    }
}
