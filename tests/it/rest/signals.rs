//! The last hour of a node, and its settings, for operators.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Hub;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_signals_of_the_last_hour_follow_what_happens() {
    bellpull::telemetry::init_metrics();
    let hub = Hub::start().await;
    let (root, ada) = (hub.user("root", "super_admin").await, hub.user("ada", "admin").await);
    assert_eq!(hub.get(&ada, "/api/operator/signals/").await.0, 403);
    let begun = Instant::now();
    let (mut titles, mut last) = (0, Value::Null);
    loop {
        assert!(begun.elapsed() < Duration::from_secs(40), "{last}");
        titles += 1;
        hub.ticket(&ada, &format!("Ticket {titles}")).await;
        let (status, found) = hub.get(&root, "/api/operator/signals/").await;
        assert_eq!((status, &found["every_s"]), (200, &5.into()), "{found}");
        let results = found["results"].as_array().unwrap();
        last = results.last().cloned().unwrap_or_default();
        if results.iter().any(|one| one["ticket_changes"].as_f64() > Some(0.0)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for (name, least) in [("commits", 0.1), ("requests", 0.1), ("database", 4_096.0)] {
        assert!(last[name].as_f64() > Some(least), "{name}: {last}");
    }
    let path = format!("/api/operator/signals/?after={}", last["at"]);
    let (_, newer) = hub.get(&root, &path).await;
    let at = |one: &Value| one["at"].as_i64();
    assert!(newer["results"].as_array().unwrap().iter().all(|one| at(one) > at(&last)));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_in_force_are_shown_without_secrets() {
    let hub = Hub::start().await;
    let (root, ada) = (hub.user("root", "super_admin").await, hub.user("ada", "admin").await);
    assert_eq!(hub.get(&ada, "/api/operator/settings/").await.0, 403);
    let (status, found) = hub.get(&root, "/api/operator/settings/").await;
    assert_eq!(status, 200, "{found}");
    let results = found["results"].as_array().unwrap();
    let of = |key: &str| results.iter().find(|one| one["key"] == key).unwrap();
    assert_eq!(of("replay.limit")["default"], "500");
    assert_eq!(of("smtp.url")["value"], Value::Null);
    assert!(results.len() > 50);
    assert_eq!(hub.get(&root, "/api/operator/settings/?node=missing").await.0, 404);
    hub.stop().await;
}
