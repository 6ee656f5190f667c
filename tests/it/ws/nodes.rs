//! Sockets on two nodes that notify each other through a real Redis.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use super::Socket;
use crate::support::redis::Private;
use crate::support::{Hub, PATIENCE, answer};

/// Two nodes on one store and one Redis of their own.
struct Pair {
    a: Hub,
    b: Hub,
    redis: Private,
}

impl Pair {
    /// `None`: there is no Redis to start.
    async fn start() -> Option<Self> {
        let redis = Private::start(&[]).await?;
        let a = Box::pin(Hub::start_joined(None, "a", &redis.url())).await;
        let b = Box::pin(Hub::start_joined(Some(Arc::clone(a.store())), "b", &redis.url())).await;
        let pair = Self { a, b, redis };
        pair.both_say("ok").await;
        Some(pair)
    }

    /// Waits until both nodes call the broker this.
    async fn both_say(&self, state: &str) {
        for hub in [&self.a, &self.b] {
            let wait = async {
                while ready(hub).await["checks"]["broker"] != state {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(PATIENCE, wait).await.expect("the state of the broker");
        }
    }
}

async fn ready(hub: &Hub) -> Value {
    let (status, body) = answer(hub.request(Method::GET, "/readyz/")).await;
    assert_eq!((status, &body["ready"]), (200, &json!(true)), "{body}");
    body
}

#[tokio::test]
async fn a_ticket_of_one_node_reaches_a_socket_on_the_other_with_redis_and_without() {
    let Some(mut pair) = Pair::start().await else { return };
    let admin = pair.a.user("root", "admin").await;
    let carl = pair.a.user("carl", "client").await;
    let mut socket = Socket::established(&pair.b, &admin, "").await;
    pair.a.ticket(&carl, "First").await;
    assert!(socket.next().await.to_string().contains("First"));
    pair.redis.kill();
    pair.both_say("degraded").await;
    pair.a.ticket(&carl, "Second").await;
    assert!(socket.next().await.to_string().contains("Second"), "compared with the store");
    pair.redis.restart().await;
    pair.both_say("ok").await;
    pair.a.ticket(&carl, "Third").await;
    assert!(socket.next().await.to_string().contains("Third"));
    socket.expect_nothing().await;
}

#[tokio::test]
async fn an_account_that_is_deactivated_on_one_node_loses_its_sockets_on_the_other() {
    let Some(pair) = Pair::start().await else { return };
    let root = pair.a.user("root", "super_admin").await;
    let carl = pair.a.user("carl", "client").await;
    let mut socket = Socket::established(&pair.b, &carl, "").await;
    let path = format!("/api/users/{}/", carl.id);
    let (status, told) = pair.a.patch(&root, &path, json!({"is_active": false})).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(socket.next_close().await.0, 4403);
}
