//! Browsers subscribed to web push.

use serde::Serialize;
use utoipa::ToSchema;

/// The key that a browser subscribes with.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct PushKey {
    /// An uncompressed P-256 key in base64url.
    pub(in crate::http) key: String,
}

/// A subscribed browser.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Subscription {
    pub(in crate::http) id: i64,
    pub(in crate::http) endpoint: String,
}
