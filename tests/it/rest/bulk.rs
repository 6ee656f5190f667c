//! Marks and deletions of many: which rows they take, how many, and what sockets are told.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::many::{self, BEYOND};
use crate::support::{Hub, Person, answer};
use crate::ws::Socket;

const MARK: &str = "/api/notifications/mark_all_as_read/";
const DELETE: &str = "/api/notifications/delete-all/";

/// The nth entry of an inbox of [`many::inbox`].
fn nth(user: &Person, n: i64) -> i64 {
    BEYOND + 10_000_000 * user.id + n
}

async fn user_with(hub: &Hub, name: &str, count: i64) -> Person {
    let user = hub.user(name, "client").await;
    hub.execute(&many::inbox(user.id, count)).await;
    user
}

async fn call(hub: &Hub, who: &Person, path: &str, query: &str, body: &Value) -> (u16, Value) {
    let method = if path == DELETE { Method::DELETE } else { Method::POST };
    let mut request = hub.request(method, &format!("{path}{query}")).bearer_auth(&who.token);
    if !body.is_null() {
        request = request.json(body);
    }
    answer(request).await
}

/// How many rows there are, and how many of them are unread.
async fn counts(hub: &Hub, who: &Person) -> (i64, i64) {
    let count = |list: &Value| list["count"].as_i64().unwrap();
    let (_, all) = hub.get(who, "/api/notifications/?page_size=1").await;
    let (_, unread) = hub.get(who, "/api/notifications/unread/?page_size=1").await;
    let (_, head) = hub.get(who, "/api/notifications/unread_count/").await;
    assert_eq!(count(&unread), head["count"].as_i64().unwrap());
    (count(&all), count(&unread))
}

/// The first ten of each hundred are about ticket 1, in project 1.
fn filters(user: &Person) -> Vec<(&'static str, Value, i64)> {
    let two = json!([nth(user, 7), nth(user, 8), 1]);
    vec![
        ("?is_read=true", Value::Null, 0),
        ("?is_read=false", Value::Null, 200),
        ("?type=INFO", Value::Null, 200),
        ("?type=ERROR", Value::Null, 0),
        ("?event=news", Value::Null, 200),
        ("?event=ticket_created", Value::Null, 0),
        ("?ticket=1", Value::Null, 20),
        ("?ticket=2", Value::Null, 0),
        ("?project=1", Value::Null, 20),
        ("?project=2", Value::Null, 0),
        ("?notification_type=SYSTEM", Value::Null, 200),
        ("?notification_type=EMAIL", Value::Null, 30),
        ("?since_seq=150", Value::Null, 50),
        ("?up_to=50", Value::Null, 50),
        ("?up_to=0", Value::Null, 0),
        ("?up_to=50&ticket=1", Value::Null, 10),
        ("?since_seq=150&up_to=160", json!({}), 10),
        ("", json!({"is_read": true}), 0),
        ("", json!({"is_read": false, "up_to": 3}), 3),
        ("", json!({"type": "INFO"}), 200),
        ("", json!({"event": "ticket_created"}), 0),
        ("", json!({"ticket": 1}), 20),
        ("", json!({"project": 2}), 0),
        ("", json!({"notification_type": "EMAIL"}), 30),
        ("", json!({"since_seq": 199}), 1),
        ("", json!({"ids": two.clone()}), 2),
        ("?up_to=7", json!({"ids": two}), 1),
        ("", json!({}), 200),
        ("", Value::Null, 200),
    ]
}

#[tokio::test]
async fn bulk_calls_take_the_filters_of_lists() {
    let hub = Hub::start().await;
    let admin = hub.user("admin", "admin").await;
    assert_eq!(hub.ticket(&admin, "One").await, 1);
    let count = filters(&admin).len();
    for path in [MARK, DELETE] {
        for at in 0..count {
            let user = user_with(&hub, &format!("u{}-{at}", path.len()), 200).await;
            hub.execute(&many::emails(user.id, 30)).await;
            let (query, body, wanted) = filters(&user).swap_remove(at);
            let (status, answer) = call(&hub, &user, path, query, &body).await;
            let which = format!("{path}{query} {body}");
            assert_eq!((status, &answer["count"]), (200, &json!(wanted)), "{which}: {answer}");
            let left = if path == DELETE { 200 - wanted } else { 200 };
            assert_eq!(counts(&hub, &user).await, (left, 200 - wanted), "{which}");
        }
    }
}

#[tokio::test]
async fn ids_stand_in_the_query_too() {
    let hub = Hub::start().await;
    let user = user_with(&hub, "ann", 9).await;
    let query = format!("?ids={},{}", nth(&user, 1), nth(&user, 2));
    let (status, answer) = call(&hub, &user, DELETE, &query, &Value::Null).await;
    assert_eq!((status, answer["count"].as_i64()), (200, Some(2)), "{answer}");
    let query = format!("?ids={}", nth(&user, 4));
    let (_, answer) = call(&hub, &user, MARK, &query, &json!({})).await;
    assert_eq!((answer["count"].as_i64(), counts(&hub, &user).await), (Some(1), (7, 6)));
}

#[tokio::test]
async fn what_bulk_calls_do_not_know_changes_nothing() {
    let hub = Hub::start().await;
    let user = user_with(&hub, "ann", 20).await;
    let many_ids: Vec<i64> = (1..=1_001).collect();
    let listed = many_ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    for path in [MARK, DELETE] {
        for (query, body, named) in [
            ("?notification_typ=EMAIL".to_owned(), Value::Null, "notification_typ"),
            ("?page=1".to_owned(), Value::Null, "page"),
            ("?IS_READ=true".to_owned(), Value::Null, "IS_READ"),
            ("?id=1".to_owned(), json!({}), "id"),
            (String::new(), json!({"id": [1]}), "id"),
            (String::new(), json!({"up_to": 3, "upTo": 1}), "upTo"),
            ("?is_read=perhaps".to_owned(), Value::Null, "is_read"),
            (String::new(), json!({"is_read": "perhaps"}), "is_read"),
            (String::new(), json!({"type": "PIGEON"}), "type"),
            (String::new(), json!({"type": ["INFO"]}), "type"),
            (String::new(), json!({"ticket": {"id": 1}}), "ticket"),
            ("?up_to=-1".to_owned(), Value::Null, "up_to"),
            ("?up_to=".to_owned(), Value::Null, "up_to"),
            (String::new(), json!({"up_to": "x"}), "up_to"),
            (String::new(), json!({"up_to": null}), "up_to"),
            ("?ids=".to_owned(), Value::Null, "ids"),
            // A filter that says nothing, or several things, does not mean all.
            ("?event=".to_owned(), Value::Null, "event"),
            ("?is_read=%20".to_owned(), Value::Null, "is_read"),
            ("?type&ticket=1".to_owned(), Value::Null, "type"),
            (String::new(), json!({"event": ""}), "event"),
            ("?is_read=true&is_read=false".to_owned(), Value::Null, "is_read"),
            ("?project=1&project=2".to_owned(), Value::Null, "project"),
            ("?ids=1&ids=2".to_owned(), Value::Null, "ids"),
            ("?ids=1".to_owned(), json!({"ids": [2]}), "ids"),
            ("?up_to=5".to_owned(), json!({"up_to": 3}), "up_to"),
            ("?ids=1,x".to_owned(), Value::Null, "ids"),
            (format!("?ids={listed}"), Value::Null, "ids"),
            (String::new(), json!({"ids": []}), "ids"),
            (String::new(), json!({"ids": null}), "ids"),
            (String::new(), json!({"ids": 5}), "ids"),
            (String::new(), json!({"ids": ["x"]}), "ids"),
            (String::new(), json!({"ids": many_ids.clone()}), "ids"),
        ] {
            let (status, answer) = call(&hub, &user, path, &query, &body).await;
            assert_eq!(status, 400, "{path}{query} {body}: {answer}");
            assert!(answer[named][0].is_string(), "{path}{query} {body}: {answer}");
        }
    }
    assert_eq!(counts(&hub, &user).await, (20, 20));
}

/// What a `bellpull.v1` client knows of its rows, by the number of their creation.
struct Known {
    unread: BTreeSet<i64>,
    rows: BTreeSet<i64>,
    seq: i64,
}

impl Known {
    fn of(count: i64) -> Self {
        Self { unread: (1..=count).collect(), rows: (1..=count).collect(), seq: count }
    }

    /// Applies a frame, as a client does.
    fn take(&mut self, frame: &Value, user: &Person) {
        assert_eq!(frame["type"], "inbox", "{frame}");
        let ids = frame["ids"].as_array().unwrap();
        assert!(ids.len() <= 500, "a frame of {} ids", ids.len());
        let mut rows: Vec<i64> = ids.iter().map(|id| id.as_i64().unwrap() - nth(user, 0)).collect();
        if let (Some(after), Some(up_to)) = (frame["after"].as_i64(), frame["up_to"].as_i64()) {
            assert!(ids.is_empty(), "{frame}");
            rows.extend(self.rows.range(after + 1..=up_to));
        }
        for row in rows {
            match frame["is_read"].as_bool().unwrap() {
                true => self.unread.remove(&row),
                false => self.unread.insert(row),
            };
            if frame["deleted"] == true {
                self.rows.remove(&row);
            }
        }
        let seq = frame["seq"].as_i64().unwrap();
        assert!(seq > self.seq, "{frame} after {}", self.seq);
        self.seq = seq;
        let left = i64::try_from(self.unread.len()).unwrap();
        assert_eq!(frame["unread_count"].as_i64(), Some(left), "at {seq}");
    }
}

#[tokio::test]
async fn a_large_inbox_is_marked_and_deleted_to_the_row_and_no_frame_is_large() {
    const COUNT: i64 = 12_345;
    const OF_TICKET: i64 = 1_240;
    let hub = Hub::start().await;
    let user = user_with(&hub, "ann", COUNT).await;
    let (mut one, _) = Socket::v1(&hub, &user, "&replay=none").await;
    let mut bell = Socket::established(&hub, &user, "&replay=none&dialect=academy").await;
    let mut known = Known::of(COUNT);
    let mut rung = BTreeSet::new();
    for (path, query, wanted, rows, unread) in [
        (MARK, "?ticket=1", OF_TICKET, COUNT, COUNT - OF_TICKET),
        (MARK, "", COUNT - OF_TICKET, COUNT, 0),
        (MARK, "", 0, COUNT, 0),
        (DELETE, "?ticket=1", OF_TICKET, COUNT - OF_TICKET, 0),
        (DELETE, "?up_to=7000", 7_000 - 700, COUNT - OF_TICKET - 6_300, 0),
        (DELETE, "", COUNT - OF_TICKET - 6_300, 0, 0),
    ] {
        let calling = call(&hub, &user, path, query, &Value::Null);
        let hearing = async {
            let from = known.seq;
            while known.seq < from + wanted {
                let frame = one.next().await;
                let bytes = frame.to_string().len();
                assert!(bytes < 16_384, "a frame of {bytes} bytes");
                known.take(&frame, &user);
            }
            // A frame for each row, in this family.
            rung.clear();
            for _ in 0..wanted {
                let frame = bell.next().await;
                assert_eq!(frame["type"], "notification_updated", "{frame}");
                rung.insert(frame["notification_id"].as_i64().unwrap());
            }
            assert_eq!(i64::try_from(rung.len()).unwrap(), wanted);
        };
        let ((status, answer), ()) = tokio::join!(calling, hearing);
        assert_eq!((status, &answer["count"]), (200, &json!(wanted)), "{path}{query}: {answer}");
        assert_eq!(counts(&hub, &user).await, (rows, unread), "{path}{query}");
        let known = (known.rows.len(), known.unread.len());
        let told = (i64::try_from(known.0).unwrap(), i64::try_from(known.1).unwrap());
        assert_eq!(told, (rows, unread), "{path}{query}");
    }
    one.expect_nothing().await;
}

#[tokio::test]
async fn a_socket_marks_a_large_inbox_and_is_told_the_exact_count() {
    const COUNT: i64 = 12_345;
    let hub = Hub::start().await;
    let user = user_with(&hub, "ann", COUNT).await;
    let mut socket = Socket::established(&hub, &user, "&replay=none&dialect=inbox").await;
    socket.say(r#"{"type":"mark_all_read"}"#).await;
    let done = json!({"type": "all_notifications_marked_read", "success": true, "count": COUNT});
    assert_eq!(socket.next().await, done);

    let (mut one, _) = Socket::v1(&hub, &user, "&replay=none").await;
    let (mut two, _) = Socket::v1(&hub, &user, "&replay=none").await;
    one.say(r#"{"type":"delete","id":"r1","up_to":9000}"#).await;
    let reply = loop {
        let frame = one.next().await;
        if frame["type"] == "reply" {
            break frame;
        }
        assert_eq!(frame["type"], "inbox", "{frame}");
    };
    assert_eq!((&reply["ok"], &reply["unread_count"]), (&json!(true), &json!(0)), "{reply}");
    let mut known = Known::of(COUNT);
    (known.seq, known.unread) = (2 * COUNT, BTreeSet::new());
    while known.seq < 2 * COUNT + 9_000 {
        known.take(&two.next().await, &user);
    }
    assert_eq!(known.rows, (9_001..=COUNT).collect());
    assert_eq!(counts(&hub, &user).await, (COUNT - 9_000, 0));
    socket.expect_nothing().await;
}
