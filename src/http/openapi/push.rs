//! OpenAPI schemas: browsers subscribed to web push.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::ToSchema;

/// A browser's `PushSubscription` as JSON.
#[derive(ToSchema)]
pub(crate) struct NewSubscription {
    /// Its push service's URL: `https` to a public address.
    #[schema(min_length = 1, max_length = 2000)]
    endpoint: String,
    keys: SubscriptionKeys,
}

/// The keys that messages are encrypted with.
#[derive(ToSchema)]
pub(crate) struct SubscriptionKeys {
    /// An uncompressed P-256 key in base64url.
    p256dh: String,
    /// 16 bytes in base64url.
    auth: String,
}

/// A subscribed browser.
#[derive(ToSchema)]
pub(crate) struct SubscribedBrowser {
    #[schema(min_length = 1, max_length = 2000)]
    endpoint: String,
}
