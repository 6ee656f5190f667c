//! The store port of web push: the subscribed browsers.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use bellpull_domain::delivery::PushTarget;
use bellpull_domain::ids::{LoginId, UserId};

/// The most browsers of one account; one more replaces the oldest.
pub const SUBSCRIPTIONS_MAX: u32 = 20;

/// A browser's subscription, as the Push API defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubscription {
    /// The push service's URL for it. It permits pushing, so it is a secret.
    pub endpoint: String,
    /// The URL's host and port: its lane.
    pub lane: String,
    /// Its public key, uncompressed P-256, base64url.
    pub p256dh: String,
    /// Its secret for authentication, 16 bytes, base64url.
    pub auth: String,
    /// The login that subscribes it, if the token belongs to one: the subscription ends with it.
    pub login: Option<LoginId>,
}

/// All subscriptions. The stores read them when they write deliveries, and remove one when its push
/// service reports that it is gone, or when the login ends that made it.
#[async_trait]
pub trait PushStore: std::fmt::Debug + Send + Sync + 'static {
    /// Sends the user's notifications to this browser from now on, and no other user's: an account
    /// that had subscribed it was logged in there before. Returns its id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such account, or its login has ended.
    async fn subscribe(
        &self,
        user: UserId,
        browser: NewSubscription,
        now: Timestamp,
    ) -> Result<i64, StoreError>;

    /// The user's subscription of this browser.
    async fn subscription(
        &self,
        user: UserId,
        endpoint: &str,
    ) -> Result<Option<PushTarget>, StoreError>;

    /// Removes a browser's subscription; `false` if it has none.
    async fn unsubscribe(&self, user: UserId, endpoint: &str) -> Result<bool, StoreError>;
}
