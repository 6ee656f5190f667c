//! The store port of webhooks.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, StoreError};
use bellpull_domain::delivery::WebhookTarget;
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{ProjectId, UserId, WebhookId};
use bellpull_domain::webhook::{HookSecret, NewWebhook, Webhook, WebhookChanges};

/// All webhooks. The stores read them where they write deliveries, and
/// switch one off in the transaction that records that it has failed for too long.
#[async_trait]
pub trait WebhookStore: std::fmt::Debug + Send + Sync + 'static {
    /// Creates one; `None` if its owner has as many as allowed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such owner.
    async fn create_webhook(
        &self,
        new: NewWebhook,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StoreError> {
        self.create_webhook_once(new, None, now).await
    }

    /// The same, for a request that may be repeated.
    ///
    /// # Errors
    /// The same, and [`StoreError::Used`].
    async fn create_webhook_once(
        &self,
        new: NewWebhook,
        once: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StoreError>;

    /// One of them, if there is one.
    async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError>;

    /// A page of them, the oldest first; the count and the rows are of one snapshot.
    async fn webhooks(
        &self,
        which: WhichWebhooks,
        page: PageRequest,
    ) -> Result<Page<Webhook>, StoreError>;

    /// Changes one; `None` if there is none. Enabling it resets its failures.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it has another version than was seen.
    async fn change_webhook(
        &self,
        id: WebhookId,
        changes: WebhookChanges,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StoreError>;

    /// Those that the hub has switched off and whose owner has not been told.
    async fn untold_webhooks(&self) -> Result<Vec<Webhook>, StoreError>;

    /// The caller tells the owner: `true` for the first one.
    async fn tell_webhook(&self, id: WebhookId) -> Result<bool, StoreError>;

    /// Replaces one's secret. The previous one signs beside it for a while; the one before that
    /// does not any more. `false` if there is none.
    async fn rotate_secret(
        &self,
        id: WebhookId,
        secret: HookSecret,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Removes one; its other deliveries are suppressed when they are due. `false` if there is
    /// none.
    async fn delete_webhook(&self, id: WebhookId) -> Result<bool, StoreError>;

    /// The target of one, enabled or not; `None` if there is none.
    async fn webhook_target(
        &self,
        id: WebhookId,
        now: Timestamp,
    ) -> Result<Option<WebhookTarget>, StoreError>;
}

/// Which webhooks a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichWebhooks {
    /// A user's own.
    Own(UserId),
    /// A user's own, and those of all projects.
    OwnAndProjects(UserId),
    /// A project's.
    Of(ProjectId),
}
