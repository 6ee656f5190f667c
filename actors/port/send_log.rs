//! The store port of the admins' list of sends, and of their cancellation.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, StoreError};
use bellpull_domain::ids::SendId;
use bellpull_domain::notification::Message;
use bellpull_domain::routing::Channels;
use bellpull_domain::send::{Recipients, SendStatus};

/// Sends with their state, for a reader.
#[async_trait]
pub trait SendLog: std::fmt::Debug + Send + Sync + 'static {
    /// One page of those that are not finished, the soonest due first; the count and the rows are
    /// of one snapshot. Accounts that were named one by one are left out.
    async fn unfinished(&self, page: PageRequest) -> Result<Page<SendRow>, StoreError>;

    /// One of them, finished or not.
    async fn send(&self, id: SendId) -> Result<Option<SendRow>, StoreError>;

    /// Cancels a send, in one transaction: its recipients so far keep it, no other gets it. A chunk
    /// is written before this or not at all.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such send.
    async fn cancel_send(&self, id: SendId) -> Result<CancelSend, StoreError>;
}

/// The result of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelSend {
    /// It is cancelled, now or before; how many recipients have it.
    Cancelled {
        /// How many were notified before.
        announced: i64,
        /// Whether it was running: some recipients were processed.
        was_begun: bool,
    },
    /// All of its recipients have it.
    TooLate,
}

/// A send with its state.
#[derive(Debug, Clone, PartialEq)]
pub struct SendRow {
    /// The send.
    pub id: SendId,
    /// The message.
    pub message: Message,
    /// The recipients, without the names of accounts.
    pub recipients: Recipients,
    /// On which channels.
    pub channels: Channels,
    /// Whether it overrides the recipients' preferences.
    pub is_critical: bool,
    /// Its status.
    pub status: SendStatus,
    /// How many recipients it had when it was taken in.
    pub total: i64,
    /// How many have a notification of it.
    pub announced: i64,
    /// When it is, or was, due.
    pub due_at: Timestamp,
    /// When it was taken in.
    pub created_at: Timestamp,
}
