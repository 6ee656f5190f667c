//! The bytes of each kind of message, as the previous release writes them: a change here is a
//! change of what two releases side by side say to each other.

use std::sync::Arc;

use bellpull_domain::comment::Comment;
use bellpull_domain::event::Event;
use bellpull_domain::ids::{CommentId, LoginId, NotificationId, ProjectId, Seq, TicketId, UserId};
use bellpull_domain::inbox::{Change, Entry, Mark, Marked, MessageContent};
use bellpull_domain::notification::{Kind, Message};
use bellpull_domain::presence::{Held, PresenceNews, PresenceReport};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::stream::{
    Person, SharedStreamEvent, StreamEvent, TicketAction, TicketLine, TicketNews,
};
use bellpull_domain::ticket::{Priority, Stakes, Status};
use bellpull_port::BrokerMessage;
use bellpull_port::outlet::{Revoked, TokenEnd};
use bellpull_port::tickets::{AnnouncedMessage, InboxEntry};
use jiff::Timestamp;

use super::message::{Received, beat, decode, encode, is_beat, lost};
use super::seal::Cluster;

const SENDER: &str = "a/1";
const RECEIVER: &str = "b/2";

fn message(body: &str) -> Message {
    Message {
        event: Event::from_name("ticket_raised"),
        kind: Kind::Info,
        title: "Title".to_owned(),
        body: body.to_owned(),
        action_url: String::new(),
        metadata: serde_json::Map::new(),
        ticket: None,
        sender: Some(UserId(3)),
        priority: Priority::High,
        created_at: Timestamp::from_millisecond(1_700_000_000_123).unwrap(),
    }
}

fn announced(body: &str, recipients: i64) -> AnnouncedMessage {
    let entry = |n| InboxEntry {
        recipient: UserId(n),
        id: NotificationId(100 + n),
        seq: Seq(7),
        unread_count: 2,
    };
    AnnouncedMessage {
        content: MessageContent::new(message(body)),
        entries: (1..=recipients).map(entry).collect(),
        channels: Channels::of(&[Channel::Email]),
    }
}

fn person() -> Person {
    Person { id: UserId(5), username: "ada".into() }
}

fn news(event: StreamEvent) -> TicketNews {
    TicketNews {
        content: SharedStreamEvent::new(ProjectId(9), event),
        stakes: Stakes { created_by: UserId(1), assigned_to: vec![UserId(2)] },
    }
}

/// The JSON that `message` becomes, and what the receiver makes of it, as text.
fn sent(message: BrokerMessage<'_>) -> (String, Received) {
    let [bytes] = <[Vec<u8>; 1]>::try_from(encode(SENDER, message)).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let received = decode(RECEIVER, text.as_bytes());
    // A release without seals reads it all the same.
    let mut sealed = text.clone().into_bytes();
    Cluster::new("epoch", "database", "secret").seal(&mut sealed, 7);
    assert_eq!(format!("{:?}", decode(RECEIVER, &sealed)), format!("{received:?}"));
    assert!(matches!(decode(SENDER, text.as_bytes()), Received::Own { beat: None }), "{text}");
    (text.strip_prefix("1\na/1\n").unwrap().to_owned(), received)
}

#[test]
fn an_announcement_has_its_text_and_all_recipients() {
    let original = announced("Body", 2);
    let (json, received) = sent(BrokerMessage::Announced(&original));
    assert_eq!(
        json,
        r#"{"kind":"announced","entries":[[1,101,7,2],[2,102,7,2]],"channels":["EMAIL"],"content":{"event":"ticket_raised","type":"INFO","title":"Title","body":"Body","sender":3,"priority":"HIGH","created_at_ms":1700000000123}}"#
    );
    let Received::Announced(copy) = received else { panic!("{received:?}") };
    assert_eq!(copy.content.message, original.content.message);
    assert_eq!((copy.entries, copy.channels), (original.entries, original.channels));
}

#[test]
fn a_long_text_stays_in_the_store() {
    let (json, received) = sent(BrokerMessage::Announced(&announced(&"x".repeat(4_097), 1)));
    assert_eq!(json, r#"{"kind":"announced","entries":[[1,101,7,2]],"channels":["EMAIL"]}"#);
    let Received::Moved(heads, channels) = received else { panic!("{received:?}") };
    assert_eq!(heads, [(UserId(1), Seq(7))]);
    assert_eq!(channels, Channels::of(&[Channel::Email]));
}

#[test]
fn many_recipients_are_several_messages() {
    let all = encode(SENDER, BrokerMessage::Announced(&announced("Body", 5_000)));
    let read = all.iter().map(|bytes| {
        let Received::Announced(some) = decode(RECEIVER, bytes) else { panic!("no text") };
        (some.entries.len(), some.channels)
    });
    let mail = Channels::of(&[Channel::Email]);
    assert_eq!(read.collect::<Vec<_>>(), [(4_096, mail), (904, Channels::NONE)]);
}

#[test]
fn an_announcement_without_recipients_nudges() {
    let (json, _) = sent(BrokerMessage::Announced(&announced("Body", 0)));
    assert_eq!(json, r#"{"kind":"channels_due","channels":["EMAIL"]}"#);
}

#[test]
fn changes_of_one_inbox() {
    let entry = |is_read| Entry {
        id: NotificationId(8),
        seq: Seq(4),
        is_read,
        message: MessageContent::new(message("Body")),
    };
    let added = |is_read| Change::Added { entry: entry(is_read), unread_count: 3 };
    let (json, received) = sent(BrokerMessage::Changed { user: UserId(1), change: &added(false) });
    assert!(json.starts_with(r#"{"kind":"announced","entries":[[1,8,4,3]],"content":{"#), "{json}");
    assert!(matches!(received, Received::Announced(_)));
    let (json, _) = sent(BrokerMessage::Changed { user: UserId(1), change: &added(true) });
    assert_eq!(json, r#"{"kind":"moved","heads":[[1,4]]}"#);
    let marked = |count| {
        Change::Marked(Marked {
            mark: Mark::Read,
            ids: (1..=count).map(NotificationId).collect::<Arc<[_]>>(),
            first: Seq(5),
            last: Seq(4 + count),
            unread_count: 0,
        })
    };
    let (json, received) = sent(BrokerMessage::Changed { user: UserId(1), change: &marked(2) });
    assert_eq!(
        json,
        r#"{"kind":"marked","user":1,"mark":"read","ids":[1,2],"first":5,"last":6,"unread_count":0}"#
    );
    let Received::Changed(UserId(1), Change::Marked(copy)) = received else { panic!() };
    let Change::Marked(original) = marked(2) else { panic!() };
    assert_eq!(copy, original);
    let (json, _) = sent(BrokerMessage::Changed { user: UserId(1), change: &marked(513) });
    assert_eq!(json, r#"{"kind":"moved","heads":[[1,517]]}"#);
}

#[test]
fn events_of_projects() {
    let line = TicketLine {
        id: TicketId(6),
        key: "HUB-6".to_owned(),
        title: "T".to_owned(),
        status: Status::ALL[0],
        version: 2,
    };
    let comment = Comment {
        id: CommentId(4),
        ticket: TicketId(6),
        author: UserId(5),
        author_name: "Ada".to_owned(),
        body: "B".to_owned(),
        created_at: Timestamp::from_millisecond(1_000).unwrap(),
    };
    let status = Status::ALL[0].as_str();
    for (event, wanted) in [
        (
            StreamEvent::Ticket { action: TicketAction::Updated, line },
            format!(
                r#"{{"ticket":{{"action":"updated","id":6,"key":"HUB-6","title":"T","status":"{status}","version":2}}}}"#
            ),
        ),
        (
            StreamEvent::Comment(comment),
            r#"{"comment":{"id":4,"ticket":6,"author":5,"author_name":"Ada","body":"B","created_at_ms":1000}}"#.to_owned(),
        ),
    ] {
        let news = news(event);
        let (json, received) =
            sent(BrokerMessage::ProjectNews { project: ProjectId(9), news: &news });
        let whole = format!(
            r#"{{"kind":"news","project":9,"news":{{"event":{wanted},"created_by":1,"assigned_to":[2]}}}}"#
        );
        assert_eq!(json, whole);
        let Received::News(ProjectId(9), copy) = received else { panic!("{received:?}") };
        assert_eq!(copy.content.event, news.content.event);
        assert_eq!((copy.content.stream, copy.stakes), (news.content.stream, news.stakes));
    }
}

#[test]
fn presence() {
    let held = || Held { person: person(), viewing: Some((3, TicketId(6))), typing: vec![] };
    let shown = r#"{"user":5,"username":"ada","viewing":[3,6]}"#;
    for (report, wanted) in [
        (
            PresenceReport::Changed { user: UserId(5), held: Some(held()) },
            format!(r#"{{"changed":{{"user":5,"held":{shown}}}}}"#),
        ),
        (
            PresenceReport::Changed { user: UserId(5), held: None },
            r#"{"changed":{"user":5}}"#.to_owned(),
        ),
        (PresenceReport::Alive, r#""alive""#.to_owned()),
        (
            PresenceReport::All { held: vec![held()], is_first: true, is_last: false },
            format!(r#"{{"all":{{"held":[{shown}],"is_first":true,"is_last":false}}}}"#),
        ),
        (PresenceReport::Asked { of: None }, r#"{"asked":{}}"#.to_owned()),
        (PresenceReport::Asked { of: Some("n".into()) }, r#"{"asked":{"of":"n"}}"#.to_owned()),
    ] {
        let news = PresenceNews { node: "a".into(), version: 11, report };
        let (json, received) = sent(BrokerMessage::Presence { project: ProjectId(9), news: &news });
        let whole = format!(
            r#"{{"kind":"presence","project":9,"news":{{"node":"a","version":11,"report":{wanted}}}}}"#
        );
        assert_eq!(json, whole);
        let Received::Presence(ProjectId(9), copy) = received else { panic!("{received:?}") };
        assert_eq!(copy, news);
    }
}

#[test]
fn plain_messages() {
    let user = UserId(1);
    let ended = |login, why| BrokerMessage::SessionsEnded { user, login, why };
    let until = Timestamp::from_millisecond(1_000).unwrap();
    let password = Revoked::Token(TokenEnd::PasswordReset);
    for (message, wanted) in [
        (
            BrokerMessage::MemberRemoved { project: ProjectId(9), user },
            r#"{"kind":"member_removed","project":9,"user":1}"#,
        ),
        (ended(None, Revoked::Right), r#"{"kind":"sessions_ended","user":1,"why":"right"}"#),
        (ended(None, Revoked::Role), r#"{"kind":"sessions_ended","user":1,"why":"role"}"#),
        (
            ended(Some(LoginId(2)), password),
            r#"{"kind":"sessions_ended","user":1,"login":2,"why":"password_reset"}"#,
        ),
        (
            BrokerMessage::LoginEnded { login: LoginId(2), until },
            r#"{"kind":"login_ended","login":2,"until_ms":1000}"#,
        ),
        (BrokerMessage::AccountChanged(user), r#"{"kind":"account_changed","user":1}"#),
        (BrokerMessage::TemplatesChanged, r#"{"kind":"templates_changed"}"#),
        (
            BrokerMessage::ChannelsDue(Channels::of(&[Channel::Sms])),
            r#"{"kind":"channels_due","channels":["SMS"]}"#,
        ),
        (BrokerMessage::Moved(&[(user, Seq(2))]), r#"{"kind":"moved","heads":[[1,2]]}"#),
    ] {
        let (json, received) = sent(message);
        assert_eq!(json, wanted);
        if let Received::Moved(heads, channels) = &received {
            assert_eq!((&heads[..], *channels), (&[(user, Seq(2))][..], Channels::NONE));
            continue;
        }
        let Received::Plain(copy) = received else { panic!("{received:?}") };
        assert_eq!(format!("{copy:?}"), format!("{message:?}"));
    }
    assert_eq!(encode(SENDER, BrokerMessage::Compare), Vec::<Vec<u8>>::new());
    assert_eq!(encode(SENDER, BrokerMessage::Missed), Vec::<Vec<u8>>::new());
}

#[test]
fn a_beat_is_for_its_sender_and_a_loss_for_the_others() {
    let beat = beat(SENDER, u64::MAX);
    assert_eq!(beat, b"1\na/1\n{\"kind\":\"beat\",\"number\":18446744073709551615}");
    assert!(matches!(decode(SENDER, &beat), Received::Own { beat: Some(u64::MAX) }));
    assert!(matches!(decode(RECEIVER, &beat), Received::Beat));
    let mut sealed = beat.clone();
    Cluster::new("epoch", "database", "secret").seal(&mut sealed, u64::MAX);
    assert!(matches!(decode(SENDER, &sealed), Received::Own { beat: Some(u64::MAX) }));
    assert!(is_beat(&sealed) && matches!(decode(RECEIVER, &sealed), Received::Beat));
    let lost = lost(SENDER);
    assert_eq!(lost, b"1\na/1\n{\"kind\":\"lost\"}");
    assert!(matches!(decode(RECEIVER, &lost), Received::Plain(BrokerMessage::Missed)));
}

#[test]
fn what_is_unknown_has_no_content_and_more_fields_do_no_harm() {
    for bytes in [
        &b"2\na/1\n{\"kind\":\"beat\",\"number\":1}"[..],
        b"1\na/1\n{\"kind\":\"new\"}",
        b"1\na/1\n{\"kind\":\"moved\"}",
        b"1\na/1\nx",
        b"1\na/1",
        b"",
        b"\n\n\n\n",
        b"\xff\n\xff\n\xff",
    ] {
        assert!(matches!(decode(RECEIVER, bytes), Received::Unknown), "{bytes:?}");
    }
    let own = b"2\nb/2\n{\"kind\":\"new\"}";
    assert!(matches!(decode(RECEIVER, own), Received::Own { beat: None }));
    let more = b"1\na/1\n{\"kind\":\"moved\",\"heads\":[[1,2]],\"since\":3}";
    assert!(matches!(decode(RECEIVER, more), Received::Moved(..)));
}
