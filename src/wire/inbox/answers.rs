//! Frames sent to an inbox client.
//!
//! A notification's `type` is the name of its event, either the sender's or ours. A failed command
//! is answered with the type that its client waits for and `"success":false`; a failed list, whose
//! answer has no `success`, with an error.

use bellpull_domain::ids::NotificationId;
use bellpull_domain::inbox::{Entry, Mark};
use bellpull_domain::notification::{Message, Notification};
use bellpull_port::inbox::Selection;
use bellpull_port::session::{Answer, Ask, Asked};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Texts, frames};

/// The recipient's own fields, which end a notification's frame.
pub(super) fn tail(entry: &Entry, out: &mut Vec<u8>) {
    let (id, seq, read) = (entry.id, entry.seq, entry.is_read);
    frames::print(out, format_args!(r#","id":{id},"seq":{seq},"read":{read}}}}}"#));
}

/// The result of a command.
pub(super) fn answer(asked: &Asked, answer: &Answer, out: &mut impl Texts) {
    if let Answer::Refused { code, message, retry_after_ms } = answer {
        return match Named::of(&asked.ask) {
            Some(named) => out.text(|out| {
                let success = false;
                let (error, retry_after_ms) = (message.as_str(), *retry_after_ms);
                frames::put(&Refused { named, success, error, code, retry_after_ms }, out);
            }),
            None => frames::refused(answer, out),
        };
    }
    match answer {
        Answer::Listed { notifications, total, unread_count } => out.text(|out| {
            let notifications = notifications.iter().map(Listed::from).collect();
            let (total, unread_count) = (*total, *unread_count);
            let r#type = "notifications_list";
            frames::put(&List { r#type, notifications, total, unread_count }, out);
        }),
        Answer::Sent { notification } => out.text(|out| {
            let text = r#""type":"notification_sent","success":true,"notification_id""#;
            frames::print(out, format_args!("{{{text}:{notification}}}"));
        }),
        Answer::Marked { count, is_found, .. } => {
            if let Some(named) = Named::of(&asked.ask) {
                // No unread rows is no failure.
                let success = named.count.is_some() || *is_found;
                let named = Named { count: named.count.map(|_| *count), ..named };
                out.text(|out| frames::put(&Marked { named, success }, out));
            }
        }
        Answer::Done | Answer::Refused { .. } => {}
    }
}

/// The part of the frame that all recipients of a message share: everything up to the recipient's
/// own fields.
pub(super) fn stem(message: &Message) -> Box<[u8]> {
    #[derive(Serialize)]
    struct Frame<'a> {
        r#type: &'static str,
        notification: Content<'a>,
    }
    let mut out = Vec::with_capacity(512);
    let frame = Frame { r#type: "notification", notification: Content::from(message) };
    frames::put(&frame, &mut out);
    out.truncate(out.len() - 2); // Both closing braces stand at the tail's end.
    out.into_boxed_slice()
}

/// The type of a command's answer, and its subject.
#[derive(Serialize)]
struct Named {
    r#type: &'static str,
    /// `Some` if the answer has the key: the notification, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_id: Option<Option<NotificationId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
}

impl Named {
    fn of(ask: &Ask) -> Option<Self> {
        let (r#type, notification_id, count) = match ask {
            Ask::Send(_) => ("notification_sent", Some(None), None),
            Ask::Mark { selection: Selection { ids: Some(ids), .. }, mark } => {
                let name = match mark {
                    Mark::Read => "notification_marked_read",
                    Mark::Delete => "notification_deleted",
                    Mark::Unread => return None,
                };
                (name, Some(ids.first().copied()), None)
            }
            Ask::Mark { .. } => ("all_notifications_marked_read", None, Some(0)),
            Ask::List { .. }
            | Ask::Ack(_)
            | Ask::Subscribe(_)
            | Ask::Unsubscribe(_)
            | Ask::Viewing { .. }
            | Ask::Typing { .. }
            | Ask::Refresh(_) => return None,
        };
        Some(Self { r#type, notification_id, count })
    }
}

#[derive(Serialize)]
struct Marked {
    #[serde(flatten)]
    named: Named,
    success: bool,
}

#[derive(Serialize)]
struct Refused<'a> {
    #[serde(flatten)]
    named: Named,
    success: bool,
    error: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u32>,
}

#[derive(Serialize)]
struct List<'a> {
    r#type: &'static str,
    notifications: Vec<Listed<'a>>,
    total: i64,
    unread_count: i64,
}

/// A listed notification: the same as when it was pushed.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    content: Content<'a>,
    id: i64,
    seq: i64,
    read: bool,
}

impl<'a> From<&'a Notification> for Listed<'a> {
    fn from(row: &'a Notification) -> Self {
        let (id, seq, read) = (row.id.0, row.seq.0, row.read_at.is_some());
        Self { content: Content::from(&row.message), id, seq, read }
    }
}

#[derive(Serialize)]
struct Content<'a> {
    title: &'a str,
    message: &'a str,
    r#type: &'a str,
    created_at: Timestamp,
    data: &'a Map<String, Value>,
    link: Option<&'a str>,
    sender_id: Option<i64>,
}

impl<'a> From<&'a Message> for Content<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            title: &message.title,
            message: &message.body,
            r#type: message.event.as_str(),
            created_at: message.created_at,
            data: &message.metadata,
            link: Some(message.action_url.as_str()).filter(|url| !url.is_empty()),
            sender_id: message.sender.map(|sender| sender.0),
        }
    }
}
