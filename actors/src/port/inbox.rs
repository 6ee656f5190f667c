//! The store port of user actors and the lists of notifications.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, Slice, StoreError};
use crate::domain::event::Event;
use crate::domain::ids::{MessageId, NotificationId, ProjectId, Seq, TicketId, UserId};
use crate::domain::inbox::{Entry, Head, Mark, Marked, MessageContent, Outline, Row};
use crate::domain::notification::{Kind, Notification};
use crate::domain::routing::Channel;

/// About how many bytes of texts one reading of rows brings along ([`MessageContent::bytes`]);
/// those of the rows behind them are read by themselves. A hundred usual notifications have a third
/// of it.
pub const TEXTS_BYTES_MAX: usize = 256 * 1024;

/// Inboxes. Readings of rows bring the texts of the first of them along, up to
/// [`TEXTS_BYTES_MAX`] and of one at least; the others are outlines.
///
/// A user without a row in `inboxes` has an empty inbox: [`Head::default`].
#[async_trait]
pub trait InboxStore: std::fmt::Debug + Send + Sync + 'static {
    /// The head of an inbox. Concurrent calls are answered by one query.
    async fn head(&self, user: UserId) -> Result<Head, StoreError>;

    /// The newest `limit` of the births with `seq > after` that are not deleted, oldest of them
    /// first, how many older ones were left out, and the inbox' state, all in one snapshot.
    async fn newest_entries(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<Backlog, StoreError>;

    /// The rows with `changed_seq > after`, tombstones too, each once in its latest state, by
    /// `changed_seq`, at most `limit`; and the inbox' head in the same snapshot. If fewer than
    /// `limit` are returned, there are no more up to `head.last_seq`.
    async fn changes(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<ChangedRows, StoreError>;

    /// The texts of the first of these messages, in their order, up to [`TEXTS_BYTES_MAX`]: of one
    /// at least, or [`StoreError::NotFound`].
    async fn texts(&self, messages: &[MessageId]) -> Result<Vec<Arc<MessageContent>>, StoreError>;

    /// The newest `limit` of those rows, the longest unchanged of them first, how many others
    /// were left out, and the inbox' state, all in one snapshot.
    async fn newest_changes(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<ChangedRows, StoreError>;

    /// Marks rows of the user's own inbox in one transaction; on the disk when it returns. Rows of
    /// others, missing rows and rows that the mark does not change are passed over; `None` when
    /// nothing changed. Doing it twice changes nothing the second time.
    async fn mark(
        &self,
        user: UserId,
        selection: Selection,
        mark: Mark,
        now: Timestamp,
    ) -> Result<Option<Marked>, StoreError>;

    /// Raises the delivered positions; one that is lower than the stored one is ignored.
    async fn save_delivered(&self, positions: &[(UserId, Seq)]) -> Result<(), StoreError>;

    /// A part of the user's notifications that match: newest first, or oldest first where the
    /// filter has `since_seq`.
    async fn notifications(
        &self,
        user: UserId,
        filter: &NotificationFilter,
        slice: Slice,
    ) -> Result<Page<Notification>, StoreError>;

    /// One of the user's own notifications, unless it is deleted.
    async fn notification(
        &self,
        user: UserId,
        id: NotificationId,
    ) -> Result<Option<Notification>, StoreError>;

    /// How many unread notifications there are, and how many of them have a delivery on each
    /// outgoing channel (channels without one are left out), in one snapshot.
    async fn unread_counts(&self, user: UserId) -> Result<(i64, Vec<(Channel, i64)>), StoreError>;
}

/// The backlog of a new session.
#[derive(Debug, Clone)]
pub struct Backlog {
    /// The inbox' state.
    pub head: Head,
    /// How many older births were left out.
    pub skipped: i64,
    /// The newest ones, oldest first.
    pub entries: Vec<Entry>,
    /// The rows after them whose texts were not read.
    pub rest: Vec<Outline>,
}

/// Changed rows: the backlog of a session that follows changes, or the changes after a position.
#[derive(Debug, Clone)]
pub struct ChangedRows {
    /// The inbox' state.
    pub head: Head,
    /// How many rows were left out.
    pub skipped: i64,
    /// The others, by their last change.
    pub rows: Vec<Row>,
    /// The rows after them whose texts were not read.
    pub rest: Vec<Outline>,
}

/// Which rows of an inbox a mark is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Ids(Vec<NotificationId>),
    /// Entries up to and including this number.
    UpTo(Seq),
    /// All that match; each `None` does not narrow.
    All {
        /// With a delivery on this channel (`System`: all).
        channel: Option<Channel>,
        /// About this ticket.
        ticket: Option<TicketId>,
    },
}

/// Which notifications a list shows; `None` does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotificationFilter {
    /// Read, or unread.
    pub is_read: Option<bool>,
    /// With a delivery on this channel (`System`: all).
    pub channel: Option<Channel>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Of this event.
    pub event: Option<Event>,
    /// About this ticket.
    pub ticket: Option<TicketId>,
    /// About a ticket that is in this project now.
    pub project: Option<ProjectId>,
    /// Entries after this number; the list is then oldest first.
    pub since_seq: Option<Seq>,
}
