//! What the dialects' tests share.

use std::fs;
use std::path::Path;

use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, Seq, TicketId, UserId};
use bellpull_domain::inbox::{Entry, Mark, Marked, MessageContent, Row};
use bellpull_domain::notification::{Kind, Message, TicketSnapshot};
use bellpull_domain::ticket::{Caller, Category, Priority, Status};
use bellpull_domain::user::Role;
use bellpull_port::outlet::Outgoing;
use jiff::Timestamp;
use proptest::prelude::*;
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

/// All texts of a frame in a dialect.
pub(super) fn texts(dialect: Dialect, frame: Outgoing<'_>) -> Vec<String> {
    let mut out = Vec::new();
    encode(dialect, frame, now, &mut out);
    out
}

/// The only text of a frame in a dialect.
pub(super) fn text(dialect: Dialect, frame: Outgoing<'_>) -> String {
    let mut texts = texts(dialect, frame);
    assert_eq!(texts.len(), 1, "{texts:?}");
    texts.remove(0)
}

pub(super) fn caller() -> Caller {
    Caller {
        id: UserId(1),
        username: "john_admin".into(),
        name: "John Admin".into(),
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

pub(super) fn entry(message: Message) -> Entry {
    Entry {
        id: NotificationId(123),
        seq: Seq(17),
        is_read: false,
        message: MessageContent::new(message),
    }
}

/// Any content of a sender.
pub(super) fn any_message() -> impl Strategy<Value = Message> {
    let texts = (any::<String>(), any::<String>(), any::<String>(), any::<String>());
    let data = prop::collection::btree_map(any::<String>(), any::<String>(), 0..4);
    let at = -377_705_023_201_i64..253_402_207_200;
    let kind = prop::sample::select(&Kind::ALL[..]);
    (texts, data, at, kind, any::<bool>()).prop_map(|(texts, data, at, kind, has_ticket)| {
        let (event, title, body, action_url) = texts;
        let mut ticket = snapshot();
        ticket.title.clone_from(&body);
        ticket.key.clone_from(&event);
        Message {
            event: Event::from_name(&event),
            kind,
            title,
            body,
            action_url,
            metadata: data.into_iter().map(|(key, value)| (key, value.into())).collect(),
            ticket: has_ticket.then_some(ticket),
            sender: has_ticket.then_some(UserId(3)),
            priority: Priority::High,
            created_at: Timestamp::from_second(at).unwrap(),
        }
    })
}

/// The golden frames: folder, file, text.
pub(super) fn golden() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let named = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for folder in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            found.push((named(&folder), named(&file), fs::read_to_string(&file).unwrap()));
        }
    }
    assert!(found.len() > 70, "{}", found.len());
    found
}

/// All frames about a notification, in all dialects.
pub(super) fn frames_about(message: Message) -> Vec<(Dialect, String)> {
    let entry = entry(message);
    let row = |is_deleted| Row { entry: entry.clone(), changed_seq: Seq(40), is_deleted };
    let (known, gone) = (row(false), row(true));
    let marked = Marked {
        mark: Mark::Unread,
        ids: [NotificationId(1), NotificationId(2)].into(),
        first: Seq(1),
        last: Seq(2),
        unread_count: 2,
    };
    let frames = [
        Outgoing::Notification { entry: &entry, unread_count: 1 },
        Outgoing::Row { row: &known, is_news: true, is_resumable: true, unread_count: 1 },
        Outgoing::Row { row: &known, is_news: false, is_resumable: true, unread_count: 1 },
        Outgoing::Row { row: &gone, is_news: true, is_resumable: true, unread_count: 1 },
        Outgoing::Row { row: &gone, is_news: false, is_resumable: true, unread_count: 1 },
        Outgoing::Marked(&marked),
    ];
    let of = |dialect| frames.iter().flat_map(move |frame| texts(dialect, *frame));
    Dialect::ALL
        .into_iter()
        .flat_map(|dialect| of(dialect).map(move |text| (dialect, text)))
        .collect()
}
