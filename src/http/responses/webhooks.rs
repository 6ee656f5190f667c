//! Webhooks.

use bellpull_domain::webhook::{self, HookOwner, HookSecret};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use bellpull_delivery::called::Called;

use super::times;

/// A webhook. Each call is a `POST` of JSON with an `Idempotency-Key`, the same in every attempt,
/// and an `X-Bellpull-Signature: t=SECONDS,v1=HEX`: the HMAC-SHA256 of `SECONDS.BODY` with the
/// secret; after a rotation there are two `v1` for a day. Any 2xx accepts a call, 410 removes the
/// webhook.
#[derive(Serialize, ToSchema)]
pub(crate) struct Webhook {
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
    version: i64,
    #[serde(serialize_with = "times::time")]
    created_at: Timestamp,
    #[serde(serialize_with = "times::time")]
    updated_at: Timestamp,
    /// The secret that signs its calls, returned once on creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl Webhook {
    /// With its new secret.
    pub(crate) fn with_secret(hook: webhook::Webhook, secret: &HookSecret) -> Self {
        Self { secret: Some(secret.reveal().to_owned()), ..Self::from(hook) }
    }
}

// As its owner sees it: without its secret.
impl From<webhook::Webhook> for Webhook {
    fn from(hook: webhook::Webhook) -> Self {
        let (user, project) = match hook.owner {
            HookOwner::User(user) => (Some(user.0), None),
            HookOwner::Project(project) => (None, Some(project.0)),
        };
        Self {
            version: hook.version().0,
            id: hook.id.0,
            user,
            project,
            url: hook.url,
            events: hook.events,
            description: hook.description,
            is_active: hook.is_active,
            failures: hook.failures.into(),
            off_reason: hook.off_reason,
            created_at: hook.created_at,
            updated_at: hook.updated_at,
            secret: None,
        }
    }
}

/// The result of a test call.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallResult {
    /// Whether it was accepted.
    ok: bool,
    /// The status of the answer, if there was one.
    #[schema(required)]
    status: Option<i64>,
    #[schema(value_type = i64)]
    took_ms: u64,
    /// Why it was not accepted.
    #[schema(required)]
    error: Option<String>,
}

impl From<Called> for CallResult {
    fn from(called: Called) -> Self {
        Self {
            ok: called.error.is_none(),
            status: called.status.map(i64::from),
            took_ms: called.took_ms,
            error: called.error,
        }
    }
}
