//! What an explanation reads: why a user was notified, or was not.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, StoreError};
use crate::domain::event::Event;
use crate::domain::ids::{NotificationId, Seq, TicketId, UserId};
use crate::domain::routing::Channels;

/// What was announced, and who has a notification of it.
#[async_trait]
pub trait ExplainStore: std::fmt::Debug + Send + Sync + 'static {
    /// A notification of any user, deleted ones too.
    async fn told(&self, id: NotificationId) -> Result<Option<Announced>, StoreError>;

    /// What was announced of a ticket, and what would have been with any recipient, oldest
    /// first; each with the user's own notification of it, where there is one. The count and the
    /// rows are of one snapshot.
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

/// Something that happened and that people are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// What.
    pub event: Event,
    /// Who did it, where that is known.
    pub by: Option<UserId>,
    /// When.
    pub at: Timestamp,
    /// About which ticket, if about one.
    pub ticket: Option<TicketId>,
    /// The notification of it, where there is one.
    pub row: Option<ToldRow>,
}

/// A notification, as far as explaining it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldRow {
    /// The notification.
    pub id: NotificationId,
    /// Whose.
    pub recipient: UserId,
    /// Its place in the inbox.
    pub seq: Seq,
    /// When it was read.
    pub read_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}
