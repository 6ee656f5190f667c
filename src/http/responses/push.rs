//! Browsers subscribed to web push.

use serde::Serialize;
use utoipa::ToSchema;

/// The key that a browser subscribes with.
#[derive(Serialize, ToSchema)]
pub(crate) struct PushKey {
    /// An uncompressed P-256 key in base64url.
    pub(crate) key: String,
}

/// A subscribed browser.
#[derive(Serialize, ToSchema)]
pub(crate) struct Subscription {
    pub(crate) id: i64,
    pub(crate) endpoint: String,
}
