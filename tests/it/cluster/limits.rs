//! Limits over all nodes: what is used up on one node is refused on the other, and without Redis
//! each counts for itself.

use std::time::Instant;

use bellpull::config::delivery::SmtpConfig;
use bellpull::config::{Config, Secret};
use futures_util::future::join_all;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::Nodes;
use crate::support::{Hub, Person};
use crate::ws::Socket;

async fn post(hub: &Hub, path: &str, body: &Value) -> Response {
    hub.request(Method::POST, path).json(body).send().await.unwrap()
}

async fn register(hub: &Hub, name: &str) -> Response {
    let email = format!("{name}@example.com");
    let body = json!({"username": name, "email": email, "password": "correct horse"});
    post(hub, "/api/auth/register/", &body).await
}

async fn log_in(hub: &Hub, name: &str, password: &str) -> u16 {
    let body = json!({"username": name, "password": password});
    post(hub, "/api/auth/login/", &body).await.status().as_u16()
}

/// The seconds of a refusal, which says the same in its header as every other.
async fn throttled(response: Response) -> u32 {
    assert_eq!(response.status().as_u16(), 429);
    let wait = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["code"], "throttled", "{body}");
    wait
}

/// Two registrations a minute from one network.
async fn nodes() -> Option<Nodes> {
    Nodes::joined_with(|config| config.auth.registrations_per_min = 14).await
}

#[tokio::test]
async fn registrations_are_counted_over_both_nodes() {
    let Some(mut nodes) = nodes().await else { return };
    for name in ["ann", "bob"] {
        assert_eq!(register(&nodes.a, name).await.status().as_u16(), 201);
    }
    // The node that has admitted them says the same as the one that has not.
    for hub in [&nodes.a, &nodes.b] {
        let wait = throttled(register(hub, "carl").await).await;
        assert!((1..=30).contains(&wait), "{wait}");
    }
    nodes.redis.as_mut().unwrap().kill();
    nodes.both_say("degraded").await;
    // What it refused for the others it has counted: one of two is left.
    assert_eq!(register(&nodes.b, "dora").await.status().as_u16(), 201);
    for hub in [&nodes.a, &nodes.b] {
        assert_eq!(log_in(hub, "dora", "correct horse").await, 200, "logins go on");
    }
}

/// Of five guesses at once all are told, if a budget is full, and at most two in the time that an
/// attempt may wait, if it is empty.
async fn guesses_of_five(hub: &Hub, name: &str) -> usize {
    let told = join_all((0..5).map(|_| log_in(hub, name, "a guess"))).await;
    assert!(told.iter().all(|status| [401, 429].contains(status)), "{told:?}");
    told.iter().filter(|status| **status == 401).count()
}

#[tokio::test]
async fn guesses_are_counted_over_both_nodes() {
    let Some(mut nodes) = nodes().await else { return };
    let Nodes { a, b, redis, .. } = &mut nodes;
    assert_eq!(register(a, "ann").await.status().as_u16(), 201);
    // A name that no account has cannot be told from an account, on any node.
    join_all(["ann", "unknown"].map(async |name| {
        for _ in 0..10 {
            assert_eq!(log_in(a, name, "a guess").await, 401);
        }
        assert!(guesses_of_five(b, name).await <= 2, "{name}");
    }))
    .await;
    assert_eq!(log_in(b, "other", "a guess").await, 401, "others are not held up");
    redis.as_mut().unwrap().kill();
    nodes.both_say("degraded").await;
    assert_eq!(guesses_of_five(&nodes.b, "another").await, 5);
    assert_eq!(log_in(&nodes.a, "ann", "correct horse").await, 200);
    assert_eq!(log_in(&nodes.b, "ann", "correct horse").await, 200);
}

#[tokio::test]
async fn tests_of_webhooks_are_counted_over_both_nodes() {
    let Some(nodes) = nodes().await else { return };
    let Nodes { a, b, .. } = &nodes;
    let ada = a.user("ada", "developer").await;
    // Refused when it is called, for where it leads.
    let hook = json!({"url": "https://localhost:1/hook"});
    let (status, hook) = a.post(&ada, "/api/webhooks/", hook).await;
    assert_eq!(status, 201, "{hook}");
    let path = format!("/api/webhooks/{}/test/", hook["id"]);
    // Each takes a while: as many of both nodes at once as one of them alone would admit.
    let ten = async |hub: &Hub| {
        let mut admitted = 0;
        for _ in 0..10 {
            let request = hub.request(Method::POST, &path).bearer_auth(&ada.token);
            let response = request.json(&json!({})).send().await.unwrap();
            match response.status().as_u16() {
                200 => admitted += 1,
                _ => assert!((1..=6).contains(&throttled(response).await)),
            }
        }
        admitted
    };
    let began = Instant::now();
    let admitted: u128 = join_all([ten(a), ten(b)]).await.into_iter().sum();
    // 10 at once and one in 6 s, however slow this machine is.
    let most = 11 + began.elapsed().as_millis() / 6_000;
    assert!(admitted >= 10 && admitted <= most, "{admitted} of at most {most}");
}

/// Sends notes to oneself; how many were admitted.
async fn notes(socket: &mut Socket, to: &Person, count: usize) -> usize {
    let note = json!({
        "type": "send_notification", "user_id": to.id, "title": "T", "message": "M",
        "notification_type": "approval",
    });
    let mut admitted = 0;
    for _ in 0..count {
        socket.say(note.to_string()).await;
        let told = loop {
            let told = socket.next().await;
            if told["type"] == "notification_sent" {
                break told; // what was sent comes here too
            }
        };
        match told["success"] == true {
            true => admitted += 1,
            false => assert_eq!(told["code"], "throttled", "{told}"),
        }
    }
    admitted
}

#[tokio::test]
async fn notes_are_counted_over_both_nodes() {
    let Some(nodes) = nodes().await else { return };
    let carl = nodes.a.user("carl", "client").await;
    let mut there = Socket::established(&nodes.a, &carl, "&dialect=inbox").await;
    let mut here = Socket::established(&nodes.b, &carl, "&dialect=inbox").await;
    let began = Instant::now();
    let admitted = notes(&mut there, &carl, 20).await + notes(&mut here, &carl, 20).await;
    // 20 at once and 5 a second, however slow this machine is.
    let most = 21 + began.elapsed().as_millis() / 200;
    assert!(admitted >= 20 && admitted as u128 <= most, "{admitted} of at most {most}");
}

#[tokio::test]
async fn mails_are_counted_over_both_nodes() {
    // No account has these addresses: no mail is sent.
    let with_mail = |config: &mut Config| {
        let url = Secret::new("smtp://127.0.0.1:1".to_owned());
        let from = "desk@example.com".to_owned();
        config.delivery.smtp = Some(SmtpConfig { url, from, hello: None, ca_file: None, per_s: 0 });
    };
    let Some(nodes) = Nodes::joined_with(with_mail).await else { return };
    let reset = async |hub: &Hub, nth: usize| {
        let body = json!({"email": format!("user{nth}@example.com")});
        post(hub, "/api/auth/password/reset/", &body).await
    };
    for nth in 0..10 {
        assert_eq!(reset(&nodes.a, nth).await.status().as_u16(), 202, "{nth}");
    }
    let wait = throttled(reset(&nodes.b, 10).await).await;
    assert!((1..=6).contains(&wait), "{wait}");
}
