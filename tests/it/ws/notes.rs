//! `send_notification`: who may send to whom over a socket, and how often.

use bellpull_domain::ids::UserId;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Socket;
use crate::support::{Hub, Person};

fn command(to: &Person) -> Value {
    json!({
        "type": "send_notification", "user_id": to.id, "title": "Approval",
        "message": "Please look", "notification_type": "approval",
        "data": {"request": 7}, "link": "/requests/7/",
    })
}

async fn inbox(hub: &Hub, who: &Person) -> Socket {
    Socket::established(hub, who, "&dialect=inbox").await
}

#[tokio::test]
async fn rights_are_looked_at_and_strangers_learn_nothing() {
    let hub = Hub::start().await;
    let admin = hub.user("admin", "admin").await;
    let ada = hub.user("ada", "developer").await;
    let bob = hub.user("bob", "developer").await;
    let carl = hub.user("carl", "client").await;
    let unknown = Person { id: 4_711, ..carl.clone() };
    let (key, name) = ("WEB".to_owned(), "Web".to_owned());
    let store = hub.store();
    let web = store.create_project(key, name, UserId(ada.id), Timestamp::now()).await.unwrap();
    store.add_member(web.id, UserId(bob.id)).await.unwrap();
    let mut bobs = inbox(&hub, &bob).await;
    for (from, to, refusal) in [
        (&admin, &carl, None),
        (&admin, &unknown, Some("not_found")),
        (&ada, &bob, None),
        (&ada, &carl, Some("permission_denied")),
        (&ada, &unknown, Some("permission_denied")),
        (&carl, &ada, Some("permission_denied")),
        (&carl, &unknown, Some("permission_denied")),
    ] {
        let mut socket = Socket::established(&hub, from, "&dialect=inbox&replay=none").await;
        socket.say(command(to).to_string()).await;
        let told = socket.next().await;
        let case = format!("{} to {}: {told}", from.username, to.id);
        assert_eq!(told["type"], "notification_sent", "{case}");
        assert_eq!(told["success"], refusal.is_none(), "{case}");
        assert_eq!(told["notification_id"].is_i64(), refusal.is_none(), "{case}");
        assert_eq!(told.get("code").and_then(Value::as_str), refusal, "{case}");
        socket.expect_nothing().await;
    }
    let told = bobs.next().await;
    let shown = &told["notification"];
    for (key, value) in [
        ("title", json!("Approval")),
        ("message", json!("Please look")),
        ("type", json!("approval")),
        ("data", json!({"request": 7})),
        ("link", json!("/requests/7/")),
        ("sender_id", json!(ada.id)),
    ] {
        assert_eq!(shown[key], value, "{key} in {told}");
    }
    bobs.expect_nothing().await;
}

#[tokio::test]
async fn who_sends_too_fast_is_told_when_to_go_on() {
    let hub = Hub::start().await;
    let (carl, dora) = (hub.user("carl", "client").await, hub.user("dora", "client").await);
    let mut socket = Socket::established(&hub, &carl, "&dialect=inbox").await;
    let mut sent = 0;
    let refused = loop {
        assert!(sent <= 60, "nothing slows it down");
        socket.say(command(&carl).to_string()).await;
        let told = loop {
            let told = socket.next().await;
            if told["type"] == "notification_sent" {
                break told; // what was sent comes here too: it is carl's own
            }
        };
        if told["success"] == false {
            break told;
        }
        sent += 1;
    };
    assert!(sent >= 20, "only {sent} at once");
    assert_eq!(refused["code"], "throttled", "{refused}");
    let wait_ms = refused["retry_after_ms"].as_u64().unwrap();
    assert!((1..=200).contains(&wait_ms), "{refused}");
    // Another has a bucket of its own, and the socket stays open.
    let mut other = Socket::established(&hub, &dora, "&dialect=inbox").await;
    other.say(command(&dora).to_string()).await;
    let told = [other.next().await, other.next().await];
    assert!(told.iter().any(|one| one["success"] == true), "{told:?}");
    socket.say(r#"{"type":"ping","timestamp":1}"#).await;
    while socket.next().await["type"] != "pong" {}
}
