//! Events, and the session's state.

use bellpull_domain::ids::{NotificationId, Seq};
use bellpull_domain::inbox::{Entry, Mark, Marked, Row};
use bellpull_domain::notification::{Message, TicketSnapshot};
use bellpull_domain::stream::Stream;
use bellpull_port::outlet::Welcome;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::BellpullV1;
use crate::{format, frames};

/// The recipient's own fields, which end the frame of a new notification; `seq` is its position
/// among the inbox's changes.
pub(super) fn tail(entry: &Entry, unread_count: i64, out: &mut Vec<u8>) {
    let Entry { id, seq, is_read, .. } = entry;
    frames::print(
        out,
        format_args!(
            r#","seq":{seq},"id":{id},"is_read":{is_read},"unread_count":{unread_count}}}"#
        ),
    );
}

/// The recipient's own fields of a row that the client does not have: `seq` is the number of the
/// row's last change, `created_seq` the number of its entry, by which the inbox is ordered.
fn row_tail(row: &Row, unread_count: i64, out: &mut Vec<u8>) {
    let (seq, Entry { id, seq: created_seq, is_read, .. }) = (row.changed_seq, &row.entry);
    frames::print(
        out,
        format_args!(r#","seq":{seq},"created_seq":{created_seq},"id":{id},"is_read":{is_read},"#),
    );
    frames::print(out, format_args!(r#""unread_count":{unread_count}}}"#));
}

/// A row's latest state. A row that was added and deleted since is sent as deleted, so that the
/// client's position moves past it.
pub(super) fn row(row: &Row, is_news: bool, unread_count: i64, out: &mut Vec<u8>) {
    let mark = match (row.is_deleted, row.entry.is_read) {
        (false, _) if is_news => {
            format::stem::<BellpullV1>(&row.entry, out);
            return row_tail(row, unread_count, out);
        }
        (true, _) => Mark::Delete,
        (false, true) => Mark::Read,
        (false, false) => Mark::Unread,
    };
    inbox(&[row.entry.id], mark, row.changed_seq, unread_count, out);
}

/// Rows were marked.
pub(super) fn marked(marked: &Marked, out: &mut Vec<u8>) {
    inbox(&marked.ids, marked.mark, marked.last, marked.unread_count, out);
}

fn inbox(ids: &[NotificationId], mark: Mark, seq: Seq, unread_count: i64, out: &mut Vec<u8>) {
    // A deleted row is not shown as unread.
    let (is_read, deleted) = (mark != Mark::Unread, mark == Mark::Delete);
    frames::put(&Inbox { r#type: "inbox", seq, ids, is_read, unread_count, deleted }, out);
}

/// The session is established.
pub(super) fn welcome(welcome: &Welcome<'_>, out: &mut Vec<u8>) {
    let caller = welcome.user;
    let frame = Greeting {
        r#type: "welcome",
        // A node counts a user's sessions; together with the user the number identifies one.
        session: format!("{}-{}", caller.id, welcome.session),
        user: User { id: caller.id.0, username: &caller.username, role: caller.role.as_str() },
        epoch: welcome.epoch,
        last_seq: welcome.last_seq.0,
        unread_count: welcome.unread_count,
        heartbeat_ms: welcome.heartbeat_ms,
        node: welcome.node,
        resumed: welcome.is_resumed,
    };
    frames::put(&frame, out);
}

/// The client's position is of another store.
pub(super) fn reset(out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"reset"}"#);
}

/// A stream has ended.
pub(super) fn stream_ended(stream: Stream, code: &str, message: &str, out: &mut Vec<u8>) {
    let stream = stream.to_string();
    frames::put(&StreamEnded { r#type: "stream_ended", stream, code, message }, out);
}

/// The session's token expires soon.
pub(super) fn token_expiring(expires_at: Timestamp, now: Timestamp, out: &mut Vec<u8>) {
    let expires_in_s = expires_at.as_second().saturating_sub(now.as_second()).max(0);
    let frame = TokenExpiring { r#type: "token_expiring", expires_at, expires_in_s };
    frames::put(&frame, out);
}

/// The part of the frame that all recipients of a message share: everything up to the recipient's
/// own fields.
pub(super) fn stem(message: &Message) -> Box<[u8]> {
    let frame = Notification {
        r#type: "notification",
        event: message.event.as_str(),
        kind: message.kind.as_str(),
        title: &message.title,
        body: &message.body,
        action_url: &message.action_url,
        data: &message.metadata,
        ticket: message.ticket.as_ref().map(Ticket::from),
        sender_id: message.sender.map(|sender| sender.0),
        priority: message.priority.as_str(),
        created_at: message.created_at,
    };
    let mut out = Vec::with_capacity(512);
    frames::put(&frame, &mut out);
    out.pop(); // The closing brace stands at the tail's end.
    out.into_boxed_slice()
}

#[derive(Serialize)]
struct Notification<'a> {
    r#type: &'static str,
    event: &'a str,
    kind: &'static str,
    title: &'a str,
    body: &'a str,
    action_url: &'a str,
    data: &'a Map<String, Value>,
    ticket: Option<Ticket<'a>>,
    sender_id: Option<i64>,
    priority: &'static str,
    created_at: Timestamp,
}

#[derive(Serialize)]
struct Ticket<'a> {
    id: i64,
    key: &'a str,
    title: &'a str,
    priority: &'static str,
    priority_display: &'static str,
    category: &'static str,
    status: &'static str,
    status_display: &'static str,
    created_by: &'a str,
    project_name: &'a str,
    created_at: Timestamp,
}

impl<'a> From<&'a TicketSnapshot> for Ticket<'a> {
    fn from(ticket: &'a TicketSnapshot) -> Self {
        Self {
            id: ticket.id.0,
            key: &ticket.key,
            title: &ticket.title,
            priority: ticket.priority.as_str(),
            priority_display: ticket.priority.display(),
            category: ticket.category.as_str(),
            status: ticket.status.as_str(),
            status_display: ticket.status.display(),
            created_by: &ticket.created_by_name,
            project_name: &ticket.project_name,
            created_at: ticket.created_at,
        }
    }
}

#[derive(Serialize)]
struct Inbox<'a> {
    r#type: &'static str,
    seq: Seq,
    ids: &'a [NotificationId],
    is_read: bool,
    unread_count: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

#[derive(Serialize)]
struct StreamEnded<'a> {
    r#type: &'static str,
    stream: String,
    code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct TokenExpiring {
    r#type: &'static str,
    expires_at: Timestamp,
    expires_in_s: i64,
}

#[derive(Serialize)]
struct Greeting<'a> {
    r#type: &'static str,
    session: String,
    user: User<'a>,
    epoch: &'a str,
    last_seq: i64,
    unread_count: i64,
    heartbeat_ms: u32,
    node: &'a str,
    resumed: bool,
}

#[derive(Serialize)]
struct User<'a> {
    id: i64,
    username: &'a str,
    role: &'a str,
}
