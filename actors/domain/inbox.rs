//! The inbox: one sequence per user, in which every change of a row takes the next number.
//!
//! A new entry, a read, an unread and a delete each take one; a change of many rows takes as many.
//! The unread count is stored beside the number, so a count always belongs to a known position. All
//! stores apply changes with these functions inside their transaction.

use std::sync::Arc;

use super::encodings::Encodings;
pub use super::encodings::FormatId;
use super::ids::{MessageId, NotificationId, Seq};
use super::notification::Message;
use crate::message_trace::MessageTrace;

/// The state of a whole inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last number taken.
    pub last_seq: Seq,
    /// How many rows are neither read nor deleted.
    pub unread_count: i64,
    /// The highest number known to have been sent to one of the user's sockets.
    pub delivered_seq: Seq,
    /// The highest change of a deleted row that retention has removed: a client with a lower
    /// position may still hold that row, and cannot be told that it is deleted.
    pub forgotten_seq: Seq,
}

/// How far an inbox has come to its owner. Positions only increase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached {
    /// Everything up to this number has arrived at some session.
    pub delivered: Seq,
    /// Everything up to this number was acknowledged: only a client that acknowledges moves it.
    /// `None` before the first such session.
    pub acknowledged: Option<Seq>,
}

/// Delivered up to there, and nothing acknowledged.
impl From<Seq> for Reached {
    fn from(delivered: Seq) -> Self {
        Self { delivered, acknowledged: None }
    }
}

impl Reached {
    /// The further one of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            delivered: self.delivered.max(other.delivered),
            acknowledged: self.acknowledged.max(other.acknowledged),
        }
    }

    /// Both at most there.
    #[must_use]
    pub fn up_to(self, last: Seq) -> Self {
        let acknowledged = self.acknowledged.map(|seq| seq.min(last));
        Self { delivered: self.delivered.min(last), acknowledged }
    }

    /// Whether it adds nothing to the other.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        self.max(other) == other
    }
}

/// A change of an existing row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// It was read.
    Read,
    /// It is to be read again.
    Unread,
    /// It is deleted for its owner; a tombstone stays for clients that synchronise.
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
    /// Whether a client at that position can be told of everything that happened since. A client at
    /// 0 holds nothing.
    #[must_use]
    pub fn can_resume(&self, since: Seq) -> bool {
        since <= self.last_seq && (since >= self.forgotten_seq || since == Seq::ZERO)
    }

    /// The head as it is read: a delivered position that the inbox has not reached says nothing
    /// about what was sent, so nothing counts as sent. A client may then be sent something again,
    /// never nothing.
    #[must_use]
    pub fn mended(mut self) -> Self {
        if self.delivered_seq > self.last_seq {
            self.delivered_seq = Seq::ZERO;
        }
        self
    }

    /// Appends an entry; returns its number.
    pub fn append(&mut self) -> Seq {
        self.unread_count += 1;
        self.last_seq = self.last_seq.next();
        self.last_seq
    }

    /// Marks a row: the number of the change and the row's new state; `None` if the mark changes
    /// nothing (marking a read row as read takes no number).
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

/// A new entry, as a live client is shown it.
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

/// A row in its latest state, as a client that follows changes is shown it.
#[derive(Debug, Clone)]
pub struct Row {
    /// The row.
    pub entry: Entry,
    /// The number of its last change, or of its entry if it has not changed since.
    pub changed_seq: Seq,
    /// Whether only its tombstone is left.
    pub is_deleted: bool,
}

/// A row in its latest state without its text, which is read when needed: a long backlog of long
/// texts is never in memory as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// The notification.
    pub id: NotificationId,
    /// The number of its entry.
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

/// A message content for sockets, with a cache of its encodings: each dialect's bytes are made
/// once, when they are first needed, however many sockets they are sent to.
#[derive(Debug)]
pub struct MessageContent {
    /// The message.
    pub message: Message,
    bytes: usize,
    encodings: Encodings,
    /// The trace of the request that it comes from.
    pub trace: MessageTrace,
}

impl MessageContent {
    /// A message, not encoded yet.
    #[must_use]
    pub fn new(message: Message) -> Arc<Self> {
        let bytes = message.bytes();
        Arc::new(Self {
            message,
            bytes,
            encodings: Encodings::default(),
            trace: MessageTrace::default(),
        })
    }

    /// Its approximate memory with one encoding.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * self.bytes
    }

    /// The encoding in that format, made by `encode` the first time.
    pub fn encoded(&self, format: FormatId, encode: impl FnOnce(&Message) -> Box<[u8]>) -> &[u8] {
        self.encodings.get(format, || encode(&self.message))
    }
}

/// One change of an inbox, as its user's actor receives it.
#[derive(Debug, Clone)]
pub enum Change {
    /// A notification arrived.
    Added {
        /// A new entry; its `seq` is the change's number.
        entry: Entry,
        /// The count after it.
        unread_count: i64,
    },
    /// Rows were marked; they took the numbers from `first` to `last`.
    Marked(Marked),
}

/// The most rows that one [`Marked`] names: each socket is sent them in one frame (4 KiB of ids, up
/// to 10 KiB of long ones), and each node in one message. More rows are several changes.
pub const MARKED_MAX: usize = 500;

/// Rows of one inbox that were marked together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// The change.
    pub mark: Mark,
    /// The rows, in the order of their numbers; at most [`MARKED_MAX`].
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
