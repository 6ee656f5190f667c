//! How much of everything, and what happens beyond it.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{PATIENCE, Raw, Socket, frame, raise};
use crate::support::Hub;

#[tokio::test]
async fn bad_messages_in_a_row_are_abuse_and_a_good_one_is_forgiveness() {
    let hub = Hub::start_with(|config| config.ws.messages_per_s = 1_000).await;
    let ada = hub.user("ada", "admin").await;
    let mut raw = Raw::established(&hub, &ada).await;
    let bad = frame(0x81, b"?").repeat(31);
    let good = frame(0x81, br#"{"type":"ping"}"#);
    raw.send(&[&bad[..], &good, &bad].concat()).await;
    for index in 0..63 {
        let wanted = if index == 31 { "pong" } else { "error" };
        assert_eq!(raw.next_text().await["type"], wanted, "{index}");
    }
    raw.send(&frame(0x82, b"?")).await;
    assert_eq!(raw.next_close().await, 4400);
}

#[tokio::test]
async fn messages_too_fast() {
    let hub = Hub::start_with(|config| config.ws.messages_per_s = 2).await;
    let ada = hub.user("ada", "admin").await;
    let ping = frame(0x81, br#"{"type":"ping"}"#);
    let mut raw = Raw::established(&hub, &ada).await;
    raw.send(&ping.repeat(10)).await;
    for _ in 0..10 {
        assert_eq!(raw.next_text().await["type"], "pong");
    }
    raw.send(&ping.repeat(20)).await;
    assert_eq!(raw.next_close().await, 4429);
    // Control frames count too.
    let mut raw = Raw::established(&hub, &ada).await;
    raw.send(&frame(0x8a, b"").repeat(30)).await;
    assert_eq!(raw.next_close().await, 4429);
}

#[tokio::test]
async fn too_many_sockets_of_one_user() {
    let hub = Hub::start_with(|config| config.ws.max_sessions_per_user = 2).await;
    let (ada, bob) = (hub.user("ada", "admin").await, hub.user("bob", "admin").await);
    let mut first = Socket::established(&hub, &ada, "").await;
    let second = Socket::established(&hub, &ada, "").await;
    let mut third = Socket::open(&hub, &ada, "").await;
    assert_eq!(third.next_close().await.0, 4429);
    Socket::established(&hub, &bob, "").await;
    first.expect_nothing().await;
    second.close().await;
    let room = async {
        loop {
            let mut next = Socket::open(&hub, &ada, "").await;
            if let tokio_tungstenite::tungstenite::Message::Text(_) = next.next_message().await {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, room).await.expect("room again");
}

#[tokio::test]
async fn a_client_without_a_sign_of_life() {
    let hub = Hub::start_with(|config| {
        config.ws.ping_after_s = 1;
        config.ws.silent_max_s = 3;
    })
    .await;
    let ada = hub.user("ada", "admin").await;
    // The library answers pings while it is read, raw bytes do not.
    let mut answering = Socket::established(&hub, &ada, "").await;
    let mut raw = Raw::established(&hub, &ada).await;
    let alive = tokio::spawn(async move {
        loop {
            let message = answering.next_message().await;
            assert!(!message.is_close(), "{message:?}");
        }
    });
    assert_eq!(raw.next_frame().await, Some((0x89, Vec::new())));
    assert_eq!(raw.next_close().await, 4408);
    assert!(!alive.is_finished(), "a session that answers stays");
    alive.abort();
}

#[tokio::test]
async fn a_reader_too_slow() {
    let hub = Hub::start_with(|config| config.ws.messages_per_s = 100_000).await;
    let ada = hub.user("ada", "admin").await;
    let mut raw = Raw::connect_narrow(hub.address()).await;
    let answer = raw.handshake(&format!("?token={}", ada.token), &[]).await;
    assert_eq!(answer.status, 101);
    let (mut read, mut write) = raw.0.into_split();
    // Each answer is as long as its request, and the client does not read the answers.
    let question = format!(r#"{{"type":"ping","timestamp":"{}"}}"#, "x".repeat(60_000));
    let question = frame(0x81, question.as_bytes());
    for _ in 0..400 {
        write.write_all(&question).await.unwrap();
    }
    let mut all = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut all);
    tokio::time::timeout(PATIENCE, reading).await.expect("the end").expect("no reset");
    let reason = b"reader too slow";
    let close = [&[0x88, 2 + 15][..], &4413_u16.to_be_bytes(), reason].concat();
    assert!(all.ends_with(&close), "{:?}", all.get(all.len().saturating_sub(40)..));
}

#[tokio::test]
async fn a_token_that_expires_ends_its_socket() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let token = hub.token_expiring_in(&ada, 2);
    let short = crate::support::Person { id: ada.id, username: ada.username.clone(), token };
    let mut other = Socket::established(&hub, &ada, "").await;
    let mut socket = Socket::established(&hub, &short, "").await;
    assert_eq!(socket.next_close().await.0, 4401);
    other.expect_nothing().await;
}

#[tokio::test]
async fn a_user_who_is_switched_off_loses_every_socket() {
    let hub = Hub::start().await;
    let (root, ada) = (hub.user("root", "super_admin").await, hub.user("ada", "admin").await);
    let mut sockets =
        [Socket::established(&hub, &ada, "").await, Socket::established(&hub, &ada, "").await];
    let patched = bellpull::tls::client()
        .build()
        .unwrap()
        .patch(format!("http://{}/api/users/{}/", hub.address(), ada.id))
        .bearer_auth(&root.token)
        .json(&json!({"is_active": false}))
        .send()
        .await
        .unwrap();
    assert_eq!(patched.status().as_u16(), 200);
    for socket in &mut sockets {
        assert_eq!(socket.next_close().await.0, 4403);
    }
    let mut raw = Raw::connect(hub.address()).await;
    assert_eq!(raw.handshake(&format!("?token={}", ada.token), &[]).await.status, 403);
}

#[tokio::test]
async fn a_restart_is_said_and_nothing_is_lost_over_it() {
    let hub = Hub::start().await;
    let (root, carl) = (hub.user("root", "super_admin").await, hub.user("carl", "client").await);
    let mut socket = Socket::established(&hub, &root, "").await;
    raise(&hub, &carl, "before").await;
    let seen = socket.next().await;
    assert_eq!(seen["seq"], 1);
    let path = format!("/api/operator/actors/user/{}/restart/", root.id);
    let (status, body) = hub.post(&root, &path, json!({})).await;
    assert!((200..300).contains(&status), "{status} {body}");
    let (code, reason) = socket.next_close().await;
    assert_eq!(code, 1012);
    let reason: Value = serde_json::from_str(&reason).unwrap();
    assert!(reason["retry_after_ms"].is_u64(), "{reason}");
    raise(&hub, &carl, "meanwhile").await;
    let mut again = Socket::established(&hub, &root, "&since=1").await;
    let seen = again.next().await;
    assert_eq!((&seen["seq"], &seen["ticket"]["title"]), (&json!(2), &json!("meanwhile")));
    raise(&hub, &carl, "after").await;
    assert_eq!(again.next().await["seq"], 3);
}
