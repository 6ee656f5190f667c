//! The dialect `incident`: ticket alerts, flat, with a `notification_type`.

use bellpull_domain::inbox::Entry;
use bellpull_domain::notification::{Message, TicketSnapshot};
use jiff::Timestamp;
use serde::Serialize;

use super::format::Format;
use super::frames;

/// The dialect.
pub(super) struct Incident;

impl Format for Incident {
    const NAME: &'static str = "incident";
    const DOCUMENT: &'static str = include_str!("asyncapi.json");

    fn stem(message: &Message) -> Box<[u8]> {
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

    fn tail(
        entry: &Entry,
        _unread_count: i64,
        _now: impl FnOnce() -> Timestamp,
        out: &mut Vec<u8>,
    ) {
        frames::print(out, format_args!(r#","id":{},"seq":{}}}"#, entry.id, entry.seq));
    }
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
    use bellpull_domain::event::Event;
    use bellpull_domain::ids::{NotificationId, Seq};
    use bellpull_domain::inbox::{Mark, Marked};
    use bellpull_port::outlet::Outgoing;
    use bellpull_port::session::Heard;

    use super::*;
    use crate::testing::{at, caller, entry, message, snapshot, text, texts};
    use crate::{BadFrame, Dialect, Endpoint};

    fn encoded(frame: Outgoing<'_>) -> String {
        text(Dialect::Incident, frame)
    }

    fn decode(text: &str) -> Result<Heard, BadFrame> {
        crate::decode(Dialect::Incident, Endpoint::Notifications, text)
    }

    macro_rules! golden {
        ($name:literal) => {
            include_str!(concat!("../../../tests/golden/incident/", $name, ".json")).trim_end()
        };
    }

    #[test]
    fn what_clients_receive_to_the_byte() {
        let with_ticket = entry(message(Some(snapshot())));
        assert_eq!(
            encoded(Outgoing::Notification { entry: &with_ticket, unread_count: 1 }),
            golden!("ticket_created")
        );

        let mut own = message(None);
        own.event = Event::from_name("approval");
        own.title = "Approval \"needed\"".to_owned();
        own.body = "Zeile 1\nZeile 2 – schön \u{1F514}\u{0}".to_owned();
        own.created_at = at("2025-12-24T10:30:00.120Z");
        let own = entry(own);
        assert_eq!(
            encoded(Outgoing::Notification { entry: &own, unread_count: 1 }),
            golden!("without_ticket")
        );

        let user = caller();
        let frame = Outgoing::Established { user: &user };
        assert_eq!(encoded(frame), golden!("connection_established"));
        assert_eq!(encoded(Outgoing::Truncated { skipped: 40 }), golden!("backlog_truncated"));
        assert_eq!(encoded(Outgoing::Pong(None)), golden!("pong"));
        let frame = Outgoing::Error {
            tag: None,
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
                tag: None,
                code: bad.code,
                message: &bad.message,
                retry_after_ms: None
            }),
            golden!("error_to_client_unknown")
        );
    }

    #[test]
    fn one_letter_goes_to_many_with_each_ones_own_numbers() {
        let first = entry(message(Some(snapshot())));
        let second = Entry { id: NotificationId(124), seq: Seq(2), ..first.clone() };
        let frames = [&first, &second]
            .map(|entry| encoded(Outgoing::Notification { entry, unread_count: 1 }));
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
            mark: Mark::Read,
            first: Seq(1),
            last: Seq(1),
            unread_count: 0,
        };
        assert!(texts(Dialect::Incident, Outgoing::Marked(&marked)).is_empty());
    }
}
