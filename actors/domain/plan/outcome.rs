//! The answers to callers.

use std::sync::Arc;

use super::super::idempotency::Used;
use super::super::ids::{NotificationId, Seq, UserId};
use super::super::inbox::{Change, Entry, MessageContent};
use super::super::routing::Channels;
use super::super::ticket::Ticket;

/// Why a command was not planned. It has left no trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The ticket has another version than the decision was made for.
    #[error("the ticket has changed meanwhile")]
    Conflict,
    /// The ticket, its project or a recipient does not exist.
    #[error("a row that the command names does not exist")]
    NotFound,
    /// Its idempotency key was used before.
    #[error("its idempotency key was used before")]
    Used(Used),
}

impl From<Used> for Rejection {
    fn from(used: Used) -> Self {
        Self::Used(used)
    }
}

/// The result of a commit.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The ticket's new state, with its key.
    pub ticket: Ticket,
    /// The announcement to its recipients.
    pub announced: Option<AnnouncedMessage>,
}

/// One announcement's notifications, as they were written.
#[derive(Debug, Clone)]
pub struct AnnouncedMessage {
    /// The text that they share.
    pub content: Arc<MessageContent>,
    /// One for each recipient; none, where only a project's webhook is called.
    pub entries: Vec<InboxEntry>,
    /// The external channels that have deliveries of it to make.
    pub channels: Channels,
}

/// One recipient's notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxEntry {
    /// The user.
    pub recipient: UserId,
    /// Its id.
    pub id: NotificationId,
    /// Its number in the recipient's inbox.
    pub seq: Seq,
    /// The recipient's unread count after it.
    pub unread_count: i64,
}

impl AnnouncedMessage {
    /// The notification at `placed`, as its recipient's actor receives it.
    #[must_use]
    pub fn change(&self, placed: InboxEntry) -> Change {
        let InboxEntry { id, seq, unread_count, .. } = placed;
        let entry = Entry { id, seq, is_read: false, message: Arc::clone(&self.content) };
        Change::Added { entry, unread_count }
    }
}
