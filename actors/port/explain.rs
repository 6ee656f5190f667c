//! The store port of explanations: why a user was notified, or was not.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, StoreError};
use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, Seq, TicketId, UserId};
use bellpull_domain::routing::Channels;

/// Announcements, and the notifications of them.
#[async_trait]
pub trait ExplainStore: std::fmt::Debug + Send + Sync + 'static {
    /// A notification of any user, deleted ones too.
    async fn announcement(&self, id: NotificationId) -> Result<Option<Announced>, StoreError>;

    /// A ticket's announcements, and those that would have been made with any recipient, oldest
    /// first; each with the user's own notification of it, if there is one. The count and the rows
    /// are of one snapshot.
    async fn announced(
        &self,
        ticket: TicketId,
        user: UserId,
        page: PageRequest,
    ) -> Result<Page<Announced>, StoreError>;

    /// The channels that are on: deliveries are written for these only.
    fn channels(&self) -> Channels;

    /// Whether a browser of the user's is subscribed.
    async fn has_browser(&self, user: UserId) -> Result<bool, StoreError>;
}

/// An announced event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The event.
    pub event: Event,
    /// The acting user, if known.
    pub by: Option<UserId>,
    /// When.
    pub at: Timestamp,
    /// About which ticket, if about one.
    pub ticket: Option<TicketId>,
    /// The notification of it, if there is one.
    pub row: Option<AnnouncedRow>,
}

/// A notification, as far as an explanation needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnouncedRow {
    /// The notification.
    pub id: NotificationId,
    /// The recipient.
    pub recipient: UserId,
    /// Its place in the inbox.
    pub seq: Seq,
    /// When it was read.
    pub read_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}
