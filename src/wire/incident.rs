//! The dialect `incident`: ticket alerts, flat, with a `notification_type`.

use bellpull_actors::domain::inbox::Birth;
use bellpull_actors::domain::notification::{Message, TicketSnapshot};
use bellpull_actors::session::Heard;
use jiff::Timestamp;
use serde::Serialize;

use super::envelope::{self, BadFrame};
use super::frames;

/// What a client says: it can only ask whether the hub is there.
pub(super) fn decode(text: &str) -> Result<Heard, BadFrame> {
    let [kind, timestamp] = envelope::read(text, ["type", "timestamp"])?;
    match envelope::name(kind)?.as_ref() {
        "ping" => Ok(Heard::Ping(timestamp.map(ToOwned::to_owned))),
        other => Err(BadFrame::unknown_type(other)),
    }
}

/// What all recipients of a message are told: the frame up to where its recipient's own begins.
pub(super) fn stem(message: &Message) -> Box<[u8]> {
    let mut out = Vec::with_capacity(512);
    let frame = Alert {
        notification_type: message.event.as_str(),
        message: &message.body,
        ticket: message.ticket.as_ref().map(Ticket::from),
        // A ticket's alert has its ticket's title; any other has its own.
        title: message.ticket.is_none().then_some(message.title.as_str()),
        timestamp: message.created_at,
    };
    frames::put(&frame, &mut out);
    out.pop(); // The closing brace stands at the tail's end.
    out.into_boxed_slice()
}

/// The rest of the frame: what is one recipient's own.
pub(super) fn tail(birth: &Birth, out: &mut Vec<u8>) {
    frames::print(out, format_args!(r#","id":{},"seq":{}}}"#, birth.id, birth.seq));
}

#[derive(Serialize)]
struct Alert<'a> {
    notification_type: &'a str,
    message: &'a str,
    ticket: Option<Ticket<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    timestamp: Timestamp,
}

#[derive(Serialize)]
struct Ticket<'a> {
    id: i64,
    title: &'a str,
    priority: &'static str,
    priority_display: &'static str,
    category: &'static str,
    status: &'static str,
    created_by: &'a str,
    project_name: &'a str,
    created_at: Timestamp,
}

impl<'a> From<&'a TicketSnapshot> for Ticket<'a> {
    fn from(ticket: &'a TicketSnapshot) -> Self {
        Self {
            id: ticket.id.0,
            title: &ticket.title,
            priority: ticket.priority.as_str(),
            priority_display: ticket.priority.display(),
            category: ticket.category.as_str(),
            status: ticket.status.as_str(),
            created_by: &ticket.created_by_name,
            project_name: &ticket.project_name,
            created_at: ticket.created_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use bellpull_actors::domain::event::Event;
    use bellpull_actors::domain::ids::{NotificationId, Seq, TicketId, UserId};
    use bellpull_actors::domain::inbox::{Letter, Marked};
    use bellpull_actors::domain::notification::Kind;
    use bellpull_actors::domain::ticket::{Caller, Category, Priority, Status};
    use bellpull_actors::domain::user::Role;
    use bellpull_actors::port::outlet::Outgoing;
    use serde_json::Map;

    use super::*;
    use crate::wire::{Dialect, encode};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn message(ticket: Option<TicketSnapshot>) -> Message {
        Message {
            event: Event::TicketCreated,
            kind: Kind::Info,
            title: "New Ticket Created".to_owned(),
            body: "New High priority ticket created: Homepage not loading".to_owned(),
            action_url: "/tickets/5/".to_owned(),
            metadata: Map::new(),
            ticket,
            sender: Some(UserId(3)),
            priority: Priority::High,
            created_at: at("2025-12-24T10:30:00Z"),
        }
    }

    fn snapshot() -> TicketSnapshot {
        TicketSnapshot {
            id: TicketId(5),
            key: "WEB-5".to_owned(),
            title: "Homepage not loading".to_owned(),
            priority: Priority::High,
            category: Category::Bug,
            status: Status::New,
            created_by_name: "John Client".to_owned(),
            project_name: "Main Website".to_owned(),
            created_at: at("2025-12-24T10:30:00Z"),
        }
    }

    fn birth(message: Message) -> Birth {
        Birth {
            id: NotificationId(123),
            seq: Seq(17),
            is_read: false,
            message: Letter::new(message),
        }
    }

    fn encoded(frame: Outgoing<'_>) -> String {
        let mut out = Vec::new();
        encode(Dialect::Incident, frame, 1_766_572_200_000, &mut out);
        String::from_utf8(out).unwrap()
    }

    macro_rules! golden {
        ($name:literal) => {
            include_str!(concat!("../../tests/golden/incident/", $name, ".json")).trim_end()
        };
    }

    #[test]
    fn what_clients_receive_to_the_byte() {
        let with_ticket = birth(message(Some(snapshot())));
        assert_eq!(
            encoded(Outgoing::Notification { birth: &with_ticket, unread_count: 1 }),
            golden!("ticket_created")
        );

        let mut own = message(None);
        own.event = Event::from_name("approval");
        own.title = "Approval \"needed\"".to_owned();
        own.body = "Zeile 1\nZeile 2 – schön \u{1F514}\u{0}".to_owned();
        own.created_at = at("2025-12-24T10:30:00.120Z");
        let own = birth(own);
        assert_eq!(
            encoded(Outgoing::Notification { birth: &own, unread_count: 1 }),
            golden!("without_ticket")
        );

        let user = Caller {
            id: UserId(1),
            username: "john_admin".to_owned(),
            name: "John Admin".to_owned(),
            role: Role::Admin,
        };
        let frame = Outgoing::Established { user: &user };
        assert_eq!(encoded(frame), golden!("connection_established"));
        assert_eq!(encoded(Outgoing::Truncated { skipped: 40 }), golden!("backlog_truncated"));
        assert_eq!(encoded(Outgoing::Pong(None)), golden!("pong"));
        let frame = Outgoing::Error {
            code: "unknown_type",
            message: "No message has the type \"pong\" here.",
            retry_after_ms: None,
        };
        assert_eq!(encoded(frame), golden!("error"));
    }

    #[test]
    fn what_clients_send() {
        let Ok(Heard::Ping(Some(timestamp))) = decode(golden!("client_ping_with_timestamp")) else {
            panic!("a ping with a timestamp");
        };
        assert_eq!(
            encoded(Outgoing::Pong(Some(&timestamp))),
            golden!("pong_to_ping_with_timestamp")
        );
        assert!(matches!(decode(golden!("client_ping")), Ok(Heard::Ping(None))));
        let bad = decode(golden!("client_unknown")).unwrap_err();
        assert_eq!(bad.code, "unknown_type");
        assert_eq!(
            encoded(Outgoing::Error {
                code: bad.code,
                message: &bad.message,
                retry_after_ms: None
            }),
            golden!("error_to_client_unknown")
        );
    }

    #[test]
    fn one_letter_goes_to_many_with_each_ones_own_numbers() {
        let first = birth(message(Some(snapshot())));
        let second = Birth { id: NotificationId(124), seq: Seq(2), ..first.clone() };
        let frames = [&first, &second]
            .map(|birth| encoded(Outgoing::Notification { birth, unread_count: 1 }));
        assert!(frames[0].ends_with(r#","id":123,"seq":17}"#), "{}", frames[0]);
        assert!(frames[1].ends_with(r#","id":124,"seq":2}"#), "{}", frames[1]);
        for frame in frames {
            serde_json::from_str::<serde_json::Value>(&frame).unwrap();
        }
    }

    #[test]
    fn what_was_marked_has_no_frame_here() {
        let marked = Marked {
            ids: [NotificationId(1)].into(),
            mark: bellpull_actors::domain::inbox::Mark::Read,
            first: Seq(1),
            last: Seq(1),
            unread_count: 0,
        };
        assert_eq!(encoded(Outgoing::Marked(&marked)), "");
    }
}
