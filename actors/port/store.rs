//! The one store of a hub: every store port, implemented by one database.

use async_trait::async_trait;

use super::{
    AccountStore, AuditStore, CommentStore, DeliveryLog, DeliveryStore, EpochStore,
    EscalationStore, ExplainStore, InboxStore, NodeStore, PreferenceStore, ProjectStore, PushStore,
    ReportStore, RetentionStore, SendLog, SendStore, StoreError, TemplateStore, TicketStore,
    WebhookStore,
};

/// How large a database is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSize {
    /// Of the database.
    pub database: u64,
    /// Of the log beside it; 0 where a server has the log.
    pub log: u64,
}

/// A database that implements every store port. Only the composition root, tests and benches hold
/// one; everything else takes the single port that it needs (`Arc<dyn Store>` converts to each).
#[async_trait]
pub trait Store:
    TicketStore
    + ProjectStore
    + CommentStore
    + InboxStore
    + AccountStore
    + AuditStore
    + SendStore
    + SendLog
    + RetentionStore
    + DeliveryStore
    + DeliveryLog
    + ReportStore
    + PreferenceStore
    + EpochStore
    + EscalationStore
    + ExplainStore
    + TemplateStore
    + PushStore
    + WebhookStore
    + NodeStore
{
    /// Whether the store reads and writes: for readiness. Reads a row, and uses the outcome of the
    /// last write; if that was too long ago, it writes a probe.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it does not.
    async fn answers(&self) -> Result<(), StoreError>;

    /// How much it holds, in bytes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database does not say.
    async fn size(&self) -> Result<StoreSize, StoreError>;

    /// Completes the queued writes, and closes the database. Later calls are rejected with
    /// [`StoreError::Unavailable`]; closing twice has no further effect.
    async fn close(&self);
}
