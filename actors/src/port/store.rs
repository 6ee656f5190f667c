//! The one store of a hub: every store port, implemented by one database.

use async_trait::async_trait;

use super::{
    AccountStore, CommentStore, DeliveryLog, DeliveryStore, EscalationStore, ExplainStore,
    InboxStore, PreferenceStore, ProjectStore, PushStore, ReportStore, RetentionStore, SendLog,
    SendStore, StoreError, TemplateStore, TicketStore, WebhookStore,
};

/// A database that implements every store port. Only the composition root, tests and benches hold
/// one; everything else takes the single port that it needs (`Arc<dyn Store>` converts to each).
#[async_trait]
pub trait Store:
    TicketStore
    + ProjectStore
    + CommentStore
    + InboxStore
    + AccountStore
    + SendStore
    + SendLog
    + RetentionStore
    + DeliveryStore
    + DeliveryLog
    + ReportStore
    + PreferenceStore
    + EscalationStore
    + ExplainStore
    + TemplateStore
    + PushStore
    + WebhookStore
{
    /// Whether the store reads and writes: what readiness asks. Reads a row, and goes by the last
    /// write; where that was too long ago it writes something of no consequence.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it does not.
    async fn answers(&self) -> Result<(), StoreError>;

    /// Completes the writes that wait, and lets go of the database. Later calls are refused with
    /// [`StoreError::Unavailable`]; closing twice does nothing more.
    async fn close(&self);
}
