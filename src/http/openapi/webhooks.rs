//! OpenAPI schemas: webhooks.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use utoipa::{IntoParams, ToSchema};

/// A webhook. Each call is a `POST` of JSON with an `Idempotency-Key`, the same in every attempt,
/// and an `X-Bellpull-Signature: t=SECONDS,v1=HEX`: the HMAC-SHA256 of `SECONDS.BODY` with the
/// secret; after a rotation there are two `v1` for a day. Any 2xx accepts a call, 410 removes the
/// webhook.
#[derive(ToSchema)]
pub(in crate::http) struct Webhook {
    id: i64,
    /// Its owner; null for a project's.
    #[schema(required)]
    user: Option<i64>,
    /// The project whose tickets it receives; null for a user's, which receives the inbox.
    #[schema(required)]
    project: Option<i64>,
    url: String,
    /// The events it receives; empty for all.
    events: Vec<String>,
    description: String,
    is_active: bool,
    /// Consecutive failed deliveries; 20 switch it off.
    failures: i64,
    /// Why it was switched off, unless its owner did so.
    #[schema(required)]
    off_reason: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// The secret that signs its calls, returned once on creation.
    secret: Option<String>,
}

/// A new webhook.
#[derive(ToSchema)]
pub(in crate::http) struct NewWebhook {
    /// `https` to a public address.
    #[schema(min_length = 1, max_length = 2048, examples("https://hooks.example.com/bellpull"))]
    url: String,
    /// Only admins may name a project.
    project: Option<i64>,
    /// Event names; none means all.
    #[schema(max_items = 50)]
    events: Option<Vec<String>>,
    #[schema(max_length = 255)]
    description: Option<String>,
    is_active: Option<bool>,
}

/// The changes.
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

/// The result of a call.
#[derive(ToSchema)]
pub(in crate::http) struct WebhookTest {
    /// Whether it was accepted.
    ok: bool,
    /// The status of the answer, if there was one.
    #[schema(required)]
    status: Option<i64>,
    took_ms: i64,
    /// Why it was not accepted.
    #[schema(required)]
    error: Option<String>,
}

/// Filters of the list of webhooks.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct WebhookFilters {
    /// Only this project's; for admins.
    project: Option<i64>,
}
