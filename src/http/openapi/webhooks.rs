//! Webhooks, as the document has them.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use utoipa::{IntoParams, ToSchema};

/// A webhook. Each call is a `POST` of JSON with an `Idempotency-Key`, the same at every attempt,
/// and an `X-Bellpull-Signature: t=SECONDS,v1=HEX`: the HMAC-SHA256 of `SECONDS.BODY` with the
/// secret; after a rotation there are two `v1` for a day. Any 2xx takes it, 410 ends it.
#[derive(ToSchema)]
pub(in crate::http) struct Webhook {
    id: i64,
    /// Whose it is, unless it is a project's.
    #[schema(required)]
    user: Option<i64>,
    /// The project whose tickets it hears of; null for a user's, which hears of what comes into
    /// the inbox.
    #[schema(required)]
    project: Option<i64>,
    url: String,
    /// What it hears of; empty for everything.
    events: Vec<String>,
    description: String,
    is_active: bool,
    /// How many deliveries in a row came to nothing; 20 switch it off.
    failures: i64,
    /// Why it was switched off, unless its owner did so.
    #[schema(required)]
    off_reason: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// What signs its calls; shown by the answer that makes it, and never again.
    secret: Option<String>,
}

/// A webhook to make.
#[derive(ToSchema)]
pub(in crate::http) struct NewWebhook {
    /// `https` to an address of the public internet.
    #[schema(min_length = 1, max_length = 2048, examples("https://hooks.example.com/bellpull"))]
    url: String,
    /// A project's webhook is for admins.
    project: Option<i64>,
    /// Names of events; none are all.
    #[schema(max_items = 50)]
    events: Option<Vec<String>>,
    #[schema(max_length = 255)]
    description: Option<String>,
    is_active: Option<bool>,
}

/// What is to be different.
#[derive(ToSchema)]
pub(in crate::http) struct WebhookChanges {
    #[schema(min_length = 1, max_length = 2048)]
    url: Option<String>,
    #[schema(max_items = 50)]
    events: Option<Vec<String>>,
    #[schema(max_length = 255)]
    description: Option<String>,
    is_active: Option<bool>,
}

/// What came of a call.
#[derive(ToSchema)]
pub(in crate::http) struct WebhookTest {
    /// Whether it was taken.
    ok: bool,
    /// The answer's, where there was one.
    #[schema(required)]
    status: Option<i64>,
    took_ms: i64,
    /// Why it was not taken.
    #[schema(required)]
    error: Option<String>,
}

/// Which webhooks.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct WebhookFilters {
    /// Only this project's; for admins.
    project: Option<i64>,
}
