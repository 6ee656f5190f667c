//! OpenAPI schemas: explanations.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use utoipa::{IntoParams, ToSchema};

use super::inboxes::channel;

/// Whether a user was notified of an event, why or why not, and on which channels.
#[derive(ToSchema)]
pub(in crate::http) struct Explanation {
    user: i64,
    username: String,
    event: String,
    /// The user who caused it, if known.
    #[schema(required)]
    by: Option<i64>,
    at: Timestamp,
    #[schema(required)]
    ticket: Option<i64>,
    told: bool,
    /// By the present state: roles and tickets change.
    because: Vec<Reason>,
    #[schema(required)]
    notification: Option<i64>,
    /// Its number in the inbox.
    #[schema(required)]
    seq: Option<i64>,
    #[schema(required)]
    read_at: Option<Timestamp>,
    #[schema(required)]
    deleted_at: Option<Timestamp>,
    /// The external channels; empty if the user was not notified.
    channels: Vec<Way>,
}

/// A reason.
#[derive(ToSchema)]
pub(in crate::http) struct Reason {
    /// If the user was notified: `admin`, `super_admin`, `creator`, `assigned`, `named`, `chosen`
    /// or `then`; otherwise `own_act`, `inactive`, `preference`, `not_concerned` or `not_then`.
    code: String,
    /// The same as a text for users.
    text: String,
}

/// The state on a channel.
#[derive(ToSchema)]
pub(in crate::http) struct Way {
    #[schema(schema_with = channel)]
    channel: String,
    #[schema(required)]
    delivery: Option<i64>,
    /// As in a delivery; null if there is none.
    #[schema(required)]
    status: Option<String>,
    #[schema(required)]
    rule: Option<String>,
    /// The state as a text for users.
    text: String,
    /// Why there is no delivery, by the present state; empty if there is one.
    because: Vec<NoWay>,
    #[schema(required)]
    due_at: Option<Timestamp>,
    #[schema(required)]
    sent_at: Option<Timestamp>,
    #[schema(required)]
    provider_status: Option<String>,
    attempts: Vec<AttemptMade>,
}

/// Why there is no delivery on a channel.
#[derive(ToSchema)]
pub(in crate::http) struct NoWay {
    /// `channel_off`, `not_sent`, `not_chosen`, `no_address`, `no_browser`, `no_webhook` or
    /// `not_then`.
    code: String,
    /// The same as a text for users.
    text: String,
}

/// An attempt, with the provider's answer.
#[derive(ToSchema)]
pub(in crate::http) struct AttemptMade {
    /// From 1; an attempt that was cut off is missing.
    number: i64,
    started_at: Timestamp,
    took_ms: i64,
    /// `sent`, `later`, `refused` or `gone`.
    outcome: String,
    /// The provider's id for the message, or the reason of the failure.
    #[schema(required)]
    detail: Option<String>,
}

/// Whose explanation.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ExplainWhom {
    /// By default the caller.
    user: Option<i64>,
}
