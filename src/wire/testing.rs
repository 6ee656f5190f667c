//! What the dialects' tests have in common.

use bellpull_actors::domain::event::Event;
use bellpull_actors::domain::ids::{NotificationId, Seq, TicketId, UserId};
use bellpull_actors::domain::inbox::{Birth, Letter};
use bellpull_actors::domain::notification::{Kind, Message, TicketSnapshot};
use bellpull_actors::domain::ticket::{Caller, Category, Priority, Status};
use bellpull_actors::domain::user::Role;
use bellpull_actors::port::outlet::Outgoing;
use jiff::Timestamp;
use serde_json::Map;

use super::{Dialect, Texts, encode};

impl Texts for Vec<String> {
    fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut text = Vec::new();
        write(&mut text);
        self.push(String::from_utf8(text).unwrap());
    }
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The time at which tests write: 2025-12-24T10:30:00Z.
pub(super) fn now() -> Timestamp {
    at("2025-12-24T10:30:00Z")
}

/// All texts that a frame is in a dialect.
pub(super) fn texts(dialect: Dialect, frame: Outgoing<'_>) -> Vec<String> {
    let mut out = Vec::new();
    encode(dialect, frame, now, &mut out);
    out
}

/// The one text that a frame is in a dialect.
pub(super) fn text(dialect: Dialect, frame: Outgoing<'_>) -> String {
    let mut texts = texts(dialect, frame);
    assert_eq!(texts.len(), 1, "{texts:?}");
    texts.remove(0)
}

pub(super) fn caller() -> Caller {
    Caller {
        id: UserId(1),
        username: "john_admin".to_owned(),
        name: "John Admin".to_owned(),
        role: Role::Admin,
    }
}

pub(super) fn snapshot() -> TicketSnapshot {
    TicketSnapshot {
        id: TicketId(5),
        key: "WEB-5".to_owned(),
        title: "Homepage not loading".to_owned(),
        priority: Priority::High,
        category: Category::Bug,
        status: Status::New,
        created_by_name: "John Client".to_owned(),
        project_name: "Main Website".to_owned(),
        created_at: now(),
    }
}

pub(super) fn message(ticket: Option<TicketSnapshot>) -> Message {
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
        created_at: now(),
    }
}

pub(super) fn birth(message: Message) -> Birth {
    Birth { id: NotificationId(123), seq: Seq(17), is_read: false, message: Letter::new(message) }
}
