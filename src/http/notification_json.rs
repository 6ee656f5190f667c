//! A notification's JSON.

use bellpull_actors::domain::notification::{Delivery, DeliveryStatus, Notification, time_ago};
use bellpull_actors::domain::routing::Channel;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A row as seen on one of its channels: the inbox itself (`System`), which every notification
/// reaches when it is created, or an external channel.
pub(super) fn notification_json(row: &Notification, channel: Channel, now: Timestamp) -> Value {
    let message = &row.message;
    let ticket = message.ticket.as_ref();
    let (status, sent_at) = standing(row, channel);
    json!({
        "id": row.id,
        "seq": row.seq,
        "ticket": ticket.map(|ticket| ticket.id),
        "ticket_title": ticket.map(|ticket| &ticket.title),
        "recipient": row.recipient,
        "recipient_name": row.recipient_name,
        "notification_type": channel.as_str(),
        "notification_type_display": channel.display(),
        "subject": message.title,
        "message": message.body,
        "status": status.as_str(),
        "status_display": status.display(),
        "sent_at": sent_at,
        "created_at": message.created_at,
        "is_read": row.read_at.is_some(),
        "read_at": row.read_at,
        "event": message.event.as_str(),
        "type": message.kind.as_str(),
        "title": message.title,
        "body": message.body,
        "action_url": message.action_url,
        "metadata": message.metadata,
        "time_ago": time_ago(message.created_at, now),
        "sender": message.sender,
        "priority": message.priority.as_str(),
        "deliveries": row.deliveries.iter().map(delivery_json).collect::<Vec<_>>(),
    })
}

fn delivery_json(delivery: &Delivery) -> Value {
    json!({
        "channel": delivery.channel.as_str(),
        "status": delivery.status.as_str(),
        "attempts": delivery.attempts,
        "sent_at": delivery.sent_at,
        "error": delivery.error,
    })
}

/// The row's state on a channel. Clients know three states: a delivery that a preference suppressed
/// was not sent, so it shows as failed; `deliveries` has the exact state.
fn standing(row: &Notification, channel: Channel) -> (DeliveryStatus, Option<Timestamp>) {
    let delivery = row.deliveries.iter().find(|delivery| delivery.channel == channel);
    match delivery {
        None => (DeliveryStatus::Sent, Some(row.message.created_at)),
        Some(Delivery { status: DeliveryStatus::Suppressed, .. }) => (DeliveryStatus::Failed, None),
        Some(delivery) => (delivery.status, delivery.sent_at),
    }
}

#[cfg(test)]
mod tests {
    use bellpull_actors::domain::event::Event;
    use bellpull_actors::domain::ids::{NotificationId, Seq, TicketId, UserId};
    use bellpull_actors::domain::notification::{Kind, Message, TicketSnapshot};
    use bellpull_actors::domain::ticket::{Category, Priority, Status};
    use serde_json::Map;

    use super::*;

    fn row() -> Notification {
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
        let email = Delivery {
            channel: Channel::Email,
            status: DeliveryStatus::Queued,
            attempts: 1,
            sent_at: None,
            error: Some("the server is away".to_owned()),
        };
        Notification {
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
        let row = row();
        let shown = notification_json(&row, Channel::System, row.message.created_at);
        let body = "New High priority ticket created: Homepage not loading";
        let wanted = json!({
            "id": 123, "seq": 17, "ticket": 5, "ticket_title": "Homepage not loading",
            "recipient": 1, "recipient_name": "John Admin",
            "notification_type": "SYSTEM", "notification_type_display": "System Alert",
            "subject": "New Ticket Created", "message": body,
            "status": "SENT", "status_display": "Sent", "sent_at": "2025-12-24T10:30:00Z",
            "created_at": "2025-12-24T10:30:00Z", "is_read": false, "read_at": null,
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
        let now = row.message.created_at;
        let shown = |row: &Notification| {
            let json = notification_json(row, Channel::Email, now);
            [&json["notification_type"], &json["status"], &json["sent_at"]].map(Value::clone)
        };
        assert_eq!(shown(&row), [json!("EMAIL"), json!("QUEUED"), Value::Null]);
        row.deliveries[0].status = DeliveryStatus::Suppressed;
        assert_eq!(shown(&row)[1], "FAILED");
        let json = notification_json(&row, Channel::System, now);
        assert_eq!(json["deliveries"][0]["status"], "SUPPRESSED");
    }

    #[test]
    fn without_a_ticket_the_keys_are_there_and_null() {
        let mut row = row();
        row.message.ticket = None;
        row.message.sender = None;
        row.read_at = Some(row.message.created_at);
        let shown = notification_json(&row, Channel::System, row.message.created_at);
        for key in ["ticket", "ticket_title", "sender"] {
            assert_eq!(shown.get(key), Some(&Value::Null), "{key}");
        }
        assert_eq!((&shown["is_read"], &shown["read_at"]), (&json!(true), &shown["created_at"]));
    }
}
