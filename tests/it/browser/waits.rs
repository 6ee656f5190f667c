//! When the hub says how long to wait, the client waits so long: before it asks again, and before
//! it comes back.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::client::{PATIENCE, Tab, open_hub};

/// Far above what the page would wait by itself (50 ms at most, and then 100), so that it is not by
/// chance that it waits so long.
const WAIT: Duration = Duration::from_millis(1_500);

/// A browser's clock has whole milliseconds, and may round.
const ROUNDING: Duration = Duration::from_millis(5);

/// A hub of which the test says each word: a real one says how long to wait when it is stopped or
/// has too much to do.
struct Script {
    listener: TcpListener,
}

/// A socket of it.
struct Line(WebSocketStream<TcpStream>);

impl Script {
    async fn begin() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.listener.local_addr().unwrap())
    }

    /// The next socket, greeted; and when it came.
    async fn greet(&self) -> (Line, Instant) {
        self.greet_as("admin").await
    }

    async fn greet_as(&self, role: &str) -> (Line, Instant) {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        let (stream, _) = accepted.expect("the page comes").unwrap();
        let at = Instant::now();
        #[expect(clippy::result_large_err, reason = "the library's")]
        let choose = |_: &Request, mut answer: Response| {
            let name = "bellpull.v1".parse().unwrap();
            answer.headers_mut().insert("sec-websocket-protocol", name);
            Ok(answer)
        };
        let mut line = Line(accept_hdr_async(stream, choose).await.unwrap());
        line.say(json!({"type": "welcome", "user": {"id": 1, "username": "ada", "role": role},
            "epoch": "e", "last_seq": 0, "unread_count": 3, "heartbeat_ms": 25_000}))
            .await;
        (line, at)
    }
}

impl Line {
    async fn say(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next frame of that type; and when it came.
    async fn hear(&mut self, kind: &str) -> (Value, Instant) {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.expect("the page says something");
            let Message::Text(text) = message.unwrap().unwrap() else { continue };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame["type"] == kind {
                return (frame, Instant::now());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_when_to_go_on_waits_and_asks_again() {
    let (hub, script) = (open_hub().await, Script::begin().await);
    let options = json!({"url": script.url()});
    let Some(mut tab) = Tab::open(&hub.base(), "any", options).await else { return };
    let (mut line, _) = script.greet().await;
    tab.live("websocket").await;
    tab.make(json!(["markRead", [7]]));
    let (asked, _) = line.hear("read").await;
    assert_eq!(asked["ids"], json!([7]));
    let wait_ms = WAIT.as_millis();
    let refused = Instant::now();
    line.say(json!({"type": "reply", "id": asked["id"], "ok": false, "code": "throttled",
        "message": "Too fast.", "retry_after_ms": wait_ms}))
        .await;
    let (again, at) = line.hear("read").await;
    assert!(at - refused + ROUNDING >= WAIT, "after {:?}", at - refused);
    assert_eq!(again, asked, "the same request, not another one");
    let mut passed = Vec::new();
    line.say(
        json!({"type": "reply", "id": asked["id"], "ok": true, "count": 1, "unread_count": 2}),
    )
    .await;
    let done = tab.next_with("done", &mut passed).await;
    assert_eq!(done["answer"], json!({"unreadCount": 2}));
    assert!(passed.iter().all(|said| said["failed"].is_null()), "{passed:?}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_when_to_come_back_does_not_come_before() {
    let (hub, script) = (open_hub().await, Script::begin().await);
    let options = json!({"url": script.url()});
    let Some(mut tab) = Tab::open(&hub.base(), "any", options).await else { return };
    let (mut line, _) = script.greet().await;
    tab.live("websocket").await;
    let reason = json!({"reason": "restarting", "retry_after_ms": WAIT.as_millis()}).to_string();
    let closed = Instant::now();
    let frame = CloseFrame { code: 1012.into(), reason: reason.into() };
    line.0.send(Message::Close(Some(frame))).await.unwrap();
    // To its end: until the hub lets go of the connection, a page does not know that it is closed.
    while line.0.next().await.is_some() {}
    drop(line);
    let (_line, at) = script.greet().await;
    assert!(at - closed + ROUNDING >= WAIT, "after {:?}", at - closed);
    let mut passed = Vec::new();
    while tab.next_with("state", &mut passed).await["state"] != "live" {}
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_role_has_changed_comes_back_at_once_with_the_new_one() {
    let (hub, script) = (open_hub().await, Script::begin().await);
    // By itself it would wait for most of a month.
    let options = json!({"url": script.url(),
        "backOffMs": {"base": 2_000_000_000, "cap": 2_000_000_000}});
    let Some(mut tab) = Tab::open(&hub.base(), "any", options).await else { return };
    let (mut line, _) = script.greet_as("client").await;
    let mut passed = Vec::new();
    let first = tab.next_with("role", &mut passed).await;
    assert_eq!((&first["state"], &first["role"]), (&json!("live"), &json!("client")));
    let frame = CloseFrame { code: 1012.into(), reason: "role changed".into() };
    line.0.send(Message::Close(Some(frame))).await.unwrap();
    while line.0.next().await.is_some() {}
    drop(line);
    let (_line, _) = script.greet_as("admin").await;
    while tab.next_with("role", &mut passed).await["role"] != "admin" {}
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_viewed_is_said_after_its_stream_is_told_on_each_line() {
    let (hub, script) = (open_hub().await, Script::begin().await);
    let options = json!({"url": script.url()});
    let Some(mut tab) = Tab::open(&hub.base(), "any", options).await else { return };
    // Both before the line stands.
    tab.make(json!(["subscribe", "project:1:presence"]));
    tab.make(json!(["viewing", "project:1:presence", 7]));
    for _ in 0..2 {
        let (mut line, _) = script.greet().await;
        let (asked, _) = line.hear("subscribe").await;
        line.say(json!({"type": "reply", "id": asked["id"], "ok": true})).await;
        let (viewed, _) = line.hear("ticket_viewing").await;
        assert_eq!((&viewed["stream"], &viewed["ticket_id"]), (&asked["stream"], &json!(7)));
        assert_eq!(
            tab.next_with("subscribed", &mut Vec::new()).await["subscribed"],
            asked["stream"]
        );
    }
    hub.stop().await;
}
