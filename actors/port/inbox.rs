//! The store port of user actors and the lists of notifications.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, Slice, StoreError};
use bellpull_domain::event::Event;
use bellpull_domain::ids::{MessageId, NotificationId, ProjectId, Seq, TicketId, UserId};
use bellpull_domain::inbox::{Entry, Head, Mark, MessageContent, Outline, Reached, Row};
use bellpull_domain::notification::{Kind, Notification};
use bellpull_domain::plan::marks::{MarkRequest, MarkedPortion};
use bellpull_domain::routing::Channel;

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

    /// Which rows took these numbers, at their entry or at their last change. A number of a change
    /// that another has followed is left out, as is one that was not taken. Concurrent calls are
    /// answered by one query.
    async fn holders(&self, user: UserId, numbers: &[Seq]) -> Result<Vec<Taken>, StoreError>;

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

    /// Marks a portion of the selected rows of the user's own inbox, the newest first, in one
    /// transaction; on the disk when it returns. Rows of others, missing rows and rows that the
    /// mark does not change are passed over. The caller goes on until there is no rest: see
    /// [`crate::directory::Users::mark`]. Doing it twice changes nothing the second time.
    ///
    /// All marks of one transaction together examine at most
    /// [`PORTION_MAX`](bellpull_domain::plan::marks::PORTION_MAX) rows, however large the inbox is
    /// and however few of its rows match: other writes wait for it.
    async fn mark_portion(&self, portion: MarkPortion) -> Result<MarkedPortion, StoreError>;

    /// Raises positions, at most to the inbox' last number; one that is lower than the stored one
    /// is ignored. A stored one beyond the last number counts as none ([`Head::mended`]).
    async fn save_reached(&self, positions: &[(UserId, Reached)]) -> Result<(), StoreError>;

    /// Up to where the user's clients have acknowledged the inbox; `None` if none ever could.
    async fn acknowledged(&self, user: UserId) -> Result<Option<Seq>, StoreError>;

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

/// That a row took a number of its inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taken {
    /// The number.
    pub number: Seq,
    /// The row.
    pub id: NotificationId,
    /// Whether at its entry; else at a change.
    pub is_entry: bool,
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

/// A part of a mark of many rows.
#[derive(Debug, Clone)]
pub struct MarkPortion {
    /// The inbox' user.
    pub user: UserId,
    /// Which of its rows.
    pub selection: Arc<Selection>,
    /// The change.
    pub mark: Mark,
    /// When.
    pub now: Timestamp,
    /// Only entries before this number: the others were examined. `None` for the first portion,
    /// which takes all that exist by then; later entries are in none.
    pub before: Option<Seq>,
}

impl MarkPortion {
    /// The first portion.
    #[must_use]
    pub fn first(user: UserId, selection: Selection, mark: Mark, now: Timestamp) -> Self {
        Self { user, selection: Arc::new(selection), mark, now, before: None }
    }

    /// What the plan has to know of it.
    #[must_use]
    pub fn request(&self) -> MarkRequest {
        let Self { user, mark, now, before, .. } = *self;
        MarkRequest { user, mark, at: now, before, up_to: self.selection.up_to }
    }
}

/// Which rows of an inbox a mark is for: those that fulfil each of these. The default is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these.
    pub ids: Option<Vec<NotificationId>>,
    /// Only entries up to and including this number.
    pub up_to: Option<Seq>,
    /// Only those that a list with this filter shows.
    pub filter: NotificationFilter,
}

impl Selection {
    /// All rows.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// These rows.
    #[must_use]
    pub fn ids(ids: Vec<NotificationId>) -> Self {
        Self { ids: Some(ids), ..Self::default() }
    }

    /// Entries up to and including this number.
    #[must_use]
    pub fn up_to(seq: Seq) -> Self {
        Self { up_to: Some(seq), ..Self::default() }
    }

    /// The rows that a list with this filter shows.
    #[must_use]
    pub fn matching(filter: NotificationFilter) -> Self {
        Self { filter, ..Self::default() }
    }

    /// The rows, if it says nothing else of them.
    #[must_use]
    pub fn only_ids(&self) -> Option<&[NotificationId]> {
        self.ids.as_deref().filter(|_| self.filter == NotificationFilter::default())
    }

    /// The row, if it names a single one.
    #[must_use]
    pub fn single(&self) -> Option<NotificationId> {
        <[_; 1]>::try_from(self.ids.as_deref()?).ok().map(|[id]| id)
    }
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
