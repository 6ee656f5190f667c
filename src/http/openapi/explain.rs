//! Why somebody was told, as the document has it.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use utoipa::{IntoParams, ToSchema};

use super::inboxes::channel;

/// Whether somebody was told of something, why or why not, and on which ways.
#[derive(ToSchema)]
pub(in crate::http) struct Explanation {
    user: i64,
    username: String,
    event: String,
    /// Who did it, where that is known.
    #[schema(required)]
    by: Option<i64>,
    at: Timestamp,
    #[schema(required)]
    ticket: Option<i64>,
    told: bool,
    /// By what is so now: roles and tickets change.
    because: Vec<Reason>,
    #[schema(required)]
    notification: Option<i64>,
    /// Its place in the inbox.
    #[schema(required)]
    seq: Option<i64>,
    #[schema(required)]
    read_at: Option<Timestamp>,
    #[schema(required)]
    deleted_at: Option<Timestamp>,
    /// The ways out of the house; none for what was not told.
    channels: Vec<Way>,
}

/// A reason.
#[derive(ToSchema)]
pub(in crate::http) struct Reason {
    /// Of whoever was told: `admin`, `super_admin`, `creator`, `assigned`, `named`, `chosen` or
    /// `then`; of others: `own_act`, `inactive`, `preference`, `not_concerned` or `not_then`.
    code: String,
    /// The same for people.
    text: String,
}

/// What became of it on a channel.
#[derive(ToSchema)]
pub(in crate::http) struct Way {
    #[schema(schema_with = channel)]
    channel: String,
    #[schema(required)]
    delivery: Option<i64>,
    /// As in a delivery; null where there is none.
    #[schema(required)]
    status: Option<String>,
    #[schema(required)]
    rule: Option<String>,
    /// How it stands, for people.
    text: String,
    /// Why there is no delivery, by what is so now; empty where there is one.
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
    /// The same for people.
    text: String,
}

/// An attempt, with the provider's answer.
#[derive(ToSchema)]
pub(in crate::http) struct AttemptMade {
    /// From 1; one that was cut off is not there.
    number: i64,
    started_at: Timestamp,
    took_ms: i64,
    /// `sent`, `later`, `refused` or `gone`.
    outcome: String,
    /// What the provider said: its own name for the message, or why not.
    #[schema(required)]
    detail: Option<String>,
}

/// Of whom.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ExplainWhom {
    /// The caller, where nobody says.
    user: Option<i64>,
}
