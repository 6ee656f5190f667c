//! OpenAPI schemas: scheduled and running sends.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use bellpull_actors::domain::send::SendStatus;
use jiff::Timestamp;
use utoipa::ToSchema;
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::openapi::{RefOr, Schema};

use super::inboxes::{channel, kind};
use super::one_of;
use super::tickets::priority;

fn status() -> Schema {
    one_of(SendStatus::ALL.map(SendStatus::as_str))
}

fn channels() -> Schema {
    ArrayBuilder::new().items(RefOr::T(channel())).into()
}

/// A message to many, and its progress.
#[derive(ToSchema)]
pub(in crate::http) struct ScheduledSend {
    id: i64,
    #[schema(schema_with = status)]
    status: String,
    title: String,
    message: String,
    event: String,
    #[schema(schema_with = kind)]
    r#type: String,
    #[schema(schema_with = priority)]
    priority: String,
    #[schema(schema_with = channels)]
    channels: Vec<String>,
    critical: bool,
    /// Null if a service sent it.
    #[schema(required)]
    sender: Option<i64>,
    /// `all`, `role:` or `project:` with its name, or `users` for a list of users.
    to: String,
    /// How many recipients it had when it was accepted.
    recipients: i64,
    /// How many of them have been notified. Some may have declined it.
    told: i64,
    send_at: Timestamp,
    created_at: Timestamp,
}
