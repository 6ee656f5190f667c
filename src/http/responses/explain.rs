//! Explanations.

use bellpull_domain::explain::{self, Concern, NotTold};
use bellpull_port::delivery_log::AttemptRow;
use compact_str::CompactString;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::choices::channel;

use super::times;

/// Whether a user was notified of an event, why or why not, and on which channels.
#[derive(Serialize, ToSchema)]
pub(crate) struct Explanation {
    pub(crate) user: i64,
    #[schema(value_type = String)]
    pub(crate) username: CompactString,
    #[schema(value_type = String)]
    pub(crate) event: CompactString,
    /// The user who caused it, if known.
    #[schema(required)]
    pub(crate) by: Option<i64>,
    #[serde(serialize_with = "times::time")]
    pub(crate) at: Timestamp,
    #[schema(required)]
    pub(crate) ticket: Option<i64>,
    pub(crate) told: bool,
    /// By the present state: roles and tickets change.
    pub(crate) because: Vec<Reason>,
    #[schema(required)]
    pub(crate) notification: Option<i64>,
    /// Its number in the inbox.
    #[schema(required)]
    pub(crate) seq: Option<i64>,
    #[schema(required)]
    #[serde(serialize_with = "times::maybe")]
    pub(crate) read_at: Option<Timestamp>,
    #[schema(required)]
    #[serde(serialize_with = "times::maybe")]
    pub(crate) deleted_at: Option<Timestamp>,
    /// The external channels; empty if the user was not notified.
    pub(crate) channels: Vec<Way>,
}

/// A reason.
#[derive(Serialize, ToSchema)]
pub(crate) struct Reason {
    /// If the user was notified: `admin`, `super_admin`, `creator`, `assigned`, `named`, `chosen`
    /// or `then`; otherwise `own_act`, `inactive`, `preference`, `not_concerned` or `not_then`.
    code: &'static str,
    /// The same as a text for users.
    text: &'static str,
}

impl Reason {
    /// For a user who was notified, but would not be now.
    pub(crate) const THEN: Self = Self {
        code: "then",
        text: "It was concerned then; its role or the ticket has changed since.",
    };
}

impl From<Concern> for Reason {
    fn from(why: Concern) -> Self {
        Self { code: why.as_str(), text: why.text() }
    }
}

impl From<NotTold> for Reason {
    fn from(why: NotTold) -> Self {
        Self { code: why.as_str(), text: why.text() }
    }
}

/// The state on a channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct Way {
    #[schema(schema_with = channel)]
    pub(crate) channel: &'static str,
    #[schema(required)]
    pub(crate) delivery: Option<i64>,
    /// As in a delivery; null if there is none.
    #[schema(required)]
    pub(crate) status: Option<&'static str>,
    #[schema(required)]
    pub(crate) rule: Option<&'static str>,
    /// The state as a text for users.
    pub(crate) text: String,
    /// Why there is no delivery, by the present state; empty if there is one.
    pub(crate) because: Vec<NoWay>,
    #[schema(required)]
    #[serde(serialize_with = "times::maybe")]
    pub(crate) due_at: Option<Timestamp>,
    #[schema(required)]
    #[serde(serialize_with = "times::maybe")]
    pub(crate) sent_at: Option<Timestamp>,
    #[schema(required)]
    pub(crate) provider_status: Option<&'static str>,
    pub(crate) attempts: Vec<AttemptMade>,
}

/// Why there is no delivery on a channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct NoWay {
    /// `channel_off`, `not_sent`, `not_chosen`, `no_address`, `no_browser`, `no_webhook` or
    /// `not_then`.
    code: &'static str,
    /// The same as a text for users.
    text: &'static str,
}

impl From<explain::NoWay> for NoWay {
    fn from(why: explain::NoWay) -> Self {
        Self { code: why.as_str(), text: why.text() }
    }
}

/// An attempt, with the provider's answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptMade {
    /// From 1; an attempt that was cut off is missing.
    number: i64,
    #[serde(serialize_with = "times::time")]
    started_at: Timestamp,
    took_ms: i64,
    /// `sent`, `later`, `refused` or `gone`.
    outcome: &'static str,
    /// The provider's id for the message, or the reason of the failure.
    #[schema(required)]
    detail: Option<String>,
}

impl From<&AttemptRow> for AttemptMade {
    fn from(attempt: &AttemptRow) -> Self {
        Self {
            number: attempt.number.into(),
            started_at: attempt.started_at,
            took_ms: attempt.took_ms.into(),
            outcome: attempt.outcome.as_str(),
            detail: attempt.detail.clone(),
        }
    }
}
