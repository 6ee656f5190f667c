//! The family of clients that switches on `notification_type`, unmodified, in Chromium.

use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Browser;
use crate::support;

/// How long a browser may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves the page from an origin of its own, and hears what it logs.
async fn page() -> (String, mpsc::UnboundedReceiver<Value>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let log = move |body: String| {
        let _ = sender.send(serde_json::from_str(&body).unwrap());
        std::future::ready("")
    };
    let router = Router::new()
        .route("/", get(|| async { Html(include_str!("incident.html")) }))
        .route("/log", post(log));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (origin, receiver)
}

async fn next(log: &mut mpsc::UnboundedReceiver<Value>) -> Value {
    tokio::time::timeout(PATIENCE, log.recv()).await.expect("the page says something").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_front_end_works_unmodified() {
    let (origin, mut log) = page().await;
    let allowed = origin.clone();
    let hub = support::Hub::start_with(|config| config.http.allowed_origins = vec![allowed]).await;
    let admin = hub.user("john_admin", "admin").await;
    let client = hub.user("jane_client", "client").await;

    // One ticket before the page is open, so that it also hears a backlog.
    let ticket = json!({"title": "Homepage not loading", "priority": "HIGH", "category": "BUG"});
    let (status, first) = hub.post(&client, "/api/tickets/", ticket).await;
    assert_eq!(status, 201, "{first}");
    let socket = format!("ws://{}/ws/notifications/", hub.address());
    let url = format!("{origin}/?url={socket}&token={}", admin.token);
    let Some(browser) = Browser::open(&url) else { return };

    let greeting = next(&mut log).await;
    assert_eq!(greeting["connected"], "Connected successfully as john_admin");
    assert_eq!(greeting["user_id"], admin.id);
    // The answer to the ping and the backlog may come in either order.
    let mut heard = [next(&mut log).await, next(&mut log).await];
    heard.sort_by_key(|entry| entry["alert"].is_null());
    assert_eq!(heard[0]["alert"], "ticket_created");
    assert_eq!(heard[0]["ticket"]["id"], first["id"]);
    let shown = heard[0]["shown"].as_str().unwrap();
    let text = "High · Homepage not loading · \
                New High priority ticket created: Homepage not loading · ";
    assert!(shown.starts_with(text), "{shown}");
    assert_eq!(heard[1], json!({"pong": "number"}));

    let live = json!({"title": "Checkout broken", "priority": "CRITICAL"});
    hub.post(&client, "/api/tickets/", live).await;
    let alert = next(&mut log).await;
    assert_eq!(alert["alert"], "ticket_created");
    assert_eq!(alert["ticket"]["title"], "Checkout broken");
    assert_eq!(alert["ticket"]["created_by"], "jane_client");

    // The hub stops: the page learns the code for "come back".
    hub.stop().await;
    assert_eq!(next(&mut log).await, json!({"closed": 1012}));
    drop(browser);
}
