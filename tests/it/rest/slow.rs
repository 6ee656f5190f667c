//! The slow log, for operators.

use std::time::{Duration, Instant};

use bellpull_port::slow::SlowBounds;
use serde_json::{Value, json};

use crate::support::Hub;
use crate::ws::Socket;

/// What everything takes.
const MIN: Duration = Duration::from_nanos(1);

fn parts(entry: &Value) -> Vec<&str> {
    entry["waited"].as_array().unwrap().iter().map(|one| one["part"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_requests_commits_and_frames_are_listed_with_what_they_waited_for() {
    let hub = Hub::start_with(|config| {
        config.slow = SlowBounds { request: Some(MIN), commit: Some(MIN), frame: Some(MIN) };
    })
    .await;
    let (root, ada) = (hub.user("root", "super_admin").await, hub.user("ada", "admin").await);
    let cleo = hub.user("cleo", "client").await;
    assert_eq!(hub.get(&ada, "/api/operator/slow/").await.0, 403);
    let mut socket = Socket::established(&hub, &ada, "").await;
    hub.ticket(&cleo, "The printer").await;
    socket.next().await;

    // The frame is noted just after it is written.
    let begun = Instant::now();
    let found = loop {
        let (status, found) = hub.get(&root, "/api/operator/slow/?limit=500").await;
        assert_eq!(status, 200, "{found}");
        let listed = found["results"].as_array().unwrap();
        if listed.iter().any(|one| one["kind"] == "frame") {
            break found;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{found}");
        tokio::task::yield_now().await;
    };
    let listed = found["results"].as_array().unwrap();
    let first = |kind: &str, what: &str| {
        let is_it = |one: &&Value| one["kind"] == kind && one["what"].as_str() == Some(what);
        listed.iter().find(is_it).unwrap_or_else(|| panic!("{kind} {what} in {found}"))
    };
    let raised = first("request", "POST /api/tickets/");
    assert_eq!((&raised["status"], &raised["trace"]), (&json!(201), &Value::Null));
    // Raised in its request's own task, or by an actor.
    let waited = parts(raised);
    assert!(waited.contains(&"writer") || waited.contains(&"actor"), "{raised}");
    assert!(waited.contains(&"handler"));
    let sum: f64 =
        raised["waited"].as_array().unwrap().iter().filter_map(|one| one["ms"].as_f64()).sum();
    assert!((sum - raised["took_ms"].as_f64().unwrap()).abs() < 0.01, "{raised}");
    let commit = first("commit", "1 write");
    assert_eq!(parts(commit), ["queue", "locks", "statements", "commit"]);
    let frame = first("frame", &format!("user/{}", ada.id));
    assert_eq!(parts(frame), ["mailbox", "write"]);
    let ids: Vec<u64> = listed.iter().map(|one| one["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first: {ids:?}");

    let (_, commits) = hub.get(&root, "/api/operator/slow/?kind=commit&limit=2").await;
    let commits = commits["results"].as_array().unwrap();
    assert_eq!(commits.len(), 2);
    assert!(commits.iter().all(|one| one["kind"] == "commit"));
    for bad in ["kind=x", "limit=-1"] {
        assert_eq!(hub.get(&root, &format!("/api/operator/slow/?{bad}")).await.0, 400, "{bad}");
    }
    assert_eq!(hub.get(&root, "/api/operator/slow/?node=missing").await.0, 404);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_below_its_bound_or_has_none_is_not_listed() {
    let hub = Hub::start_with(|config| {
        let long = Some(Duration::from_secs(60));
        config.slow = SlowBounds { request: long, commit: None, frame: long };
    })
    .await;
    let (root, cleo) = (hub.user("root", "super_admin").await, hub.user("cleo", "client").await);
    hub.ticket(&cleo, "The printer").await;
    let (_, found) = hub.get(&root, "/api/operator/slow/").await;
    assert_eq!(found["results"], json!([]));
    let bounds = json!([
        {"kind": "request", "above_ms": 60_000, "total": 0},
        {"kind": "commit", "above_ms": null, "total": 0},
        {"kind": "frame", "above_ms": 60_000, "total": 0},
    ]);
    assert_eq!(found["bounds"], bounds);
    hub.stop().await;
}
