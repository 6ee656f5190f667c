//! The dialect's frames in both directions.

use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, Seq, TicketId};
use bellpull_domain::inbox::{Entry, Mark, Marked, Row};
use bellpull_port::inbox::Selection;
use bellpull_port::outlet::{Outgoing, Welcome};
use bellpull_port::session::{Answer, Ask, Asked, Heard, Token};

use super::commands::decode;
use crate::testing::{at, caller, entry, message, snapshot, text, texts};
use crate::{Dialect, Endpoint};

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../../tests/golden/bellpull.v1/", $name, ".json")).trim_end()
    };
}

fn events(frame: Outgoing<'_>) -> String {
    text(Dialect::BellpullV1, frame)
}

fn asked(text: &str) -> Asked {
    match decode(Endpoint::Notifications, text) {
        Ok(Heard::Asked(asked)) => *asked,
        other => panic!("{text}: {other:?}"),
    }
}

fn code(endpoint: Endpoint, text: &str) -> &'static str {
    decode(endpoint, text).map_or_else(|bad| bad.code, |_| "")
}

#[test]
fn how_a_session_stands_to_the_byte() {
    let user = caller();
    let welcome = Welcome {
        user: &user,
        session: 3,
        epoch: "e1",
        node: "n1",
        last_seq: Seq(17),
        unread_count: 3,
        is_resumed: true,
        heartbeat_ms: 25_000,
    };
    assert_eq!(events(Outgoing::Welcome(welcome)), golden!("welcome"));
    assert_eq!(events(Outgoing::Reset), golden!("reset"));
    let frame = Outgoing::TokenExpiring { expires_at: at("2025-12-24T10:31:00Z") };
    assert_eq!(events(frame), golden!("token_expiring"));
    let late = Outgoing::TokenExpiring { expires_at: at("2025-12-24T10:29:00Z") };
    assert!(events(late).ends_with(r#""expires_in_s":0}"#));
    let stream = "project:7:tickets".parse().unwrap();
    let (code, message) = ("right_withdrawn", "You are no member any more.");
    let frame = Outgoing::StreamEnded { stream, code, message };
    assert_eq!(events(frame), golden!("stream_ended"));
    for dialect in [Dialect::Incident, Dialect::Project, Dialect::Inbox, Dialect::Academy] {
        for frame in [Outgoing::Welcome(welcome), Outgoing::Reset, late, frame] {
            assert!(texts(dialect, frame).is_empty(), "{dialect}: {frame:?}");
        }
    }
}

#[test]
fn changes_to_the_byte() {
    let new = entry(message(Some(snapshot())));
    let frame = Outgoing::Notification { entry: &new, unread_count: 4 };
    assert_eq!(events(frame), golden!("notification"));

    let mut own = message(None);
    own.event = Event::from_name("approval");
    own.sender = None;
    let entry = Entry { is_read: true, ..entry(own) };
    let row = Row { entry, changed_seq: Seq(40), is_deleted: false };
    let told_of =
        |row, is_news| events(Outgoing::Row { row, is_news, is_resumable: true, unread_count: 4 });
    assert_eq!(told_of(&row, true), golden!("notification_read_since"));
    assert_eq!(told_of(&row, false), golden!("inbox_row"));
    let gone = Row { is_deleted: true, ..row.clone() };
    for is_news in [true, false] {
        assert_eq!(told_of(&gone, is_news), golden!("inbox_row_deleted"));
    }

    let marked = |mark| Marked {
        mark,
        ids: [NotificationId(123), NotificationId(124)].into(),
        first: Seq(20),
        last: Seq(21),
        unread_count: 0,
    };
    assert_eq!(events(Outgoing::Marked(&marked(Mark::Read))), golden!("inbox"));
    assert_eq!(events(Outgoing::Marked(&marked(Mark::Delete))), golden!("inbox_deleted"));
    let unread = golden!("inbox").replace("true", "false");
    assert_eq!(events(Outgoing::Marked(&marked(Mark::Unread))), unread);
}

#[test]
fn replies_to_the_byte() {
    let reply = |text, answer: &Answer| {
        texts(Dialect::BellpullV1, Outgoing::Answer { asked: &asked(text), answer })
    };
    let marked = Answer::Marked { count: 3, is_found: true, unread_count: 0, seq: Seq(21) };
    assert_eq!(reply(golden!("client_read_up_to"), &marked), [golden!("reply")]);
    assert_eq!(reply(golden!("client_subscribe"), &Answer::Done), [golden!("reply_done")]);
    let no = Answer::Refused {
        code: "permission_denied",
        message: "Not yours.".to_owned(),
        retry_after_ms: None,
    };
    assert_eq!(reply(golden!("client_subscribe"), &no), [golden!("reply_refused")]);
    let later = Answer::Refused {
        code: "throttled",
        message: "Too fast.".to_owned(),
        retry_after_ms: Some(200),
    };
    assert_eq!(reply(golden!("client_read_ids"), &later), [golden!("reply_throttled")]);

    // Without a name: changes are reported, and activity only if it was rejected.
    let nameless = reply(r#"{"type":"read","all":true}"#, &marked);
    assert_eq!(nameless, [golden!("reply").replace(r#""r1""#, "null")]);
    assert!(reply(golden!("client_ack"), &Answer::Done).is_empty());
    assert!(reply(golden!("client_user_typing"), &Answer::Done).is_empty());
    let error =
        r#"{"type":"error","code":"permission_denied","message":"Not yours.","retry":false}"#;
    assert_eq!(reply(golden!("client_ack"), &no), [error]);
    assert_eq!(
        reply(r#"{"type":"ack","id":"r2","seq":1}"#, &Answer::Done),
        [golden!("reply_done")]
    );
}

#[test]
fn commands() {
    let ids = |ids: &[i64]| Selection::ids(ids.iter().copied().map(NotificationId).collect());
    let all = Selection::all();
    let mark = |selection, mark| Ask::Mark { selection, mark };
    let presence = "project:7:presence".parse().unwrap();
    let (stream, ticket) = (Some(presence), TicketId(1));
    let table = [
        (golden!("client_ack"), None, Ask::Ack(Seq(18))),
        (golden!("client_read_ids"), Some("r1"), mark(ids(&[123, 124]), Mark::Read)),
        (golden!("client_read_up_to"), Some("r1"), mark(Selection::up_to(Seq(18)), Mark::Read)),
        (golden!("client_unread"), Some("r1"), mark(ids(&[123]), Mark::Unread)),
        (golden!("client_delete_all"), Some("r1"), mark(all, Mark::Delete)),
        (
            golden!("client_subscribe"),
            Some("r2"),
            Ask::Subscribe("project:7:tickets".parse().unwrap()),
        ),
        (golden!("client_unsubscribe"), Some("r2"), Ask::Unsubscribe(presence)),
        (golden!("client_ticket_viewing"), None, Ask::Viewing { stream, ticket: Some(ticket) }),
        (golden!("client_user_typing"), None, Ask::Typing { stream, ticket, is_typing: true }),
        (golden!("client_refresh"), Some("r3"), Ask::Refresh(Token("a.b.c".into()))),
    ];
    for (text, tag, ask) in table {
        let asked = asked(text);
        assert_eq!((asked.tag.as_deref(), asked.ask), (tag, ask), "{text}");
    }
}

#[test]
fn what_will_not_do_is_named_with_its_request() {
    let bad = decode(Endpoint::Notifications, r#"{"type":"read","id":"r1"}"#).unwrap_err();
    assert_eq!(bad.tag.as_deref(), Some("r1"));
    let frame = Outgoing::Error {
        tag: bad.tag.as_deref(),
        code: bad.code,
        message: &bad.message,
        retry_after_ms: None,
    };
    assert_eq!(events(frame), golden!("error_to_request"));
    let bad = decode(Endpoint::Notifications, r#"{"type":"hello"}"#).unwrap_err();
    let frame =
        Outgoing::Error { tag: None, code: bad.code, message: &bad.message, retry_after_ms: None };
    assert_eq!(events(frame), golden!("error"));

    let ids = |count: usize| format!(r#"{{"type":"read","ids":{:?}}}"#, vec![7; count]);
    let tag = |length: usize| format!(r#"{{"type":"ack","seq":1,"id":"{}"}}"#, "é".repeat(length));
    let token = |length| format!(r#"{{"type":"refresh","token":"{}"}}"#, "x".repeat(length));
    for (text, wanted) in [
        (ids(1).as_str(), ""),
        (&ids(500), ""),
        (&ids(501), "invalid_field"),
        (&ids(0), "invalid_field"),
        (&tag(64), ""),
        (&tag(65), "invalid_field"),
        (&token(8_192), ""),
        (&token(8_193), "invalid_field"),
        (&token(0), "invalid_field"),
        (r#"{"type":"refresh"}"#, "missing_field"),
        (r#"{"type":"ack","seq":1,"id":7}"#, "invalid_field"),
        (r#"{"type":"ack"}"#, "missing_field"),
        (r#"{"type":"ack","seq":-1}"#, "invalid_field"),
        (r#"{"type":"ack","seq":"-1"}"#, "invalid_field"),
        (r#"{"type":"read","ids":[0]}"#, "invalid_field"),
        (r#"{"type":"read","ids":[1.5]}"#, "invalid_field"),
        (r#"{"type":"read","ids":7}"#, "invalid_field"),
        (r#"{"type":"read","up_to":-1}"#, "invalid_field"),
        (r#"{"type":"read","all":false}"#, "invalid_field"),
        (r#"{"type":"read","all":1}"#, "invalid_field"),
        (r#"{"type":"read","ids":[1],"all":true}"#, "invalid_field"),
        (r#"{"type":"read","up_to":1,"all":true}"#, "invalid_field"),
        (r#"{"type":"read","ids":[1],"all":null}"#, ""),
        (r#"{"type":"read","ids":[1],"ids":[2]}"#, "duplicate_key"),
        (r#"{"type":"subscribe"}"#, "missing_field"),
        (r#"{"type":"subscribe","stream":"project:07:tickets"}"#, "invalid_field"),
        (r#"{"type":"subscribe","stream":7}"#, "invalid_field"),
        (r#"{"type":"ticket_viewing","ticket_id":1}"#, "missing_field"),
        (
            r#"{"type":"ticket_viewing","ticket_id":1,"stream":"project:7:tickets"}"#,
            "invalid_field",
        ),
        (r#"{"type":"mark_all_read"}"#, "unknown_type"),
    ] {
        assert_eq!(code(Endpoint::Notifications, text), wanted, "{text}");
    }
}

#[test]
fn sockets_of_streams_are_for_them_alone() {
    for endpoint in [Endpoint::Tickets, Endpoint::Presence] {
        assert_eq!(code(endpoint, golden!("client_refresh")), "");
        for text in [golden!("client_ack"), golden!("client_subscribe"), golden!("client_read_ids")]
        {
            assert_eq!(code(endpoint, text), "unknown_type", "{text}");
        }
    }
    assert_eq!(code(Endpoint::Presence, golden!("client_user_typing")), "");
    assert_eq!(code(Endpoint::Tickets, golden!("client_user_typing")), "unknown_type");
}
