//! The dialect's frames in both directions.

use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::{Entry, Mark};
use bellpull_domain::notification::{Kind, Message, Notification};
use bellpull_port::inbox::Selection;
use bellpull_port::outlet::Outgoing;
use bellpull_port::session::{Answer, Ask, Asked, Heard, Note};
use serde_json::{Value, json};

use super::commands::decode;
use crate::Dialect;
use crate::testing::{entry, message, now, snapshot, text, texts};

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../../tests/golden/inbox/", $name, ".json")).trim_end()
    };
}

fn ask(text: &str) -> Ask {
    match decode(text) {
        Ok(Heard::Asked(asked)) => asked.ask,
        other => panic!("{text}: {other:?}"),
    }
}

fn code(text: &str) -> &'static str {
    decode(text).map_or_else(|bad| bad.code, |_| "")
}

fn answered(text: &str, answer: &Answer) -> String {
    let asked = Asked { tag: None, ask: ask(text) };
    self::text(Dialect::Inbox, Outgoing::Answer { asked: &asked, answer })
}

fn refused(code: &'static str, message: &str, retry_after_ms: Option<u32>) -> Answer {
    Answer::Refused { code, message: message.to_owned(), retry_after_ms }
}

fn approval() -> Message {
    let mut message = message(None);
    message.event = Event::from_name("approval");
    message.title = "Approval needed".to_owned();
    message.body = "Please look at it".to_owned();
    message.action_url = String::new();
    message.sender = None;
    message
}

#[test]
fn notifications_to_the_byte() {
    let pushed =
        |entry: &Entry| text(Dialect::Inbox, Outgoing::Notification { entry, unread_count: 1 });
    assert_eq!(pushed(&entry(approval())), golden!("notification"));
    assert_eq!(pushed(&entry(message(Some(snapshot())))), golden!("notification_of_ticket"));
}

#[test]
fn a_notification_is_sent_in_three_spellings() {
    let wanted = Ask::Send(Box::new(Note {
        to: UserId(123),
        title: "Approval needed".to_owned(),
        message: "Please look at it".to_owned(),
        event: "approval".to_owned(),
        kind: Kind::Info,
        link: "/some/url".to_owned(),
        data: serde_json::from_str(r#"{"a":[1]}"#).unwrap(),
    }));
    for text in [
        golden!("client_send_notification"),
        golden!("client_send_notification_last_type"),
        golden!("client_send_notification_both_types"),
        &golden!("client_send_notification_both_types")
            .replace("send_notification", "other")
            .replace(r#""approval""#, r#""send_notification""#)
            .replace(r#""other""#, r#""approval""#),
    ] {
        assert_eq!(ask(text), wanted, "{text}");
    }
}

#[test]
fn what_a_sender_leaves_out_is_there() {
    let least = r#"{"type":"send_notification","user_id":1,"title":"t","message":"m","link":null}"#;
    let Ask::Send(note) = ask(least) else { panic!("a notification") };
    assert_eq!((note.event.as_str(), note.kind), ("general", Kind::Info));
    assert!(note.link.is_empty() && note.data.is_empty());
    let course = r#"{"type":"course","user_id":1,"title":"t","message":"m"}"#;
    let Ask::Send(note) = ask(course) else { panic!("a notification") };
    assert_eq!((note.event.as_str(), note.kind), ("course", Kind::Course));
}

#[test]
fn commands() {
    assert_eq!(ask(golden!("client_get_notifications")), Ask::List { limit: 20, offset: 0 });
    assert_eq!(ask(golden!("client_get_notifications_page")), Ask::List { limit: 50, offset: 100 });
    let one = || Selection::ids(vec![NotificationId(456)]);
    let wanted = Ask::Mark { selection: one(), mark: Mark::Read };
    assert_eq!(ask(golden!("client_mark_read")), wanted);
    let wanted = Ask::Mark { selection: one(), mark: Mark::Delete };
    assert_eq!(ask(golden!("client_delete_notification")), wanted);
    let selection = Selection::all();
    let wanted = Ask::Mark { selection, mark: Mark::Read };
    assert_eq!(ask(golden!("client_mark_all_read")), wanted);
    assert!(matches!(decode(r#"{"type":"ping","user_id":1}"#), Ok(Heard::Ping(None))));
}

#[test]
fn what_will_not_do_is_named() {
    let send = |field: &str, value: Value| {
        let mut frame = json!({"type": "send_notification", "user_id": 1, "title": "t",
            "message": "m"});
        frame[field] = value;
        match decode(&frame.to_string()) {
            Ok(_) => String::new(),
            Err(bad) => format!("{}: {}", bad.code, bad.message),
        }
    };
    for (field, value, named) in [
        ("user_id", json!(null), "missing_field: The key \"user_id\" is missing."),
        ("user_id", json!("1.0"), "invalid_field: The key \"user_id\""),
        ("user_id", json!(0), "invalid_field: The key \"user_id\""),
        ("user_id", json!(1.5), "invalid_field: The key \"user_id\""),
        ("title", json!(" "), "invalid_field: The key \"title\""),
        ("title", json!("é".repeat(256)), "invalid_field: The key \"title\""),
        ("title", json!("é".repeat(255)), ""),
        ("title", json!("a\0b"), "invalid_field: The key \"title\""),
        ("message", json!("a\0b"), "invalid_field: The key \"message\""),
        ("message", json!("é".repeat(10_001)), "invalid_field: The key \"message\""),
        ("message", json!("é".repeat(10_000)), ""),
        ("message", json!(["m"]), "invalid_field: The key \"message\""),
        ("notification_type", json!(""), "invalid_field: The key \"notification_type\""),
        ("notification_type", json!("a b"), "invalid_field: The key \"notification_type\""),
        ("notification_type", json!("a\u{7}"), "invalid_field: The key \"notification_type\""),
        ("notification_type", json!("x".repeat(65)), "invalid_field: The key \"notification_type"),
        ("notification_type", json!("x".repeat(64)), ""),
        ("link", json!("x".repeat(2_001)), "invalid_field: The key \"link\""),
        ("data", json!([1]), "invalid_field: The key \"data\""),
        ("data", json!(null), ""),
    ] {
        let told = send(field, value);
        assert!(told.starts_with(named) && told.is_empty() == named.is_empty(), "{field}: {told}");
    }
    for (text, wanted) in [
        (r#"{"type":"get_notifications","limit":0}"#, "invalid_field"),
        (r#"{"type":"get_notifications","limit":101}"#, "invalid_field"),
        (r#"{"type":"get_notifications","limit":100,"offset":0}"#, ""),
        (r#"{"type":"get_notifications","offset":-1}"#, "invalid_field"),
        (r#"{"type":"get_notifications","offset":4294967296}"#, "invalid_field"),
        (r#"{"type":"mark_read"}"#, "missing_field"),
        (r#"{"type":"mark_read","notification_id":"4x"}"#, "invalid_field"),
        (r#"{"type":"approval","user_id":1,"title":"t"}"#, "unknown_type"),
        (r#"{"type":"a b","user_id":1,"title":"t","message":"m"}"#, "invalid_field"),
        (r#"{"type":"ticket_viewing","ticket_id":1}"#, "unknown_type"),
        (r#"{"user_id":1,"title":"t","message":"m"}"#, "missing_type"),
    ] {
        assert_eq!(code(text), wanted, "{text}");
    }
}

#[test]
fn no_key_stands_twice_but_the_type_of_what_is_sent() {
    for (types, wanted) in [
        (["send_notification", "approval"], ""),
        (["approval", "send_notification"], ""),
        (["send_notification", "send_notification"], "duplicate_key"),
        (["send_notification", "mark_all_read"], "duplicate_key"),
        (["approval", "other"], "duplicate_key"),
        (["mark_all_read", "mark_all_read"], "duplicate_key"),
    ] {
        let [first, second] = types;
        let text = format!(
            r#"{{"type":"{first}","user_id":1,"title":"t","message":"m","type":"{second}"}}"#
        );
        assert_eq!(code(&text), wanted, "{text}");
    }
    for text in [
        r#"{"type":"send_notification","user_id":1,"title":"t","message":"m","type":"a","type":"a"}"#,
        r#"{"type":"send_notification","user_id":1,"title":"t","title":"t","message":"m","type":"a"}"#,
        r#"{"type":"send_notification","user_id":1,"user_id":2,"title":"t","message":"m"}"#,
        r#"{"type":"mark_read","notification_id":1,"notification_id":2}"#,
    ] {
        assert_eq!(code(text), "duplicate_key", "{text}");
    }
    let text = r#"{"type":"send_notification","user_id":1,"title":"t","type":"approval"}"#;
    assert_eq!(code(text), "missing_field");
}

#[test]
fn answers_to_the_byte() {
    let sent = Answer::Sent { notification: NotificationId(123) };
    let send = golden!("client_send_notification");
    assert_eq!(answered(send, &sent), golden!("notification_sent"));
    let no = refused("permission_denied", "You may not notify this user.", None);
    assert_eq!(answered(send, &no), golden!("notification_sent_refused"));
    let later = refused("throttled", "Too many at once.", Some(200));
    assert_eq!(answered(send, &later), golden!("notification_sent_throttled"));

    let marked = |count, is_found| Answer::Marked { count, is_found, unread_count: 3, seq: Seq(7) };
    let read = golden!("client_mark_read");
    assert_eq!(answered(read, &marked(1, true)), golden!("notification_marked_read"));
    // Rows that were read before are read now.
    assert_eq!(answered(read, &marked(0, true)), golden!("notification_marked_read"));
    assert_eq!(answered(read, &marked(0, false)), golden!("notification_marked_read_missing"));
    let later = refused("unavailable", "Try again.", Some(1_000));
    assert_eq!(answered(read, &later), golden!("notification_marked_read_refused"));
    let all = golden!("client_mark_all_read");
    assert_eq!(answered(all, &marked(3, false)), golden!("all_notifications_marked_read"));
    let delete = golden!("client_delete_notification");
    assert_eq!(answered(delete, &marked(1, true)), golden!("notification_deleted"));
}

#[test]
fn a_list_shows_what_was_pushed() {
    let row = Notification {
        id: NotificationId(123),
        seq: Seq(17),
        recipient: UserId(1),
        recipient_name: "John Admin".to_owned(),
        read_at: Some(now()),
        message: approval(),
        deliveries: Vec::new(),
    };
    let answer = Answer::Listed { notifications: vec![row], total: 10, unread_count: 3 };
    let listed = answered(golden!("client_get_notifications"), &answer);
    assert_eq!(listed, golden!("notifications_list"));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let pushed: Value = serde_json::from_str(golden!("notification")).unwrap();
    assert_eq!(keys(&listed["notifications"][0]), keys(&pushed["notification"]));
    // An empty list would be wrong.
    let later = refused("unavailable", "Try again.", Some(1_000));
    assert_eq!(
        answered(golden!("client_get_notifications"), &later),
        r#"{"type":"error","code":"unavailable","message":"Try again."}"#
    );
}

#[test]
fn what_its_clients_did_not_ask_for_they_are_not_told() {
    let asked = Asked { tag: None, ask: Ask::Ack(Seq(1)) };
    let frame = Outgoing::Answer { asked: &asked, answer: &Answer::Done };
    assert!(texts(Dialect::Inbox, frame).is_empty());
    assert!(texts(Dialect::Inbox, Outgoing::Reset).is_empty());
}
