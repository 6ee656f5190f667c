//! Messages that wait for their time or are on their way, as the document has them.
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

/// A message to many, and how far it has come.
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
    /// None where a service sends it.
    #[schema(required)]
    sender: Option<i64>,
    /// `all`, `role:` or `project:` with its name, or `users` where they were named.
    to: String,
    /// How many recipients it had when it was taken in.
    recipients: i64,
    /// How many of them have a notification of it. Some may not want any.
    told: i64,
    send_at: Timestamp,
    created_at: Timestamp,
}
