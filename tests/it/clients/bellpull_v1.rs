//! `bellpull.v1` as clients of other makes speak it: two devices of one person, on a hub that is
//! killed, and that comes back with another store.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{FrontEnd, Make, base, take_time};
use crate::support::process::{Process, UNLIMITED, folder, run_ok};
use crate::support::{SECRET, answer, now_s, sign};

const TICKETS: &str = "project:1:tickets";
const PRESENCE: &str = "project:1:presence";

/// The users' ids, in the order in which they are created on each database.
const JOHN: i64 = 1;
const JANE: i64 = 2;

/// A hub in a process of its own; its tokens are signed by the test.
struct Hub {
    process: Process,
    http: reqwest::Client,
}

impl Hub {
    fn serve(database: &Path) -> Self {
        let settings = [
            ("BELLPULL_JWT_SECRET", SECRET),
            ("BELLPULL_HTTP_ALLOWED_ORIGINS", "*"),
            ("BELLPULL_DRAIN_WINDOW_MS", "200"),
            // More than a session's requests may wait.
            ("BELLPULL_WS_MESSAGES_PER_S", "1000"),
            UNLIMITED,
        ];
        let process = Process::serve(database, &settings);
        Self { process, http: bellpull::tls::client().build().unwrap() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.process.address)
    }

    /// Jane raises a ticket, of which John is told; the ticket.
    async fn raise(&self, title: &str) -> Value {
        let body = json!({"title": title, "priority": "HIGH", "category": "BUG"});
        let request = self.http.post(self.url("/api/tickets/")).bearer_auth(token(JANE, 3_600));
        let (status, ticket) = answer(request.json(&body)).await;
        assert_eq!(status, 201, "{ticket}");
        ticket
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.http.get(self.url(path)).bearer_auth(token(JOHN, 3_600));
        let (status, body) = answer(request).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    async fn start(&self, make: Make) -> Option<FrontEnd> {
        let token = token(JOHN, 3_600);
        FrontEnd::start_at(make, "bellpull_v1", self.process.address, &token).await
    }
}

fn token(user: i64, ttl_s: i64) -> String {
    sign(&json!({"user_id": user, "token_type": "access", "exp": now_s() + ttl_s}))
}

/// A database with the same people as every other.
fn people(database: &Path) {
    for (id, username, role) in [(JOHN, "john_admin", "admin"), (JANE, "jane", "client")] {
        let arguments = ["user", "create", "--username", username, "--role", role];
        let user = run_ok(database, &[&arguments[..], &["--password", "correct horse"]].concat());
        let user: Value = serde_json::from_str(&user).unwrap();
        assert_eq!(user["id"], id);
    }
}

/// The next frame, which is a welcome; the session's name is its own.
async fn welcome(device: &mut FrontEnd, last_seq: i64, unread_count: i64, is_resumed: bool) {
    let mut frame = device.hears().await;
    for key in ["session", "epoch", "node"] {
        let value = frame.as_object_mut().unwrap().remove(key).unwrap();
        assert!(value.as_str().is_some_and(|text| !text.is_empty()), "{key}: {value}");
    }
    let user = json!({"id": JOHN, "username": "john_admin", "role": "admin"});
    let wanted = json!({"type": "welcome", "user": user, "last_seq": last_seq,
        "unread_count": unread_count, "heartbeat_ms": 25_000, "resumed": is_resumed});
    assert_eq!(frame, wanted);
}

/// The next frame, which is of that ticket and live; the notification's id.
async fn created(device: &mut FrontEnd, ticket: &Value, seq: i64, unread_count: i64) -> i64 {
    let frame = device.hears().await;
    of_ticket(frame, ticket, seq, unread_count)
}

/// The same in a backlog, of a row that was not changed since.
async fn missed(device: &mut FrontEnd, ticket: &Value, seq: i64, unread_count: i64) -> i64 {
    let mut frame = device.hears().await;
    let created_seq = frame.as_object_mut().unwrap().remove("created_seq");
    assert_eq!(created_seq, Some(json!(seq)), "{frame}");
    of_ticket(frame, ticket, seq, unread_count)
}

fn of_ticket(mut frame: Value, ticket: &Value, seq: i64, unread_count: i64) -> i64 {
    take_time(&mut frame, "created_at");
    let id = frame.as_object_mut().unwrap().remove("id").unwrap();
    let mut snapshot = json!({"status": "NEW", "created_by": "jane", "project_name": "Default"});
    for key in [
        "id",
        "key",
        "title",
        "priority",
        "priority_display",
        "category",
        "status_display",
        "created_at",
    ] {
        snapshot[key] = ticket[key].clone();
    }
    // Frames leave out the zeros that REST has at the end of a second's fraction.
    for side in [&mut snapshot, &mut frame["ticket"]] {
        let time = side["created_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
        side["created_at"] = json!(time);
    }
    let title = ticket["title"].as_str().unwrap();
    let wanted = json!({
        "type": "notification",
        "seq": seq,
        "event": "ticket_created",
        "kind": "INFO",
        "title": "New Ticket Created",
        "body": format!("New High priority ticket created: {title}"),
        "action_url": format!("/tickets/{}/", ticket["id"]),
        "data": {},
        "ticket": snapshot,
        "sender_id": JANE,
        "priority": "HIGH",
        "is_read": false,
        "unread_count": unread_count,
    });
    assert_eq!(frame, wanted);
    id.as_i64().unwrap()
}

fn told(seq: i64, ids: &[i64], is_read: bool, unread_count: i64) -> Value {
    json!({"type": "inbox", "seq": seq, "ids": ids, "is_read": is_read,
        "unread_count": unread_count})
}

/// What a mark is answered.
fn marked(id: &str, count: i64, seq: i64, unread_count: i64) -> Value {
    json!({"type": "reply", "id": id, "ok": true, "unread_count": unread_count, "count": count,
        "seq": seq})
}

/// What is born is told, what is acknowledged is not told again, and what one device marks the
/// other shows. Afterwards there are three, all read.
async fn inbox(hub: &Hub, one: &mut FrontEnd, two: &mut FrontEnd) -> Vec<i64> {
    welcome(one, 0, 0, true).await;
    welcome(two, 0, 0, true).await;
    let mut ids = Vec::new();
    for (seq, title) in [(1, "First"), (2, "Second"), (3, "Third")] {
        let ticket = hub.raise(title).await;
        ids.push(created(one, &ticket, seq, seq).await);
        assert_eq!(created(two, &ticket, seq, seq).await, *ids.last().unwrap());
        if seq == 2 {
            one.does(json!(["send", {"type": "ack", "seq": 2}]));
        }
    }
    // Neither has acknowledged the third.
    one.does(json!(["ping", 7]));
    assert_eq!(one.hears().await, json!({"type": "pong", "timestamp": 7}));
    one.does(json!(["leave"]));
    assert_eq!(one.says().await, json!({"closed": 1000, "reason": ""}));
    one.does(json!(["come_back"]));
    welcome(one, 3, 3, true).await;
    let again = one.hears().await;
    assert_eq!((&again["type"], &again["id"]), (&json!("notification"), &json!(ids[2])));

    one.does(json!(["send", {"type": "read", "id": "r1", "ids": [ids[0]]}]));
    assert_eq!(one.hears().await, marked("r1", 1, 4, 2));
    assert_eq!(two.hears().await, told(4, &ids[..1], true, 2));
    two.does(json!(["send", {"type": "unread", "id": "r2", "ids": [ids[0]]}]));
    assert_eq!(two.hears().await, marked("r2", 1, 5, 3));
    assert_eq!(one.hears().await, told(5, &ids[..1], false, 3));
    // Two changes take two numbers; the last one is told.
    two.does(json!(["send", {"type": "read", "id": "r3", "up_to": 2}]));
    assert_eq!(two.hears().await, marked("r3", 2, 7, 1));
    assert_eq!(one.hears().await, told(7, &ids[..2], true, 1));
    one.does(json!(["send", {"type": "read", "id": "r4", "all": true}]));
    assert_eq!(one.hears().await, marked("r4", 1, 8, 0));
    assert_eq!(two.hears().await, told(8, &ids[2..], true, 0));
    // What is so already changes nothing, and is no news.
    one.does(json!(["send", {"type": "read", "id": "r5", "all": true}]));
    let reply = one.hears().await;
    assert_eq!(
        (&reply["ok"], &reply["count"], &reply["unread_count"]),
        (&json!(true), &json!(0), &json!(0))
    );
    two.hears_nothing().await;
    ids
}

async fn removal(hub: &Hub, one: &mut FrontEnd, two: &mut FrontEnd, ids: &[i64]) {
    two.does(json!(["send", {"type": "delete", "id": "d", "ids": [ids[1]]}]));
    assert_eq!(two.hears().await, marked("d", 1, 9, 0));
    let mut gone = told(9, &ids[1..2], true, 0);
    gone["deleted"] = json!(true);
    assert_eq!(one.hears().await, gone);
    let listed = hub.get("/api/notifications/?since_seq=0").await;
    let rows = listed["results"].as_array().unwrap().iter();
    let left: Vec<i64> = rows.map(|row| row["id"].as_i64().unwrap()).collect();
    assert_eq!(left, [ids[0], ids[2]]);
}

/// Requests that one device makes and another would rather not.
async fn mistakes(one: &mut FrontEnd) {
    for (bad, id, code) in [
        ("nonsense", None, "invalid_json"),
        (r#"{"type":"mark_all_read","id":"b1"}"#, Some("b1"), "unknown_type"),
        (r#"{"type":"read","id":"b2"}"#, Some("b2"), "missing_field"),
        (r#"{"type":"subscribe","id":"b3","stream":"news"}"#, Some("b3"), "invalid_field"),
    ] {
        one.does(json!(["blurt", bad]));
        let mut error = one.hears().await;
        let message = error.as_object_mut().unwrap().remove("message").unwrap();
        assert!(message.as_str().is_some_and(|text| text.ends_with('.')), "{message}");
        let mut wanted = json!({"type": "error", "code": code, "retry": false});
        if let Some(id) = id {
            wanted["id"] = json!(id);
        }
        assert_eq!(error, wanted, "{bad}");
    }
    // More than may wait: each is answered, and what was not done says when to try again.
    let mut refused = 0;
    for _ in 0..20 {
        one.does(json!(["repeat", 60, {"type": "read", "all": true}]));
        for _ in 0..60 {
            let reply = one.hears().await;
            assert_eq!(reply["type"], "reply", "{reply}");
            if reply["ok"] == false {
                assert_eq!((&reply["code"], &reply["retry"]), (&json!("busy"), &json!(true)));
                assert!(reply["retry_after_ms"].as_i64().unwrap() > 0, "{reply}");
                refused += 1;
            }
        }
        if refused > 0 {
            break;
        }
    }
    assert!(refused > 0, "sixty at once were never too many");
}

/// A project's tickets and who is there, beside the inbox; the notification that came with them.
async fn streams(hub: &Hub, one: &mut FrontEnd, two: &mut FrontEnd) -> i64 {
    let done = |id: &str| json!({"type": "reply", "id": id, "ok": true});
    one.does(json!(["send", {"type": "subscribe", "id": "s1", "stream": TICKETS}]));
    assert_eq!(one.hears().await, done("s1"));
    one.does(json!(["send", {"type": "subscribe", "id": "s2", "stream": "project:99:tickets"}]));
    let mut refused = one.hears().await;
    assert!(refused.as_object_mut().unwrap().remove("message").unwrap().is_string());
    let wanted =
        json!({"type": "reply", "id": "s2", "ok": false, "code": "not_found", "retry": false});
    assert_eq!(refused, wanted);
    let ticket = hub.raise("Streamed").await;
    // The stream and the inbox are told side by side.
    let mut both = [one.hears().await, one.hears().await];
    both.sort_by_key(|frame| frame["type"].to_string());
    assert_eq!(both[0]["type"], "notification");
    let data = json!({"ticket_id": ticket["id"], "key": ticket["key"], "title": "Streamed",
        "status": {"id": 1, "name": "New", "color": "#1890ff"}, "version": 1});
    let wanted = json!({"type": "ticket_update", "action": "created", "data": data,
        "stream": TICKETS});
    assert_eq!(both[1], wanted);
    assert_eq!(two.hears().await["type"], "notification");

    for device in [&mut *one, &mut *two] {
        device.does(json!(["send", {"type": "subscribe", "id": "p", "stream": PRESENCE}]));
        assert_eq!(device.hears().await, done("p"));
        let here = json!({"user_id": JOHN, "username": "john_admin", "viewing": null,
            "typing": []});
        let wanted = json!({"type": "presence_state", "users": [here], "stream": PRESENCE});
        assert_eq!(device.hears().await, wanted);
    }
    for frame in [
        json!({"type": "ticket_viewing", "stream": PRESENCE, "ticket_id": 1}),
        json!({"type": "user_typing", "stream": PRESENCE, "ticket_id": 1, "is_typing": true}),
    ] {
        // One's own devices are not told what one does oneself.
        one.does(json!(["send", frame]));
    }
    for (id, stream) in [("u1", TICKETS), ("u2", PRESENCE)] {
        one.does(json!(["send", {"type": "unsubscribe", "id": id, "stream": stream}]));
        assert_eq!(one.hears().await, done(id));
    }
    two.hears_nothing().await;
    one.does(json!(["send", {"type": "ticket_viewing", "stream": PRESENCE, "ticket_id": 1}]));
    let error = one.hears().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("not_subscribed")));
    both[0]["id"].as_i64().unwrap()
}

/// How long a token lives that ends within the test: a third of it is time enough to renew it on a
/// busy machine.
const TOKEN_S: i64 = 15;

/// A token ends; one device shows another in time.
async fn tokens(one: &mut FrontEnd, two: &mut FrontEnd) {
    for device in [&mut *one, &mut *two] {
        device.does(json!(["leave"]));
        assert_eq!(device.says().await["closed"], 1000);
        device.does(json!(["use", token(JOHN, TOKEN_S)]));
        device.does(json!(["come_back_since"]));
        assert_eq!(device.hears().await["type"], "welcome");
    }
    // Both are told when a third of the token's life is left.
    for device in [&mut *one, &mut *two] {
        let mut notice = device.hears().await;
        take_time(&mut notice, "expires_at");
        let left = notice.as_object_mut().unwrap().remove("expires_in_s").unwrap();
        assert!((0..=TOKEN_S / 3).contains(&left.as_i64().unwrap()), "{left}");
        assert_eq!(notice, json!({"type": "token_expiring"}));
    }
    one.does(json!(["send", {"type": "refresh", "id": "t1", "token": token(JANE, 3_600)}]));
    let refused = one.hears().await;
    let wanted = (&json!(false), &json!("token_not_valid"));
    assert_eq!((&refused["ok"], &refused["code"]), wanted, "another's: {refused}");
    one.does(json!(["send", {"type": "refresh", "id": "t2", "token": token(JOHN, 3_600)}]));
    assert_eq!(one.hears().await, json!({"type": "reply", "id": "t2", "ok": true}));
    assert_eq!(two.says().await["closed"], 4401);
    one.hears_nothing().await;
    // A browser is told of a bad token on the socket.
    for (bad, part) in [("rubbish", ""), (token(JOHN, -5).as_str(), "expired")] {
        two.does(json!(["use", bad]));
        two.does(json!(["come_back_since"]));
        let end = two.says().await;
        assert_eq!(end["closed"], 4401, "{end}");
        assert!(end["reason"].as_str().unwrap().contains(part), "{end}");
    }
    for device in [one, two] {
        device.does(json!(["use", token(JOHN, 3_600)]));
    }
}

/// Where both devices go; what each of them missed comes once and in its order.
async fn resumed(hub: &Hub, one: &mut FrontEnd, two: &mut FrontEnd, marked: [(i64, bool); 2]) {
    let ticket = hub.raise("While it was down").await;
    for device in [&mut *one, &mut *two] {
        device.does(json!(["move_to", base(hub.process.address)]));
        device.does(json!(["come_back_since"]));
        welcome(device, 13, 2, true).await;
    }
    // The second one was told of no mark since; a count is the one at the end of all this.
    for (seq, (id, is_read)) in (11..).zip(marked) {
        assert_eq!(two.hears().await, told(seq, &[id], is_read, 2));
    }
    for device in [one, two] {
        missed(device, &ticket, 13, 2).await;
        device.hears_nothing().await;
    }
}

async fn whole_session(first: Make, second: Make) {
    let (_folder, database) = folder();
    people(&database);
    let hub = Hub::serve(&database);
    let Some(mut one) = hub.start(first).await else { return };
    let Some(mut two) = hub.start(second).await else { return };
    let ids = inbox(&hub, &mut one, &mut two).await;
    removal(&hub, &mut one, &mut two, &ids).await;
    mistakes(&mut one).await;
    let streamed = streams(&hub, &mut one, &mut two).await;
    tokens(&mut one, &mut two).await;

    // The second device is away; the first marks what the hub has on disk when it is killed.
    one.does(json!(["send", {"type": "read", "id": "k1", "all": true}]));
    assert_eq!(one.hears().await, marked("k1", 1, 11, 0));
    one.does(json!(["send", {"type": "unread", "id": "k2", "ids": [ids[0]]}]));
    assert_eq!(one.hears().await, marked("k2", 1, 12, 1));
    hub.process.kill();
    assert_eq!(one.says().await["closed"], 1006);
    let hub = Hub::serve(&database);
    resumed(&hub, &mut one, &mut two, [(streamed, true), (ids[0], false)]).await;
    hub.process.terminate();
    for device in [&mut one, &mut two] {
        let end = device.says().await;
        assert_eq!(end["closed"], 1012, "{end}");
        let reason: Value = serde_json::from_str(end["reason"].as_str().unwrap()).unwrap();
        assert!(reason["retry_after_ms"].is_i64(), "{reason}");
    }

    // Another store: what the devices hold is of no use.
    let (_folder, database) = folder();
    people(&database);
    let hub = Hub::serve(&database);
    let ticket = hub.raise("In another store").await;
    for device in [&mut one, &mut two] {
        device.does(json!(["move_to", base(hub.process.address)]));
        device.does(json!(["come_back_since"]));
        welcome(device, 1, 1, false).await;
        assert_eq!(device.hears().await, json!({"type": "reset"}));
        missed(device, &ticket, 1, 1).await;
        device.hears_nothing().await;
    }
    // And from here on they are at home in it.
    one.does(json!(["leave"]));
    assert_eq!(one.says().await["closed"], 1000);
    let ticket = hub.raise("Another").await;
    created(&mut two, &ticket, 2, 2).await;
    one.does(json!(["come_back_since"]));
    welcome(&mut one, 2, 2, true).await;
    missed(&mut one, &ticket, 2, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_chromium_and_with_nodes_ws() {
    whole_session(Make::Chromium, Make::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_pythons_websockets_and_in_chromium() {
    whole_session(Make::Python, Make::Chromium).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nodes_ws_and_pythons_websockets() {
    whole_session(Make::Node, Make::Python).await;
}
