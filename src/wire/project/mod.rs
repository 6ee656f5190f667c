//! The dialect `project`: notifications named by ticket and event.

use bellpull_domain::inbox::Entry;
use bellpull_domain::notification::Message;
use jiff::Timestamp;
use serde::Serialize;

use super::format::Format;
use super::frames;

/// The dialect.
pub(super) struct Project;

impl Format for Project {
    const NAME: &'static str = "project";
    const DOCUMENT: &'static str = include_str!("asyncapi.json");

    fn stem(message: &Message) -> Box<[u8]> {
        let ticket = message.ticket.as_ref();
        let event = message.event.as_str();
        let data = Data {
            id: ticket.map(|ticket| {
                let event = event.strip_prefix("ticket_").unwrap_or(event);
                format!("ticket_{}_{event}", ticket.id)
            }),
            notification_type: event,
            title: &message.title,
            message: &message.body,
            ticket_id: ticket.map(|ticket| ticket.id.0),
            ticket_key: ticket.map(|ticket| &*ticket.key),
            timestamp: message.created_at,
        };
        let mut out = Vec::with_capacity(512);
        frames::put(&Frame { r#type: "notification_message", data }, &mut out);
        out.truncate(out.len() - 2); // Both closing braces stand at the tail's end.
        out.into_boxed_slice()
    }

    fn tail(
        entry: &Entry,
        _unread_count: i64,
        _now: impl FnOnce() -> Timestamp,
        out: &mut Vec<u8>,
    ) {
        if entry.message.message.ticket.is_none() {
            frames::print(out, format_args!(r#","id":"notification_{}""#, entry.id));
        }
        let (id, seq) = (entry.id, entry.seq);
        frames::print(out, format_args!(r#","notification_id":{id},"seq":{seq}}}}}"#));
    }
}

#[derive(Serialize)]
struct Frame<'a> {
    r#type: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    /// Without a ticket the recipient's own row names it, in the tail.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    notification_type: &'a str,
    title: &'a str,
    message: &'a str,
    ticket_id: Option<i64>,
    ticket_key: Option<&'a str>,
    timestamp: Timestamp,
}

#[cfg(test)]
mod tests {
    use bellpull_domain::event::Event;
    use bellpull_domain::ids::{NotificationId, Seq, TicketId};
    use bellpull_domain::notification::TicketSnapshot;
    use bellpull_port::outlet::Outgoing;

    use super::*;
    use crate::Dialect;
    use crate::testing::{at, entry, message, snapshot, text};

    macro_rules! golden {
        ($name:literal) => {
            include_str!(concat!("../../../tests/golden/project/", $name, ".json")).trim_end()
        };
    }

    fn encoded(entry: &Entry) -> String {
        text(Dialect::Project, Outgoing::Notification { entry, unread_count: 1 })
    }

    fn of(event: &str, ticket: Option<TicketSnapshot>) -> Entry {
        let mut message = message(ticket);
        message.event = Event::from_name(event);
        message.title = "Ticket Assigned".to_owned();
        message.body = "You were assigned to PROJ-456: Fix login bug".to_owned();
        message.created_at = at("2025-11-05T12:00:00Z");
        Entry { id: NotificationId(9), seq: Seq(4), ..entry(message) }
    }

    #[test]
    fn what_clients_receive_to_the_byte() {
        let ticket = TicketSnapshot { id: TicketId(123), key: "PROJ-456".to_owned(), ..snapshot() };
        let assigned = encoded(&of("ticket_assigned", Some(ticket.clone())));
        assert_eq!(assigned, golden!("ticket_assigned"));
        let started = encoded(&of("work_started", Some(ticket)));
        assert_eq!(started, golden!("work_started"));
        assert_eq!(encoded(&of("say \"hi\"", None)), golden!("without_ticket"));
    }
}
