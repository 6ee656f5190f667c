//! Project sockets: their frames differ between dialects only in how they end.

use bellpull_domain::comment::Comment;
use bellpull_domain::ids::TicketId;
use bellpull_domain::stream::{
    Person, Present, SharedStreamEvent, Stream, StreamEvent, TicketAction, TicketLine,
};
use bellpull_port::session::Ask;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::envelope::BadFrame;
use super::{fields, frames};

/// `ticket_viewing`: what a user views.
pub(super) fn viewing(
    stream: Option<Stream>,
    ticket_id: Option<&RawValue>,
) -> Result<Ask, BadFrame> {
    Ok(Ask::Viewing { stream, ticket: fields::ticket_or_null("ticket_id", ticket_id)? })
}

/// `user_typing`: a user types, or has stopped.
pub(super) fn typing(
    stream: Option<Stream>,
    ticket_id: Option<&RawValue>,
    is_typing: Option<&RawValue>,
) -> Result<Ask, BadFrame> {
    let ticket = TicketId(fields::id("ticket_id", ticket_id)?);
    let is_typing = fields::switch("is_typing", is_typing)?;
    Ok(Ask::Typing { stream, ticket, is_typing })
}

/// A stream's event, up to the dialect's own fields.
pub(super) fn event(content: &SharedStreamEvent, out: &mut Vec<u8>) {
    out.extend_from_slice(content.encoded(stem));
}

/// The users who are present on a presence stream, up to the dialect's own fields.
pub(super) fn present(people: &[Present], out: &mut Vec<u8>) {
    let users = people.iter().map(User::from).collect();
    frames::put(&PresenceState { r#type: "presence_state", users }, out);
    out.pop(); // The closing brace comes with the end.
}

/// The part of the frame that all watchers share: everything up to the dialect's own fields.
fn stem(event: &StreamEvent) -> Box<[u8]> {
    let mut out = Vec::with_capacity(256);
    match event {
        StreamEvent::Ticket { action, line } => {
            frames::put(&ticket_update(*action, line), &mut out)
        }
        StreamEvent::Comment(comment) => frames::put(&comment_added(comment), &mut out),
        StreamEvent::Joined(person) => frames::put(&user_status("joined", person), &mut out),
        StreamEvent::Left(person) => frames::put(&user_status("left", person), &mut out),
        StreamEvent::Viewing { person, ticket, .. } => {
            let (user_id, username) = (person.id.0, &*person.username);
            let ticket_id = ticket.map(|ticket| ticket.0);
            let frame = TicketViewing { r#type: "ticket_viewing", user_id, username, ticket_id };
            frames::put(&frame, &mut out);
        }
        StreamEvent::Typing { person, ticket, is_typing } => {
            let frame = UserTyping {
                r#type: "user_typing",
                user_id: person.id.0,
                username: &person.username,
                ticket_id: ticket.0,
                is_typing: *is_typing,
            };
            frames::put(&frame, &mut out);
        }
    }
    out.pop(); // The closing brace comes with the end.
    out.into_boxed_slice()
}

fn ticket_update(action: TicketAction, line: &TicketLine) -> Framed<'_> {
    let status = StatusShown {
        id: line.status.id(),
        name: line.status.display(),
        color: line.status.color(),
    };
    let data = Data::Ticket {
        ticket_id: line.id.0,
        key: &line.key,
        title: &line.title,
        status,
        version: line.version,
    };
    Framed { r#type: "ticket_update", action: Some(action.as_str()), data }
}

fn comment_added(comment: &Comment) -> Framed<'_> {
    let shown = CommentShown {
        id: comment.id.0,
        author: &comment.author_name,
        author_id: comment.author.0,
        body: &comment.body,
        created_at: comment.created_at,
    };
    let data = Data::Comment { ticket_id: comment.ticket.0, comment: shown };
    Framed { r#type: "comment_added", action: None, data }
}

fn user_status<'a>(action: &'static str, person: &'a Person) -> UserStatus<'a> {
    let (user_id, username) = (person.id.0, &*person.username);
    UserStatus { r#type: "user_status", action, username, user_id }
}

#[derive(Serialize)]
struct Framed<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Ticket { ticket_id: i64, key: &'a str, title: &'a str, status: StatusShown, version: i64 },
    Comment { ticket_id: i64, comment: CommentShown<'a> },
}

#[derive(Serialize)]
struct StatusShown {
    id: u8,
    name: &'static str,
    color: &'static str,
}

#[derive(Serialize)]
struct CommentShown<'a> {
    id: i64,
    author: &'a str,
    author_id: i64,
    body: &'a str,
    created_at: Timestamp,
}

#[derive(Serialize)]
struct UserStatus<'a> {
    r#type: &'static str,
    action: &'static str,
    username: &'a str,
    user_id: i64,
}

#[derive(Serialize)]
struct TicketViewing<'a> {
    r#type: &'static str,
    user_id: i64,
    username: &'a str,
    ticket_id: Option<i64>,
}

#[derive(Serialize)]
struct UserTyping<'a> {
    r#type: &'static str,
    user_id: i64,
    username: &'a str,
    ticket_id: i64,
    is_typing: bool,
}

#[derive(Serialize)]
struct PresenceState<'a> {
    r#type: &'static str,
    users: Vec<User<'a>>,
}

#[derive(Serialize)]
struct User<'a> {
    user_id: i64,
    username: &'a str,
    viewing: Option<i64>,
    typing: Vec<i64>,
}

impl<'a> From<&'a Present> for User<'a> {
    fn from(present: &'a Present) -> Self {
        Self {
            user_id: present.person.id.0,
            username: &present.person.username,
            viewing: present.viewing.map(|ticket| ticket.0),
            typing: present.typing.iter().map(|ticket| ticket.0).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bellpull_domain::ids::{CommentId, ProjectId, UserId};
    use bellpull_domain::ticket::Status;
    use bellpull_port::outlet::Outgoing;
    use bellpull_port::session::Heard;

    use super::*;
    use crate::testing::{at, texts};
    use crate::{Dialect, Endpoint, decode};

    macro_rules! golden {
        ($name:literal) => {
            include_str!(concat!("../../tests/golden/streams/", $name, ".json")).trim_end()
        };
    }

    fn john() -> Person {
        Person { id: UserId(5), username: "john_doe".into() }
    }

    /// The frame in every family, and the longer one of `bellpull.v1`.
    fn assert_told(event: StreamEvent, wanted: &str) {
        let content = SharedStreamEvent::new(ProjectId(7), event);
        for dialect in Dialect::ALL {
            let stream = if dialect == Dialect::BellpullV1 {
                format!(r#","stream":"{}"}}"#, content.stream)
            } else {
                "}".to_owned()
            };
            let wanted = format!("{}{stream}", wanted.strip_suffix('}').unwrap());
            assert_eq!(texts(dialect, Outgoing::Stream(&content)), [wanted], "{dialect}");
        }
    }

    #[test]
    fn tickets_to_the_byte() {
        let line = TicketLine {
            id: TicketId(123),
            key: "PROJ-456".to_owned(),
            title: "Fix login bug".to_owned(),
            status: Status::New,
            version: 3,
        };
        let event = StreamEvent::Ticket { action: TicketAction::Updated, line };
        assert_told(event, golden!("ticket_update"));
        let comment = Comment {
            id: CommentId(8),
            ticket: TicketId(123),
            author: UserId(5),
            author_name: "John Doe".to_owned(),
            body: "It is \"fixed\"\n@ada".to_owned(),
            created_at: at("2025-11-05T12:00:00Z"),
        };
        assert_told(StreamEvent::Comment(comment), golden!("comment_added"));
    }

    #[test]
    fn presence_to_the_byte() {
        assert_told(StreamEvent::Joined(john()), golden!("user_status_joined"));
        assert_told(StreamEvent::Left(john()), golden!("user_status_left"));
        let ticket = Some(TicketId(1));
        assert_told(
            StreamEvent::Viewing { person: john(), was: None, ticket },
            golden!("ticket_viewing"),
        );
        let event = StreamEvent::Viewing { person: john(), was: ticket, ticket: None };
        assert_told(event, golden!("ticket_viewing_none"));
        let ticket = TicketId(1);
        let event = StreamEvent::Typing { person: john(), ticket, is_typing: true };
        assert_told(event, golden!("user_typing"));

        let people = [
            Present { person: john(), viewing: Some(ticket), typing: vec![ticket] },
            Present {
                person: Person { id: UserId(6), username: "jane".into() },
                viewing: None,
                typing: Vec::new(),
            },
        ];
        let stream: Stream = "project:7:presence".parse().unwrap();
        let frame = Outgoing::Present { stream, people: &people };
        assert_eq!(texts(Dialect::Project, frame), [golden!("presence_state")]);
        assert_eq!(texts(Dialect::BellpullV1, frame), [golden!("presence_state_v1")]);
    }

    #[test]
    fn what_clients_of_presence_send() {
        let asked = |dialect, text| match decode(dialect, Endpoint::Presence, text) {
            Ok(Heard::Asked(asked)) => asked.ask,
            other => panic!("{other:?}"),
        };
        let ticket = TicketId(1);
        for dialect in Dialect::ALL {
            assert_eq!(
                asked(dialect, golden!("client_ticket_viewing")),
                Ask::Viewing { stream: None, ticket: Some(ticket) }
            );
            assert_eq!(
                asked(dialect, golden!("client_ticket_viewing_none")),
                Ask::Viewing { stream: None, ticket: None }
            );
            assert_eq!(
                asked(dialect, golden!("client_user_typing")),
                Ask::Typing { stream: None, ticket, is_typing: true }
            );
            for (text, code) in [
                (r#"{"type":"ticket_viewing"}"#, "missing_field"),
                (r#"{"type":"ticket_viewing","ticket_id":"one"}"#, "invalid_field"),
                (r#"{"type":"ticket_viewing","ticket_id":0}"#, "invalid_field"),
                (r#"{"type":"user_typing","ticket_id":1}"#, "missing_field"),
                (r#"{"type":"user_typing","is_typing":true}"#, "missing_field"),
                (r#"{"type":"user_typing","ticket_id":null,"is_typing":true}"#, "missing_field"),
                (r#"{"type":"user_typing","ticket_id":1,"is_typing":1}"#, "invalid_field"),
                (r#"{"type":"mark_all_read"}"#, "unknown_type"),
            ] {
                let bad = decode(dialect, Endpoint::Presence, text).unwrap_err();
                assert_eq!(bad.code, code, "{dialect}: {text}");
            }
            let text = golden!("client_user_typing");
            let bad = decode(dialect, Endpoint::Tickets, text).unwrap_err();
            assert_eq!(bad.code, "unknown_type");
        }
    }
}
