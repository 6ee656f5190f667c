//! The dialect `academy`: notifications with a kind, and the changes of each.
//!
//! A notification's `type` is its kind in lower case (`info`, `course`, `user_registration`), by
//! which its clients choose a colour and an icon. The event is not part of the frame.

use bellpull_domain::ids::NotificationId;
use bellpull_domain::inbox::{Entry, Mark, Marked, Row};
use bellpull_domain::notification::{Message, time_ago};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::format::Format;
use super::{Texts, frames};

/// The dialect.
pub(super) struct Academy;

impl Format for Academy {
    const NAME: &'static str = "academy";
    const DOCUMENT: &'static str = include_str!("asyncapi.json");

    fn stem(message: &Message) -> Box<[u8]> {
        let notification = Notification {
            r#type: message.kind.as_str().to_ascii_lowercase(),
            title: &message.title,
            body: &message.body,
            action_url: &message.action_url,
            created_at: message.created_at,
            metadata: &message.metadata,
        };
        let mut out = Vec::with_capacity(512);
        frames::put(&Frame { r#type: "new_notification", notification }, &mut out);
        out.truncate(out.len() - 2); // Both closing braces stand at the tail's end.
        out.into_boxed_slice()
    }

    fn tail(entry: &Entry, _unread_count: i64, now: impl FnOnce() -> Timestamp, out: &mut Vec<u8>) {
        let (id, seq, is_read) = (entry.id, entry.seq, entry.is_read);
        let time_ago = time_ago(entry.message.message.created_at, now());
        frames::print(
            out,
            format_args!(
                r#","id":{id},"seq":{seq},"is_read":{is_read},"time_ago":"{time_ago}"}}}}"#
            ),
        );
    }

    fn changed_row(row: &Row, unread_count: i64, out: &mut impl Texts) {
        let mark = match (row.is_deleted, row.entry.is_read) {
            (true, _) => Mark::Delete,
            (false, true) => Mark::Read,
            (false, false) => Mark::Unread,
        };
        update(row.entry.id, mark, unread_count, out);
    }

    /// A frame for each row.
    fn marked(marked: &Marked, out: &mut impl Texts) {
        for id in marked.ids.iter() {
            update(*id, marked.mark, marked.unread_count, out);
        }
    }
}

fn update(id: NotificationId, mark: Mark, unread_count: i64, out: &mut impl Texts) {
    // A deleted row is not shown as unread.
    let is_read = mark != Mark::Unread;
    let deleted = if mark == Mark::Delete { r#","deleted":true"# } else { "" };
    out.text(|out| {
        frames::print(
            out,
            format_args!(
                r#"{{"type":"notification_updated","notification_id":{id},"is_read":{is_read},"unread_count":{unread_count}{deleted}}}"#
            ),
        );
    });
}

#[derive(Serialize)]
struct Frame<'a> {
    r#type: &'static str,
    notification: Notification<'a>,
}

#[derive(Serialize)]
struct Notification<'a> {
    r#type: String,
    title: &'a str,
    body: &'a str,
    action_url: &'a str,
    created_at: Timestamp,
    metadata: &'a Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use bellpull_domain::event::Event;
    use bellpull_domain::ids::Seq;
    use bellpull_domain::notification::Kind;
    use bellpull_port::outlet::Outgoing;
    use serde_json::json;

    use super::*;
    use crate::Dialect;
    use crate::testing::{at, entry, message, texts};

    macro_rules! golden {
        ($name:literal) => {
            include_str!(concat!("../../../tests/golden/academy/", $name, ".json")).trim_end()
        };
    }

    fn encoded(frame: Outgoing<'_>) -> Vec<String> {
        texts(Dialect::Academy, frame)
    }

    fn registration() -> Entry {
        let mut message = message(None);
        message.event = Event::UserRegistration;
        message.kind = Kind::UserRegistration;
        message.title = "New User Registration".to_owned();
        message.body = "A new Student has registered: John Doe (john@example.com)".to_owned();
        message.action_url = "/admin/accounts/customuser/123/change/".to_owned();
        let metadata = json!({"user_id": 123, "user_email": "john@example.com",
            "user_full_name": "John Doe", "user_role": "student"});
        message.metadata = serde_json::from_value(metadata).unwrap();
        Entry { id: NotificationId(1), seq: Seq(1), ..entry(message) }
    }

    #[test]
    fn notifications_to_the_byte() {
        let entry = registration();
        let frame = Outgoing::Notification { entry: &entry, unread_count: 1 };
        assert_eq!(encoded(frame), [golden!("new_notification")]);
        let mut old = registration().message.message.clone();
        old.created_at = at("2025-12-24T07:30:00Z");
        old.kind = Kind::Course;
        let old = Entry { is_read: true, ..crate::testing::entry(old) };
        let row = Row { entry: old, changed_seq: Seq(40), is_deleted: false };
        let frame = Outgoing::Row { row: &row, is_news: true, is_resumable: true, unread_count: 1 };
        assert_eq!(encoded(frame), [golden!("new_notification_read_three_hours_ago")]);
        let gone = Row { is_deleted: true, ..row };
        let frame =
            Outgoing::Row { row: &gone, is_news: true, is_resumable: true, unread_count: 1 };
        assert!(encoded(frame).is_empty());
    }

    #[test]
    fn what_becomes_of_them_to_the_byte() {
        let marked = |mark| Marked {
            mark,
            ids: [NotificationId(1), NotificationId(2)].into(),
            first: Seq(5),
            last: Seq(6),
            unread_count: 2,
        };
        let frames = encoded(Outgoing::Marked(&marked(Mark::Read)));
        assert_eq!(frames, [golden!("notification_updated"), golden!("notification_updated_2")]);
        let frames = encoded(Outgoing::Marked(&marked(Mark::Unread)));
        assert_eq!(frames[0], golden!("notification_updated_unread"));
        let frames = encoded(Outgoing::Marked(&marked(Mark::Delete)));
        assert_eq!(frames[0], golden!("notification_updated_deleted"));

        let row = Row { entry: registration(), changed_seq: Seq(5), is_deleted: false };
        let told = |row: &Row| {
            encoded(Outgoing::Row { row, is_news: false, is_resumable: true, unread_count: 2 })
        };
        assert_eq!(told(&row), [golden!("notification_updated_unread")]);
        let read = Row { entry: Entry { is_read: true, ..row.entry.clone() }, ..row.clone() };
        assert_eq!(told(&read), [golden!("notification_updated")]);
        let gone = Row { is_deleted: true, ..row };
        assert_eq!(told(&gone), [golden!("notification_updated_deleted")]);
    }
}
