//! The Redis user of the book may do what nodes need, and nothing that they ask is refused.

use bellpull::config::Secret;
use serde_json::json;

use super::{Shared, broker_is};
use crate::support::redis::{Client, Private};
use crate::ws::Socket;

/// The command as the book has it.
fn command() -> String {
    let book = include_str!("../../../docs/scaling.md");
    let line = book.lines().find(|line| line.starts_with("ACL SETUSER bellpull "));
    line.expect("the book says how").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_of_the_book_may_do_what_nodes_need() {
    let Some(redis) = Private::start(&[]).await else { return };
    let mut operator = Client::connect(&redis).await;
    let words = command().replace("PASSWORD", "secret");
    assert_eq!(operator.ask(&words.split(' ').collect::<Vec<_>>()).await, "+OK\r\n");
    let url = redis.url().replace("redis://", "redis://bellpull:secret@");

    let Some(shared) = Shared::new(None).await else { return };
    let join = |name| {
        let redis_url = Some(Secret::new(url.clone()));
        shared.hub(name, move |config| config.redis_url = redis_url)
    };
    let (a, b) = (join("a").await, join("b").await);
    for hub in [&a, &b] {
        broker_is(hub.address(), "ok").await;
    }
    let (ada, carl) = (a.user("ada", "admin").await, a.user("carl", "client").await);
    // Messages, a limit over both nodes, a ticket that is good once, presence.
    let (status, project) =
        a.post(&ada, "/api/projects/", json!({"key": "PRO", "name": "Project"})).await;
    assert_eq!(status, 201, "{project}");
    let path = format!("/ws/projects/{}/presence/?token={}", project["id"], ada.token);
    let mut seen = Socket::open_at(b.address(), &path).await;
    seen.next().await;
    let mut socket = Socket::established(&a, &ada, "").await;
    b.ticket(&carl, "Over Redis").await;
    assert!(socket.next().await.to_string().contains("Over Redis"));
    let (_, ticket) = a.post(&ada, "/api/auth/ws-ticket/", json!({})).await;
    let ticketed = format!("/ws/notifications/?ticket={}", ticket["ticket"].as_str().unwrap());
    Socket::open_at(b.address(), &ticketed).await.next().await;
    let wrong = json!({"username": "ada", "password": "no"});
    let refused = a.request(reqwest::Method::POST, "/api/auth/login/").json(&wrong).send().await;
    assert_eq!(refused.unwrap().status(), 401);
    a.stop().await;
    b.stop().await;
    assert_eq!(operator.ask(&["ACL", "LOG"]).await, "*0\r\n", "what was refused");
}
