//! The disk is full: what was acknowledged stays, what was not is refused, sockets live on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bellpull::config::Config;
use bellpull::storage::StoreOptions;
use bellpull::storage::sqlite::SqliteStore;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Hub, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("full.db").display());
    let small = StoreOptions { max_page_count: Some(100), exclusive: true, ..Default::default() };
    let on_file = |config: &mut Config| config.database_url = database.clone().into();
    let hub = Hub::start_on(on_file, small).await;
    let admin = hub.user("admin", "admin").await;
    let client = hub.user("client", "client").await;
    let url = format!("ws://{}/ws/notifications/?token={}", hub.address(), admin.token);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    socket.next().await.unwrap().unwrap();

    let mut acknowledged = Vec::new();
    let refused = loop {
        let body = json!({"title": "Another one", "description": "x".repeat(2_000)});
        let (status, answer) = hub.post(&client, "/api/tickets/", body).await;
        if status != 201 {
            break (status, answer);
        }
        acknowledged.push(answer["id"].as_i64().unwrap());
        assert!(acknowledged.len() < 2_000, "the disk never was full");
    };
    assert_eq!(refused.0, 503, "{}", refused.1);
    assert!(!refused.1.to_string().to_lowercase().contains("sqlite"), "{}", refused.1);
    assert!(!acknowledged.is_empty());

    // The socket was shown exactly the acknowledged ones, and still answers.
    socket.send(Message::text(r#"{"type":"ping","timestamp":1}"#)).await.unwrap();
    let mut shown = Vec::new();
    loop {
        let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["type"] == "pong" {
            break;
        }
        shown.push(frame["ticket"]["id"].as_i64().unwrap());
    }
    assert_eq!(shown, acknowledged);
    let (status, _) = hub.get(&client, "/api/tickets/").await;
    assert_eq!(status, 200, "reading goes on");
    let (status, body) = hub.get(&client, "/readyz").await;
    assert_eq!((status, &body["checks"]["store"]), (503, &json!("failing")), "{body}");
    hub.stop().await;

    // With room again, all is there and work goes on.
    let hub = Hub::start_on(on_file, StoreOptions { exclusive: true, ..Default::default() }).await;
    let (_, page) = hub.get(&admin, "/api/notifications/?page_size=1").await;
    assert_eq!(page["count"], acknowledged.len());
    let next = hub.ticket(&client, "There is room").await;
    assert!(!acknowledged.contains(&next));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_hub_finds_out_by_itself_that_its_disk_is_full_and_that_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("full.db").display());
    let exclusive = StoreOptions { exclusive: true, ..Default::default() };
    let store = Arc::new(SqliteStore::open(&database, exclusive).await.unwrap());
    let hub = Hub::start_on_store(store.clone()).await;
    let admin = hub.user("admin", "admin").await;
    let readiness = async || hub.get(&admin, "/readyz").await;
    assert_eq!(readiness().await.0, 200);
    store.limit_pages(1).await.unwrap();
    // Smaller than it is it cannot become: the last free pages are filled first.
    let began = Instant::now();
    loop {
        let body = json!({"title": "Another one", "description": "x".repeat(9_000)});
        if hub.post(&admin, "/api/tickets/", body).await.0 != 201 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "the disk never was full");
    }
    let (status, body) = readiness().await;
    assert_eq!((status, &body["ready"]), (503, &json!(false)), "{body}");
    store.limit_pages(1_000_000).await.unwrap();
    // There are no writes: the probe has to write.
    while readiness().await.0 != 200 {
        assert!(began.elapsed() < PATIENCE, "it never is ready again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    hub.stop().await;
}
