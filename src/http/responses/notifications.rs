//! Notifications.

use std::collections::BTreeMap;

use bellpull_domain::notification::{self, DeliveryStatus, time_ago};
use bellpull_domain::routing::Channel;
use compact_str::CompactString;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::times;
use crate::choices::{channel, delivery_status, kind, one_of, priority};

/// A rule that suppresses a delivery only shows in `deliveries`.
fn standings() -> Schema {
    use DeliveryStatus::{Failed, Queued, Sent};
    one_of([Queued, Sent, Failed].map(DeliveryStatus::as_str))
}

/// A notification in an inbox.
#[derive(Serialize, ToSchema)]
pub(crate) struct Notification {
    id: i64,
    /// Its number in the inbox, from 1.
    seq: i64,
    #[schema(required)]
    ticket: Option<i64>,
    #[schema(required)]
    ticket_title: Option<String>,
    recipient: i64,
    recipient_name: String,
    /// The channel whose state is shown.
    #[schema(schema_with = channel)]
    notification_type: &'static str,
    notification_type_display: &'static str,
    subject: String,
    message: String,
    #[schema(schema_with = standings)]
    status: &'static str,
    status_display: &'static str,
    #[schema(required)]
    #[serde(serialize_with = "times::maybe")]
    sent_at: Option<Timestamp>,
    #[serde(serialize_with = "times::time")]
    created_at: Timestamp,
    is_read: bool,
    #[schema(required)]
    #[serde(serialize_with = "times::maybe")]
    read_at: Option<Timestamp>,
    /// `ticket_created`, `mentioned`, or a sender's own event.
    #[schema(value_type = String)]
    event: CompactString,
    #[schema(schema_with = kind)]
    r#type: &'static str,
    title: String,
    body: String,
    action_url: String,
    metadata: Map<String, Value>,
    #[schema(examples("Just now"))]
    time_ago: String,
    /// The account that sent it, if an account did.
    #[schema(required)]
    sender: Option<i64>,
    #[schema(schema_with = priority)]
    priority: &'static str,
    deliveries: Vec<Delivery>,
}

impl Notification {
    /// A row as seen on one of its channels: the inbox itself (`System`), which every notification
    /// reaches when it is created, or an external channel.
    pub(crate) fn new(row: notification::Notification, channel: Channel, now: Timestamp) -> Self {
        let (status, sent_at) = standing(&row, channel);
        let message = row.message;
        let (ticket, ticket_title) = message.ticket.map(|one| (one.id.0, one.title)).unzip();
        Self {
            id: row.id.0,
            seq: row.seq.0,
            ticket,
            ticket_title,
            recipient: row.recipient.0,
            recipient_name: row.recipient_name,
            notification_type: channel.as_str(),
            notification_type_display: channel.display(),
            subject: message.title.clone(),
            message: message.body.clone(),
            status: status.as_str(),
            status_display: status.display(),
            sent_at,
            created_at: message.created_at,
            is_read: row.read_at.is_some(),
            read_at: row.read_at,
            event: message.event.as_str().into(),
            r#type: message.kind.as_str(),
            title: message.title,
            body: message.body,
            action_url: message.action_url,
            metadata: message.metadata,
            time_ago: time_ago(message.created_at, now),
            sender: message.sender.map(|id| id.0),
            priority: message.priority.as_str(),
            deliveries: row.deliveries.into_iter().map(Delivery::from).collect(),
        }
    }
}

/// The row's state on a channel. Clients know three states: a delivery that a preference suppressed
/// was not sent, so it shows as failed; `deliveries` has the exact state.
fn standing(
    row: &notification::Notification,
    channel: Channel,
) -> (DeliveryStatus, Option<Timestamp>) {
    let delivery = row.deliveries.iter().find(|delivery| delivery.channel == channel);
    match delivery {
        None => (DeliveryStatus::Sent, Some(row.message.created_at)),
        Some(notification::Delivery { status: DeliveryStatus::Suppressed, .. }) => {
            (DeliveryStatus::Failed, None)
        }
        Some(delivery) => (delivery.status, delivery.sent_at),
    }
}

/// The state of its external delivery.
#[derive(Serialize, ToSchema)]
pub(crate) struct Delivery {
    #[schema(schema_with = channel)]
    channel: &'static str,
    #[schema(schema_with = delivery_status)]
    status: &'static str,
    attempts: i64,
    #[schema(required)]
    #[serde(serialize_with = "times::maybe")]
    sent_at: Option<Timestamp>,
    #[schema(required)]
    error: Option<String>,
}

impl From<notification::Delivery> for Delivery {
    fn from(delivery: notification::Delivery) -> Self {
        Self {
            channel: delivery.channel.as_str(),
            status: delivery.status.as_str(),
            attempts: delivery.attempts.into(),
            sent_at: delivery.sent_at,
            error: delivery.error,
        }
    }
}

/// How many notifications are unread.
#[derive(Serialize, ToSchema)]
pub(crate) struct UnreadCount {
    count: i64,
    /// The same number.
    unread_count: i64,
    /// By channel; `SYSTEM` counts all.
    by_type: BTreeMap<&'static str, i64>,
}

impl UnreadCount {
    /// In all, and by external channel.
    pub(crate) fn new(count: i64, by_channel: impl IntoIterator<Item = (Channel, i64)>) -> Self {
        let mut by_type: BTreeMap<&'static str, i64> =
            by_channel.into_iter().map(|(channel, count)| (channel.as_str(), count)).collect();
        by_type.insert(Channel::System.as_str(), count);
        Self { count, unread_count: count, by_type }
    }
}

/// A marked notification.
#[derive(Serialize, ToSchema)]
pub(crate) struct MarkedOne {
    pub(crate) message: &'static str,
    pub(crate) notification: Notification,
}

/// How many notifications changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct MarkedMany {
    #[schema(examples("5 notification(s) marked as read"))]
    pub(crate) message: String,
    #[schema(value_type = i64)]
    pub(crate) count: usize,
}

#[cfg(test)]
mod tests {
    use bellpull_domain::event::Event;
    use bellpull_domain::ids::{NotificationId, Seq, TicketId, UserId};
    use bellpull_domain::notification::{Kind, Message, TicketSnapshot};
    use bellpull_domain::ticket::{Category, Priority, Status};
    use serde_json::json;

    use super::*;

    fn shown(row: notification::Notification, channel: Channel) -> Value {
        let now = row.message.created_at;
        serde_json::to_value(Notification::new(row, channel, now)).unwrap()
    }

    fn row() -> notification::Notification {
        let at: Timestamp = "2025-12-24T10:30:00Z".parse().unwrap();
        let ticket = TicketSnapshot {
            id: TicketId(5),
            key: "TKT-5".to_owned(),
            title: "Homepage not loading".to_owned(),
            priority: Priority::High,
            category: Category::Bug,
            status: Status::New,
            created_by_name: "John Client".to_owned(),
            project_name: "Default".to_owned(),
            created_at: at,
        };
        let message = Message {
            event: Event::TicketCreated,
            kind: Kind::Info,
            title: "New Ticket Created".to_owned(),
            body: "New High priority ticket created: Homepage not loading".to_owned(),
            action_url: "/tickets/5/".to_owned(),
            metadata: Map::new(),
            ticket: Some(ticket),
            sender: Some(UserId(3)),
            priority: Priority::High,
            created_at: at,
        };
        let email = notification::Delivery {
            channel: Channel::Email,
            status: DeliveryStatus::Queued,
            attempts: 1,
            sent_at: None,
            error: Some("the server is away".to_owned()),
        };
        notification::Notification {
            id: NotificationId(123),
            seq: Seq(17),
            recipient: UserId(1),
            recipient_name: "John Admin".to_owned(),
            read_at: None,
            message,
            deliveries: vec![email],
        }
    }

    #[test]
    fn a_row_has_the_keys_that_clients_read() {
        let shown = shown(row(), Channel::System);
        let body = "New High priority ticket created: Homepage not loading";
        let wanted = json!({
            "id": 123, "seq": 17, "ticket": 5, "ticket_title": "Homepage not loading",
            "recipient": 1, "recipient_name": "John Admin",
            "notification_type": "SYSTEM", "notification_type_display": "System Alert",
            "subject": "New Ticket Created", "message": body,
            "status": "SENT", "status_display": "Sent", "sent_at": "2025-12-24T10:30:00.000Z",
            "created_at": "2025-12-24T10:30:00.000Z", "is_read": false, "read_at": null,
            "event": "ticket_created", "type": "INFO", "title": "New Ticket Created",
            "body": body, "action_url": "/tickets/5/", "metadata": {}, "time_ago": "Just now",
            "sender": 3, "priority": "HIGH",
            "deliveries": [{"channel": "EMAIL", "status": "QUEUED", "attempts": 1,
                "sent_at": null, "error": "the server is away"}]
        });
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_row_asked_for_by_channel_stands_as_that_channel_does() {
        let mut row = row();
        let by_email = shown(row.clone(), Channel::Email);
        let state = ["notification_type", "status", "sent_at"].map(|key| &by_email[key]);
        assert_eq!(state, [&json!("EMAIL"), &json!("QUEUED"), &Value::Null]);
        row.deliveries[0].status = DeliveryStatus::Suppressed;
        assert_eq!(shown(row.clone(), Channel::Email)["status"], "FAILED");
        assert_eq!(shown(row, Channel::System)["deliveries"][0]["status"], "SUPPRESSED");
    }

    #[test]
    fn without_a_ticket_the_keys_are_there_and_null() {
        let mut row = row();
        row.message.ticket = None;
        row.message.sender = None;
        row.read_at = Some(row.message.created_at);
        let shown = shown(row, Channel::System);
        for key in ["ticket", "ticket_title", "sender"] {
            assert_eq!(shown.get(key), Some(&Value::Null), "{key}");
        }
        assert_eq!((&shown["is_read"], &shown["read_at"]), (&json!(true), &shown["created_at"]));
    }
}
