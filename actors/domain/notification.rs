//! A notification: the message that its recipients share, and one recipient's row of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::event::Event;
use super::ids::{NotificationId, Seq, TicketId, UserId};
pub use super::kind::Kind;
use super::routing::{Audience, Channel, Channels};
use super::ticket::{Category, Priority, Status, Ticket};

/// A ticket as it was when an announcement was made; a replay years later shows the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketSnapshot {
    /// The ticket.
    pub id: TicketId,
    /// Its project's key and its number there.
    pub key: String,
    /// Its title.
    pub title: String,
    /// How urgent it was.
    pub priority: Priority,
    /// The ticket that it is about.
    pub category: Category,
    /// Its status after the event.
    pub status: Status,
    /// Its creator's name.
    pub created_by_name: String,
    /// Its project's name.
    pub project_name: String,
    /// When it was raised.
    pub created_at: Timestamp,
}

impl From<&Ticket> for TicketSnapshot {
    fn from(ticket: &Ticket) -> Self {
        Self {
            id: ticket.id,
            key: ticket.key.clone(),
            title: ticket.title.clone(),
            priority: ticket.priority,
            category: ticket.category,
            status: ticket.status,
            created_by_name: ticket.created_by_name.clone(),
            project_name: ticket.project_name.clone(),
            created_at: ticket.created_at,
        }
    }
}

/// The part that all recipients of one announcement share; stored once.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Why it was made.
    pub event: Event,
    /// How it is shown.
    pub kind: Kind,
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    /// Where a click leads, relative to the client's own origin; empty for nowhere.
    pub action_url: String,
    /// The sender's own data, passed on unchanged.
    pub metadata: Map<String, Value>,
    /// The ticket that it is about.
    pub ticket: Option<TicketSnapshot>,
    /// The acting user.
    pub sender: Option<UserId>,
    /// How urgent it is.
    pub priority: Priority,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Message {
    /// About how many bytes its texts have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let ticket = self.ticket.as_ref();
        let ticket = ticket.map_or(0, |ticket| size_of_val(ticket) + ticket.title.len());
        let metadata: usize =
            self.metadata.iter().map(|(key, value)| key.len() + bytes_of(value)).sum();
        self.title.len() + self.body.len() + self.action_url.len() + ticket + metadata
    }
}

fn bytes_of(value: &Value) -> usize {
    let within = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(bytes_of).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| key.len() + bytes_of(value)).sum()
        }
    };
    size_of::<Value>() + within
}

/// A message to be stored, with its audience, not yet resolved to users.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// The message.
    pub message: Message,
    /// Its audience.
    pub audience: Audience,
    /// On which channels, before preferences; the store keeps those that are switched on.
    pub channels: Channels,
}

/// The state of an external delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryStatus {
    /// Not sent yet.
    Queued,
    /// The provider took it.
    Sent,
    /// It was given up.
    Failed,
    /// A rule suppressed it: a preference, or a missing address.
    Suppressed,
}

impl DeliveryStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Sent, Self::Failed, Self::Suppressed];

    /// The status' name in rows and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::Suppressed => "SUPPRESSED",
        }
    }

    /// The status as a label.
    #[must_use]
    pub fn display(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Sent => "Sent",
            Self::Failed => "Failed",
            Self::Suppressed => "Suppressed",
        }
    }

    /// The status with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// The external delivery of one notification on one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which channel.
    pub channel: Channel,
    /// Its state.
    pub status: DeliveryStatus,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When the provider took it.
    pub sent_at: Option<Timestamp>,
    /// The last failure, for a reader.
    pub error: Option<String>,
}

/// One recipient's notification with all that a list shows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Its id, over all inboxes.
    pub id: NotificationId,
    /// The number of its entry in the recipient's inbox.
    pub seq: Seq,
    /// The recipient.
    pub recipient: UserId,
    /// The recipient's name.
    pub recipient_name: String,
    /// When it was read, if it was.
    pub read_at: Option<Timestamp>,
    /// The message.
    pub message: Message,
    /// Its external deliveries.
    pub deliveries: Vec<Delivery>,
}

/// A relative time as a text. If the clock was set back a little, it shows as now.
#[must_use]
pub fn time_ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - then.as_second();
    let (count, unit) = match seconds {
        ..60 => return "Just now".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        86_400..2_592_000 => (seconds / 86_400, "day"),
        2_592_000..31_536_000 => (seconds / 2_592_000, "month"),
        31_536_000.. => (seconds / 31_536_000, "year"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn times_in_words() {
        let now: Timestamp = "2025-12-24T10:30:00Z".parse().unwrap();
        for (ago, wanted) in [
            (-5.seconds(), "Just now"),
            (59.seconds(), "Just now"),
            (60.seconds(), "1 minute ago"),
            (5.minutes(), "5 minutes ago"),
            (59.minutes(), "59 minutes ago"),
            (1.hour(), "1 hour ago"),
            (3.hours(), "3 hours ago"),
            (24.hours(), "1 day ago"),
            (48.hours(), "2 days ago"),
            (720.hours(), "1 month ago"),
            (8_760.hours(), "1 year ago"),
            (20_000.hours(), "2 years ago"),
        ] {
            assert_eq!(time_ago(now - ago, now), wanted);
        }
    }
}
