//! Browsers that are told, as the document has them.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::ToSchema;

/// What a browser subscribes with.
#[derive(ToSchema)]
pub(in crate::http) struct PushKey {
    /// An uncompressed P-256 key in base64url.
    key: String,
}

/// A browser, as its `PushSubscription` gives itself as JSON.
#[derive(ToSchema)]
pub(in crate::http) struct NewSubscription {
    /// Where its push service takes what is for it: `https` to an address of the public internet.
    #[schema(min_length = 1, max_length = 2000)]
    endpoint: String,
    keys: SubscriptionKeys,
}

/// What makes a push readable for this browser alone.
#[derive(ToSchema)]
pub(in crate::http) struct SubscriptionKeys {
    /// An uncompressed P-256 key in base64url.
    p256dh: String,
    /// 16 bytes in base64url.
    auth: String,
}

/// A browser that is told.
#[derive(ToSchema)]
pub(in crate::http) struct Subscription {
    id: i64,
    endpoint: String,
}

/// Which browser.
#[derive(ToSchema)]
pub(in crate::http) struct OldSubscription {
    #[schema(min_length = 1, max_length = 2000)]
    endpoint: String,
}
