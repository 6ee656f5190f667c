//! `bellpull.v1`: one socket for everything.

use serde_json::{Value, json};

use super::{Raw, Socket, frame, handshake, raise};
use crate::support::process::{Process, folder, person};
use crate::support::{Hub, Person};

/// The next frame, which is a notification with this number.
async fn notification(socket: &mut Socket, seq: i64) -> Value {
    let frame = socket.next().await;
    assert_eq!((&frame["type"], &frame["seq"]), (&json!("notification"), &json!(seq)), "{frame}");
    frame
}

/// The next frame, which is the answer to the request of that name.
async fn reply(socket: &mut Socket, id: &str) -> Value {
    let frame = socket.next().await;
    assert_eq!((&frame["type"], &frame["id"]), (&json!("reply"), &json!(id)), "{frame}");
    frame
}

#[tokio::test]
async fn a_whole_session() {
    let hub = Hub::start().await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    let (mut one, welcome) = Socket::v1(&hub, &ada, "").await;
    let user = json!({"id": ada.id, "username": "ada", "role": "admin"});
    assert_eq!((&welcome["user"], &welcome["last_seq"]), (&user, &json!(0)), "{welcome}");
    assert_eq!((&welcome["unread_count"], &welcome["heartbeat_ms"]), (&json!(0), &json!(25_000)));
    for key in ["session", "epoch", "node"] {
        assert!(welcome[key].as_str().is_some_and(|text| !text.is_empty()), "{welcome}");
    }

    let ticket = raise(&hub, &carl, "Homepage not loading").await;
    let first = notification(&mut one, 1).await;
    assert!(first.get("created_seq").is_none(), "only a backlog has it: {first}");
    assert_eq!((&first["event"], &first["kind"]), (&json!("ticket_created"), &json!("INFO")));
    assert_eq!((&first["ticket"]["id"], &first["is_read"]), (&json!(ticket), &json!(false)));
    assert_eq!((&first["unread_count"], &first["sender_id"]), (&json!(1), &json!(carl.id)));
    raise(&hub, &carl, "Another").await;
    let second = notification(&mut one, 2).await;

    one.say(r#"{"type":"ack","seq":1}"#).await;
    one.expect_nothing().await;
    let (mut two, welcome) = Socket::v1(&hub, &ada, "").await;
    assert_eq!((&welcome["last_seq"], &welcome["unread_count"]), (&json!(2), &json!(2)));
    assert_eq!(notification(&mut two, 2).await["id"], second["id"]);
    two.expect_nothing().await;

    one.say(json!({"type": "read", "id": "r1", "ids": [first["id"]]}).to_string()).await;
    let answer = reply(&mut one, "r1").await;
    assert_eq!((&answer["ok"], &answer["unread_count"]), (&json!(true), &json!(1)));
    let told = json!({"type": "inbox", "seq": 3, "ids": [first["id"]], "is_read": true,
        "unread_count": 1});
    assert_eq!(two.next().await, told);
    two.say(json!({"type": "delete", "id": "r2", "ids": [second["id"]]}).to_string()).await;
    assert_eq!(reply(&mut two, "r2").await["unread_count"], 0);
    let told = one.next().await;
    assert_eq!((&told["type"], &told["seq"]), (&json!("inbox"), &json!(4)), "{told}");
    assert_eq!((&told["deleted"], &told["ids"]), (&json!(true), &json!([second["id"]])));

    one.say("nonsense").await;
    let error = one.next().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("invalid_json")));
    assert_eq!(error["retry"], false);
    one.say(r#"{"type":"mark_all_read","id":"r3"}"#).await;
    assert_eq!(one.next().await["code"], "unknown_type");
    for socket in [&mut one, &mut two] {
        socket.expect_nothing().await;
    }
}

#[tokio::test]
async fn what_is_sent_with_the_handshake_is_answered_behind_the_greeting() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "client").await;
    for (path, greeting) in [
        ("/ws/?", "welcome"),
        ("/ws/notifications/?", "connection_established"),
        ("/ws/notifications/?replay=none&", "connection_established"),
        ("/ws/projects/1/presence/?", "connection_established"),
    ] {
        let mut raw = Raw::connect(hub.address()).await;
        let mut bytes = handshake(&format!("{path}token={}", ada.token), &[]).into_bytes();
        bytes.extend(frame(0x81, br#"{"type":"ping","timestamp":1}"#));
        bytes.extend(frame(0x81, b"nonsense"));
        raw.send(&bytes).await;
        assert_eq!(raw.answer().await.status, 101, "{path}");
        let mut told = Vec::new();
        while told.last() != Some(&json!("error")) {
            told.push(raw.next_text().await["type"].clone());
        }
        assert_eq!(told[0], greeting, "{path}: {told:?}");
        assert!(told.contains(&json!("pong")), "{path}: {told:?}");
    }
}

#[tokio::test]
async fn limits_hold_in_this_dialect_too() {
    let hub = Hub::start_with(|config| {
        config.ws.max_frame = 1_000;
        config.ws.messages_per_s = 20;
        config.ws.max_sessions_per_user = 1;
    })
    .await;
    let ada = hub.user("ada", "client").await;
    for (texts, code) in [
        (vec!["?".to_owned(); 32], 4400),
        (vec![r#"{"type":"ping"}"#.to_owned(); 120], 4429),
        (vec!["x".repeat(1_001)], 1009),
    ] {
        let mut socket = loop {
            // The place of the one before is free once its actor has heard of its end.
            let mut socket =
                Socket::open_at(hub.address(), &format!("/ws/?token={}", ada.token)).await;
            if let tokio_tungstenite::tungstenite::Message::Text(_) = socket.next_message().await {
                break socket;
            }
        };
        let mut second = Socket::open_at(hub.address(), &format!("/ws/?token={}", ada.token)).await;
        assert_eq!(second.next_close().await.0, 4429, "one socket a user");
        for text in texts {
            socket.say(text).await;
        }
        assert_eq!(socket.next_close().await.0, code);
    }
}

#[tokio::test]
async fn a_socket_outlives_its_first_token() {
    let hub = Hub::start().await;
    let (ada, bob) = (hub.user("ada", "client").await, hub.user("bob", "client").await);
    let brief = Person { token: hub.token_expiring_in(&ada, 4), ..ada.clone() };
    let (mut renewed, _) = Socket::v1(&hub, &brief, "").await;
    let (mut not_renewed, _) = Socket::v1(&hub, &brief, "").await;
    for socket in [&mut renewed, &mut not_renewed] {
        let warning = socket.next().await;
        assert_eq!(warning["type"], "token_expiring", "{warning}");
        assert!(warning["expires_in_s"].as_i64().unwrap() <= 4, "{warning}");
    }
    for (id, token) in [("r1", &bob.token), ("r2", &"x".to_owned())] {
        for socket in [&mut renewed, &mut not_renewed] {
            socket.say(json!({"type": "refresh", "id": id, "token": token}).to_string()).await;
            let refused = reply(socket, id).await;
            let wanted = (&json!(false), &json!("token_not_valid"));
            assert_eq!((&refused["ok"], &refused["code"]), wanted, "{refused}");
        }
    }
    renewed.say(json!({"type": "refresh", "id": "r3", "token": ada.token}).to_string()).await;
    assert_eq!(reply(&mut renewed, "r3").await["ok"], true);
    let (code, reason) = not_renewed.next_close().await;
    assert_eq!((code, reason.as_str()), (4401, "token expired"));
    renewed.expect_nothing().await;
    // The new token has its own end.
    let brief = hub.token_expiring_in(&ada, 2);
    renewed.say(json!({"type": "refresh", "id": "r4", "token": brief}).to_string()).await;
    assert_eq!(reply(&mut renewed, "r4").await["ok"], true);
    assert_eq!(renewed.next().await["type"], "token_expiring");
    assert_eq!(renewed.next_close().await.0, 4401);
}

#[tokio::test]
async fn a_position_of_this_store_is_resumed_and_any_other_is_not() {
    let hub = Hub::start().await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    for title in ["1", "2", "3"] {
        raise(&hub, &carl, title).await;
    }
    let (mut first, welcome) = Socket::v1(&hub, &ada, "&replay=none").await;
    first.expect_nothing().await;
    let epoch = welcome["epoch"].as_str().unwrap();
    for query in ["&since=1".to_owned(), format!("&since=1&epoch={epoch}")] {
        let (mut socket, welcome) = Socket::v1(&hub, &ada, &query).await;
        assert_eq!(welcome["resumed"], true, "{query}");
        notification(&mut socket, 2).await;
        notification(&mut socket, 3).await;
        socket.expect_nothing().await;
    }
    for query in [
        "&since=1&epoch=another".to_owned(),
        format!("&since=99&epoch={epoch}"),
        "&since=99".to_owned(),
        "&epoch=another".to_owned(),
    ] {
        let (mut socket, welcome) = Socket::v1(&hub, &ada, &query).await;
        assert_eq!(welcome["resumed"], false, "{query}");
        assert_eq!(socket.next().await, json!({"type": "reset"}), "{query}");
        for seq in 1..=3 {
            notification(&mut socket, seq).await;
        }
        socket.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_backlog_has_the_number_of_each_entry_beside_that_of_its_last_change() {
    let hub = Hub::start().await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    for title in ["One", "Two", "Three"] {
        raise(&hub, &carl, title).await;
    }
    let (mut first, _) = Socket::v1(&hub, &ada, "").await;
    let mut ids = Vec::new();
    for seq in 1..=3 {
        let frame = notification(&mut first, seq).await;
        assert_eq!(frame["created_seq"], seq, "never changed: {frame}");
        ids.push(frame["id"].clone());
    }
    // Changes 4 to 6: the first row is read and unread, the second is read.
    for (kind, id) in [("read", &ids[0]), ("unread", &ids[0]), ("read", &ids[1])] {
        first.say(json!({"type": kind, "id": "r", "ids": [id]}).to_string()).await;
        assert_eq!(reply(&mut first, "r").await["count"], 1);
    }
    for query in ["&since=0", "&since=99", ""] {
        let (mut socket, welcome) = Socket::v1(&hub, &ada, query).await;
        if welcome["resumed"] == false {
            assert_eq!(socket.next().await["type"], "reset", "{query}");
        }
        for (seq, created, is_read) in [(3, 3, false), (5, 1, false), (6, 2, true)] {
            let frame = notification(&mut socket, seq).await;
            let shown = (&frame["created_seq"], &frame["is_read"], &frame["id"]);
            let wanted = (&json!(created), &json!(is_read), &ids[created - 1]);
            assert_eq!(shown, wanted, "{query}: {frame}");
        }
        socket.expect_nothing().await;
    }
    // A client that holds the first two has their marks only.
    let (mut socket, _) = Socket::v1(&hub, &ada, "&since=2").await;
    assert_eq!(notification(&mut socket, 3).await["created_seq"], 3);
    for seq in [5, 6] {
        let frame = socket.next().await;
        assert_eq!((&frame["type"], &frame["seq"]), (&json!("inbox"), &json!(seq)), "{frame}");
    }
    socket.expect_nothing().await;
}

/// A device was away for so long that what was deleted meanwhile is forgotten: it cannot be told of
/// it any more, and begins anew.
#[tokio::test]
async fn a_position_behind_what_was_forgotten_begins_anew() {
    use bellpull_port::retention::{Old, Position};
    use jiff::{SignedDuration, Timestamp};

    let hub = Hub::start().await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    for title in ["One", "Two", "Three"] {
        raise(&hub, &carl, title).await;
    }
    let (mut away, welcome) = Socket::v1(&hub, &ada, "").await;
    let epoch = welcome["epoch"].as_str().unwrap();
    let held = notification(&mut away, 1).await["id"].as_i64().unwrap();
    away.close().await;
    // Change 4.
    assert_eq!(hub.delete(&ada, &format!("/api/notifications/{held}/")).await.0, 204);
    let soon = Timestamp::now() + SignedDuration::from_hours(1);
    let forgotten = hub.store().forget(Old::Tombstones, soon, Position::START, 10).await.unwrap();
    assert_eq!((forgotten.removed, forgotten.next), (1, None));
    for since in [1, 3] {
        let query = format!("&since={since}&epoch={epoch}");
        let (mut socket, welcome) = Socket::v1(&hub, &ada, &query).await;
        assert_eq!((&welcome["resumed"], &welcome["unread_count"]), (&json!(false), &json!(2)));
        assert_eq!(socket.next().await, json!({"type": "reset"}));
        notification(&mut socket, 2).await;
        notification(&mut socket, 3).await;
        socket.expect_nothing().await;
    }
    let (mut socket, welcome) = Socket::v1(&hub, &ada, &format!("&since=4&epoch={epoch}")).await;
    assert_eq!(welcome["resumed"], true);
    socket.expect_nothing().await;
    hub.stop().await;
}

#[tokio::test]
async fn a_position_outlives_the_process() {
    let (_folder, database) = folder();
    let (_, ada) = person(&database, "ada", "admin");
    let (_, carl) = person(&database, "carl", "client");
    let hub = Process::serve(&database, &[]);
    let (mut socket, welcome) = Socket::v1_at(hub.address, &ada, "").await;
    let epoch = welcome["epoch"].clone();
    raise_at(&hub, &carl, "before").await;
    let before = notification(&mut socket, 1).await;
    socket.say(json!({"type": "read", "id": "r", "ids": [before["id"]]}).to_string()).await;
    assert_eq!(reply(&mut socket, "r").await["ok"], true);
    hub.kill();

    let hub = Process::serve(&database, &[]);
    raise_at(&hub, &carl, "meanwhile").await;
    let query = format!("&since=1&epoch={}", epoch.as_str().unwrap());
    let (mut socket, welcome) = Socket::v1_at(hub.address, &ada, &query).await;
    assert_eq!((&welcome["epoch"], &welcome["resumed"]), (&epoch, &json!(true)));
    assert_eq!(welcome["last_seq"], 3);
    let told = socket.next().await;
    assert_eq!((&told["type"], &told["seq"]), (&json!("inbox"), &json!(2)), "{told}");
    assert_eq!((&told["ids"], &told["is_read"]), (&json!([before["id"]]), &json!(true)));
    let missed = notification(&mut socket, 3).await;
    assert_eq!(missed["ticket"]["title"], "meanwhile");
    raise_at(&hub, &carl, "after").await;
    notification(&mut socket, 4).await;
    socket.expect_nothing().await;
}

async fn raise_at(hub: &Process, token: &str, title: &str) {
    let url = format!("http://{}/api/tickets/", hub.address);
    let request = bellpull::tls::client().build().unwrap().post(url).bearer_auth(token);
    let response = request.json(&json!({"title": title})).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 201);
}
