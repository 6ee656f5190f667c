//! A notification's content between nodes.

use bellpull_domain::event::Event;
use bellpull_domain::ids::UserId;
use bellpull_domain::notification::{Kind, Message, TicketSnapshot};
use bellpull_domain::ticket::Priority;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A [`Message`] in JSON. A ticket's snapshot has the form that it has in rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Content {
    event: String,
    #[serde(rename = "type")]
    kind: String,
    title: String,
    body: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    action_url: String,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ticket: Option<TicketSnapshot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sender: Option<UserId>,
    priority: Priority,
    /// In milliseconds, as in rows: another node's frame must equal that of a replay.
    created_at_ms: i64,
}

impl From<&Message> for Content {
    fn from(message: &Message) -> Self {
        Self {
            event: message.event.as_str().to_owned(),
            kind: message.kind.as_str().to_owned(),
            title: message.title.clone(),
            body: message.body.clone(),
            action_url: message.action_url.clone(),
            metadata: message.metadata.clone(),
            ticket: message.ticket.clone(),
            sender: message.sender,
            priority: message.priority,
            created_at_ms: message.created_at.as_millisecond(),
        }
    }
}

impl Content {
    /// `None` if this release does not know the kind: then the row is read from the store, as any
    /// other row of that release.
    pub(super) fn into_message(self) -> Option<Message> {
        Some(Message {
            event: Event::from_name(&self.event),
            kind: Kind::from_name(&self.kind)?,
            title: self.title,
            body: self.body,
            action_url: self.action_url,
            metadata: self.metadata,
            ticket: self.ticket,
            sender: self.sender,
            priority: self.priority,
            created_at: Timestamp::from_millisecond(self.created_at_ms).ok()?,
        })
    }
}
