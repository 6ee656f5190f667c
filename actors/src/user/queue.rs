//! What a session is still to be shown: a backlog, and live changes behind it.
//!
//! Of a long backlog only the rows are here; their texts are read portion by portion. Pure.

use std::collections::VecDeque;

use super::backlog::Texts;
use super::stretch::{Item, Line, Text};
use bellpull_domain::ids::{MessageId, Seq};
use bellpull_port::budget::Room;

/// How many frames of a backlog are written before the connection must have accepted them: a fourth
/// of what may wait for a slow reader.
pub(super) const PORTION: usize = 64;

/// The bytes that end a portion: as many as a connection accepts at once. The next portion is read
/// from the store when they were written.
pub(super) const PORTION_BYTES: usize = 64 * 1024;

/// How many live changes wait behind a backlog; with more, the store is read again.
const BEHIND_MAX: usize = 2_048;

/// The same for the texts of those changes.
const BEHIND_BYTES_MAX: usize = 256 * 1024;

/// The frames to be shown, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) items: VecDeque<Item>,
    /// Texts of changes that wait behind the backlog.
    behind_bytes: usize,
    /// Whether changes were left to the store because too many waited.
    pub(super) is_overflowed: bool,
    /// Whether the next texts are being read.
    pub(super) is_reading: bool,
    /// For the texts that are here.
    pub(super) room: Option<Room>,
}

/// The result of showing the next part of a backlog.
#[derive(Debug)]
pub(super) enum Portion {
    /// Some were shown.
    Shown,
    /// These texts are needed before anything can be shown.
    Unread(Vec<MessageId>),
    /// There was nothing more.
    Over,
}

/// What a session's backlog must read from the store to continue.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// The changes after a position: too many arrived meanwhile.
    Changes(Seq),
    /// Texts.
    Texts(Vec<MessageId>),
}

impl Queue {
    /// Appends a change, with texts of this many bytes.
    pub(super) fn add(&mut self, bytes: usize, item: impl FnOnce() -> Item) {
        let bytes = self.behind_bytes + bytes;
        let has_room = self.items.len() < BEHIND_MAX && bytes <= BEHIND_BYTES_MAX;
        if has_room && !self.is_overflowed {
            self.behind_bytes = bytes;
            self.items.push_back(item());
        } else {
            self.is_overflowed = true;
        }
    }

    /// Forgets all of it: the store is to be read again.
    pub(super) fn leave_to_store(&mut self) {
        *self = Self { is_overflowed: true, ..Self::default() };
    }

    /// The texts that the next portion lacks.
    pub(super) fn unread(&self) -> Vec<MessageId> {
        let unread = |item: &Item| match item {
            Item::Row { line: Line { text: Text::Unread(message), .. }, .. } => Some(*message),
            Item::Row { .. } | Item::Live(_) | Item::Read(_) | Item::Reached { .. } => None,
        };
        self.items.iter().filter_map(unread).take(PORTION).collect()
    }

    /// Puts texts into the rows that lacked them, in the order of [`Self::unread`].
    pub(super) fn fill(&mut self, texts: Texts) {
        (self.is_reading, self.room) = (false, texts.room);
        let lacking = self.items.iter_mut().filter_map(|item| match item {
            Item::Row { line: Line { text: text @ Text::Unread(_), .. }, .. } => Some(text),
            Item::Row { .. } | Item::Live(_) | Item::Read(_) | Item::Reached { .. } => None,
        });
        for (text, content) in lacking.zip(texts.contents) {
            *text = Text::Read(content);
        }
    }
}
