//! The store port of sends to many.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::tickets::AnnouncedMessage;
use super::{LeaseOwner, StoreError};
use bellpull_domain::ids::{NotificationId, SendId, UserId};
use bellpull_domain::send::NewSend;

/// Sends: one message, many inboxes, in chunks of a short transaction each, with a cursor that is
/// moved in the transaction of its chunk. After any crash: no recipient twice, none left out.
///
/// Several nodes may work on one store. A step claims its sends for its owner, for
/// [`CLAIM_LASTS`]: until then no other owner steps them, unless the claim is released. Each step
/// renews the claim; the last one ends it. Claims compare `now` of one caller with that of another;
/// clocks that differ move a send to another node early or late, and nothing else.
///
/// [`CLAIM_LASTS`]: bellpull_domain::plan::send::claim::CLAIM_LASTS
#[async_trait]
pub trait SendStore: std::fmt::Debug + Send + Sync + 'static {
    /// Accepts a send, in one transaction: its key, its message, the number of its recipients, and
    /// (unless it is scheduled for later) its first chunk of at most `chunk` recipients. What this
    /// answers with `Ok` is on the disk and will be carried out. Users who register later are not
    /// recipients, whatever their ids, nor are those who are deactivated before their chunk. A
    /// scheduled message is dated with its due time.
    async fn begin_send(
        &self,
        send: NewSend,
        chunk: u32,
        now: Timestamp,
    ) -> Result<BeginSend, StoreError>;

    /// Continues due sends and moves their cursors, in one transaction, by at most `rows`
    /// notifications (and at least one of each): the first, and those with similar progress; among
    /// them those that are furthest behind, together, so that several messages to one user are
    /// written at once. A send that is finished, cancelled, not due yet or claimed by another owner
    /// has no next chunk.
    ///
    /// One chunk for each id, in their order; `None` if there is no such send.
    async fn continue_sends(
        &self,
        owner: &LeaseOwner,
        ids: &[SendId],
        rows: u32,
        now: Timestamp,
    ) -> Result<Chunks, StoreError>;

    /// The next chunk of one send, as [`Self::continue_sends`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such send.
    async fn continue_send(
        &self,
        owner: &LeaseOwner,
        id: SendId,
        chunk: u32,
        now: Timestamp,
    ) -> Result<Chunk, StoreError> {
        let Chunks { chunks, .. } = self.continue_sends(owner, &[id], chunk, now).await?;
        chunks.into_iter().next().flatten().ok_or(StoreError::NotFound)
    }

    /// The unfinished sends that are due, the longest due first, at most `limit`, without those
    /// that another owner has claimed; and when the next one after `now` is due, or the claim of
    /// another owner ends, whichever is first. Claims nothing.
    async fn due_sends(
        &self,
        owner: &LeaseOwner,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<SendId>, Option<Timestamp>), StoreError>;

    /// Releases the claims of this owner, and no others: it has stopped. Idempotent. A chunk that
    /// was asked for before is written before.
    ///
    /// A store that only one process can open ends the claims of earlier processes itself when it
    /// is opened. Elsewhere they end by their time.
    async fn release_sends(&self, owner: &LeaseOwner) -> Result<(), StoreError>;

    /// Forgets the keys that were first used before that time; how many. Not one transaction: a
    /// crash may leave some for the next time.
    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError>;
}

/// The result of a request to send.
#[derive(Debug, Clone)]
pub enum BeginSend {
    /// It was taken in.
    Begun {
        /// The send.
        send: StoredSend,
        /// The first chunk's notifications; `None` if it is scheduled, or has no recipients.
        announced: Option<AnnouncedMessage>,
        /// Whether there are further chunks to write.
        has_more: bool,
    },
    /// The key was used before, with the same body: the first answer.
    Repeated(StoredSend),
    /// The key was used before, with another body. Nothing was done.
    KeyReused,
    /// Some of the accounts do not exist; the first few of them. Nothing was done.
    UnknownUsers(Vec<UserId>),
    /// The project does not exist. Nothing was done.
    UnknownProject,
}

/// An accepted send: its sender's answer, however often it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSend {
    /// The send.
    pub id: SendId,
    /// How many recipients it has.
    pub recipients: i64,
    /// Whether it is for later.
    pub is_scheduled: bool,
    /// Its notification, if it names one active account only ([`Recipients::Users`]) and was
    /// written immediately.
    ///
    /// [`Recipients::Users`]: bellpull_domain::send::Recipients::Users
    pub notification: Option<NotificationId>,
}

/// The result of continued sends.
#[derive(Debug, Clone, Default)]
pub struct Chunks {
    /// The chunk of each.
    pub chunks: Vec<Option<Chunk>>,
    /// How long they occupied the store, without the time that they waited themselves.
    pub took: Duration,
}

/// The result of a chunk.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Its notifications; `None` if no recipients were left, or it waits for others.
    pub announced: Option<AnnouncedMessage>,
    /// Whether there are further ones.
    pub has_more: bool,
    /// Whether it was its turn, even if others were continued first to catch up with it.
    pub had_turn: bool,
}
