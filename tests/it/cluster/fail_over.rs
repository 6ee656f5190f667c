//! A standby that lags is promoted behind the same address: numbers that clients hold are not given
//! out again.

use std::time::Duration;

use bellpull::config::{Config, Secret};
use bellpull_domain::node::NodeName;
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::until;
use crate::support::line::Line;
use crate::support::services::services;
use crate::support::standby::Standby;
use crate::support::{Hub, Person};
use crate::ws::Socket;

/// Sends a notification; its number.
async fn send(hub: &Hub, admin: &Person, to: &Person, title: &str) -> u16 {
    let body = json!({"recipients": [to.id], "title": title, "message": "A text"});
    hub.post(admin, "/api/notifications/", body).await.0
}

/// The next frame that has this title.
async fn shows(socket: &mut Socket, title: &str) -> Value {
    loop {
        let frame = socket.next().await;
        let text = frame.to_string();
        if text.contains(title) {
            return frame;
        }
        assert!(!text.contains("New"), "{title} comes next, not {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_after_a_fail_over_is_shown_to_open_sockets_once() {
    let Some(mut services) = services().await else { return };
    let primary: PgConnectOptions = services.postgres.url().parse().unwrap();
    let replication = Line::to(services.postgres.address()).await;
    let followed = primary.clone().host("127.0.0.1").port(replication.address().port());
    let standby = Standby::of(&followed).await;
    let reached = primary.clone().host("127.0.0.1").port(standby.port()).to_url_lossy();
    let refused = bellpull::storage::look_at(reached.as_str(), 0).await.unwrap_err();
    assert!(refused.contains("the server is a standby"), "{refused}");
    let options = bellpull::storage::StoreOptions::default();
    let refused = bellpull::storage::open(reached.as_str(), options).await.unwrap_err();
    assert!(refused.to_string().contains("the server is a standby"), "{refused}");
    let line = Line::to(services.postgres.address()).await;
    let url = primary.clone().host("127.0.0.1").port(line.address().port()).to_url_lossy();
    let redis = services.redis.url();
    let configure = |name: &'static str| {
        let (url, redis) = (url.to_string(), redis.clone());
        move |config: &mut Config| {
            config.database_url = url.into();
            config.node = NodeName::parse(name);
            config.redis_url = Some(Secret::new(redis));
        }
    };
    let a = Box::pin(Hub::start_with(configure("a"))).await;
    let b = Box::pin(Hub::start_with(configure("b"))).await;
    let (ann, bob) = (a.user("ann", "admin").await, a.user("bob", "client").await);
    let (mut v1, welcome) = Socket::v1(&a, &bob, "").await;
    let mut incident = Socket::established(&b, &bob, "").await;
    assert_eq!(send(&a, &ann, &bob, "Old 1").await, 202);
    shows(&mut v1, "Old 1").await;
    shows(&mut incident, "Old 1").await;
    let mut admin = primary.connect().await.unwrap();
    standby.catch_up(&mut admin).await;
    // The standby lags: these are lost, and the sockets have been shown them.
    replication.silence();
    let mut last = Value::Null;
    for nth in 1..=3 {
        let title = format!("Lost {nth}");
        assert_eq!(send(&a, &ann, &bob, &title).await, 202);
        last = shows(&mut v1, &title).await;
        shows(&mut incident, &title).await;
    }
    services.postgres.kill().await.unwrap();
    replication.cut();
    standby.promote().await;
    line.lead_to(([127, 0, 0, 1], standby.port()).into());
    line.cut();
    let accepted = async || send(&a, &ann, &bob, "New 0").await == 202;
    until(accepted, "the promoted server").await;
    for nth in 1..=3 {
        let hub = if nth == 2 { &a } else { &b };
        assert_eq!(send(hub, &ann, &bob, &format!("New {nth}")).await, 202);
    }
    for nth in 0..=3 {
        let title = format!("New {nth}");
        shows(&mut incident, &title).await;
        let frame = shows(&mut v1, &title).await;
        assert!(frame["seq"].as_i64() > Some(1_000_000), "{frame}");
    }
    incident.expect_nothing().await;

    // A client of before is told to begin anew; one that is new sees all there is.
    let held = welcome["epoch"].as_str().unwrap();
    let more = format!("&since={}&epoch={held}", last["seq"]);
    let (_again, again) = Socket::v1(&b, &bob, &more).await;
    assert_eq!(again["resumed"], false, "{again}");
    assert_ne!(again["epoch"], welcome["epoch"]);
    let (_, page) = a.get(&bob, "/api/notifications/").await;
    assert_eq!(page["count"], 5, "{page}");
    // A position of before is behind everything that came after.
    let mut since = Socket::established(&a, &bob, &format!("&since={}", last["seq"])).await;
    for nth in 0..=3 {
        shows(&mut since, &format!("New {nth}")).await;
    }
    since.expect_nothing().await;
    drop((a, b));
    tokio::time::sleep(Duration::from_millis(10)).await;
}
