//! Sends: accepted, scheduled and running.

use bellpull_domain::routing::Channel;
use bellpull_domain::send::{Recipients, SendStatus};
use bellpull_port::send_log::SendRow;
use compact_str::CompactString;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::Notification;
use super::times;
use crate::choices::{channels, kind, one_of, priority};

fn status() -> Schema {
    one_of(SendStatus::ALL.map(SendStatus::as_str))
}

/// An accepted send.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sent {
    pub(crate) id: i64,
    /// How many recipients it has.
    pub(crate) recipients: i64,
    /// Whether it waits for its time.
    pub(crate) scheduled: bool,
    /// The notification of a send to one account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) notification: Option<Notification>,
}

/// A message to many, and its progress.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduledSend {
    id: i64,
    #[schema(schema_with = status)]
    status: &'static str,
    title: String,
    message: String,
    #[schema(value_type = String)]
    event: CompactString,
    #[schema(schema_with = kind)]
    r#type: &'static str,
    #[schema(schema_with = priority)]
    priority: &'static str,
    #[schema(schema_with = channels)]
    channels: Vec<&'static str>,
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
    #[serde(serialize_with = "times::time")]
    send_at: Timestamp,
    #[serde(serialize_with = "times::time")]
    created_at: Timestamp,
}

impl From<SendRow> for ScheduledSend {
    fn from(row: SendRow) -> Self {
        let channels = Channel::ALL.into_iter().filter(|channel| row.channels.contains(*channel));
        Self {
            id: row.id.0,
            status: row.status.as_str(),
            event: row.message.event.as_str().into(),
            r#type: row.message.kind.as_str(),
            priority: row.message.priority.as_str(),
            channels: channels.map(Channel::as_str).collect(),
            title: row.message.title,
            message: row.message.body,
            critical: row.is_critical,
            sender: row.message.sender.map(|id| id.0),
            to: to(&row.recipients),
            recipients: row.total,
            told: row.announced,
            send_at: row.due_at,
            created_at: row.created_at,
        }
    }
}

/// Its recipients: `all`, `role:student`, `project:7`; `users` for a list of users.
fn to(recipients: &Recipients) -> String {
    match recipients {
        Recipients::Users(_) => "users".to_owned(),
        Recipients::Role(role) => format!("role:{}", role.as_str()),
        Recipients::Project(project) => format!("project:{project}"),
        Recipients::All => "all".to_owned(),
    }
}
