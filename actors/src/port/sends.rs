//! What sends to many need of a store.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::tickets::Told;
use crate::domain::ids::{NotificationId, SendId, UserId};
use crate::domain::send::NewSend;

/// Sends: one message, many inboxes, in chunks of a short transaction each, with a cursor that is
/// moved in the transaction of its chunk. After any crash: no recipient twice, none left out.
#[async_trait]
pub trait SendStore: std::fmt::Debug + Send + Sync + 'static {
    /// Takes a send in, in one transaction: its key, its message, how many recipients it has, and
    /// (unless it is for later) its first chunk of at most `chunk` recipients. What this answers
    /// with `Ok` is on the disk and will be carried out. An account that registers later is left
    /// out, whatever its id; so is one that is deactivated before its chunk comes. A message for
    /// later is dated with that time.
    async fn begin_send(
        &self,
        send: NewSend,
        chunk: u32,
        now: Timestamp,
    ) -> Result<BeginSend, StoreError>;

    /// Has sends that are due go on, and moves their cursors, in one transaction, by at most `rows`
    /// notifications (and one of each at least): the first, and those that are about as far; among
    /// them those that are furthest behind, together, so that what several say to one recipient is
    /// inserted at once. A send that is finished, cancelled or not due yet has no next chunk.
    ///
    /// One chunk for each id, in their order; `None` where there is no such send.
    async fn continue_sends(
        &self,
        ids: &[SendId],
        rows: u32,
        now: Timestamp,
    ) -> Result<Chunks, StoreError>;

    /// The next chunk of one send, as [`Self::continue_sends`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such send.
    async fn continue_send(
        &self,
        id: SendId,
        chunk: u32,
        now: Timestamp,
    ) -> Result<Chunk, StoreError> {
        let Chunks { chunks, .. } = self.continue_sends(&[id], chunk, now).await?;
        chunks.into_iter().next().flatten().ok_or(StoreError::NotFound)
    }

    /// The unfinished sends that are due, the longest due first, at most `limit`; and when the
    /// next one after `now` is due.
    async fn due_sends(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<SendId>, Option<Timestamp>), StoreError>;

    /// Forgets the keys that were first used before that time; how many. Not one transaction: a
    /// crash may leave some for the next time.
    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError>;
}

/// The outcome of a request to send.
#[derive(Debug, Clone)]
pub enum BeginSend {
    /// It was taken in.
    Begun {
        /// The send.
        send: StoredSend,
        /// The first chunk's notifications; `None` if it is scheduled, or has no recipients.
        told: Option<Told>,
        /// Whether there are further chunks to write.
        has_more: bool,
    },
    /// The key was used before, with the same body: what was answered then.
    Repeated(StoredSend),
    /// The key was used before, with another body. Nothing was done.
    KeyReused,
    /// Some of the accounts do not exist; the first few of them. Nothing was done.
    UnknownUsers(Vec<UserId>),
    /// The project does not exist. Nothing was done.
    UnknownProject,
}

/// A send as it was taken in: what its caller is answered, however often it repeats the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSend {
    /// The send.
    pub id: SendId,
    /// How many recipients it has.
    pub recipients: i64,
    /// Whether it is for later.
    pub is_scheduled: bool,
    /// Its notification, where it names one active account alone ([`Recipients::Users`]) and was
    /// inserted as it was taken in.
    ///
    /// [`Recipients::Users`]: crate::domain::send::Recipients::Users
    pub notification: Option<NotificationId>,
}

/// The next chunks of sends.
#[derive(Debug, Clone, Default)]
pub struct Chunks {
    /// The chunk of each.
    pub chunks: Vec<Option<Chunk>>,
    /// How long they occupied the store, without the time for which they waited themselves.
    pub took: Duration,
}

/// A chunk that was written.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Its notifications; `None` if no recipients were left, or it waits for others.
    pub told: Option<Told>,
    /// Whether there are further ones.
    pub has_more: bool,
    /// Whether it was its turn, though others may have gone first for it to go on with them.
    pub had_turn: bool,
}
