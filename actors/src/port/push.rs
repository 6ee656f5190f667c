//! What web push needs of a store: which browsers may be told.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::ids::UserId;

/// The most browsers of one account; one more replaces the oldest.
pub const SUBSCRIPTIONS_MAX: u32 = 20;

/// A browser that may be told, as the Push API gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubscription {
    /// The push service's URL for it. It permits pushing, so it is a secret.
    pub endpoint: String,
    /// That URL's host and port: what is slow together.
    pub lane: String,
    /// Its public key, uncompressed P-256, base64url.
    pub p256dh: String,
    /// Its secret for authentication, 16 bytes, base64url.
    pub auth: String,
}

/// All browsers. The stores read them where they write deliveries, and
/// forget one when its push service says that it is gone.
#[async_trait]
pub trait PushStore: std::fmt::Debug + Send + Sync + 'static {
    /// Sends the user's notifications to this browser from now on, and no other user's: an account
    /// that had subscribed it before had logged in there before. Its id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such account.
    async fn subscribe(
        &self,
        user: UserId,
        browser: NewSubscription,
        now: Timestamp,
    ) -> Result<i64, StoreError>;

    /// Tells a browser of the user's nothing any more; `false` where it was told nothing.
    async fn unsubscribe(&self, user: UserId, endpoint: &str) -> Result<bool, StoreError>;
}
