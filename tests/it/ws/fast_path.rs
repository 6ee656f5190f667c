//! Handshakes as a connection's first request, and on a connection that is kept alive: answered in
//! two places, by the same rules.

use serde_json::{Value, json};

use super::{Answer, PATIENCE, Raw, Socket, handshake};
use crate::support::{Hub, Person};

/// What both answers have to have in common.
type Said = (u16, Option<String>, Option<String>, Value);

fn said(answer: &Answer) -> Said {
    let header = |name| answer.header(name).map(str::to_owned);
    let (accept, protocol) = (header("sec-websocket-accept"), header("sec-websocket-protocol"));
    (answer.status, accept, protocol, answer.body.clone())
}

/// A connection on which a request was answered already.
async fn kept_alive(hub: &Hub) -> Raw {
    let mut raw = Raw::connect(hub.address()).await;
    let answer = raw.request("GET /healthz HTTP/1.1\r\nHost: hub.example.com\r\n\r\n").await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    raw
}

fn paths(ada: &Person) -> Vec<(String, u16)> {
    let token = &ada.token;
    vec![
        (format!("/ws/notifications/?token={token}"), 101),
        (format!("/ws/notifications?token={token}&dialect=academy"), 101),
        (format!("/ws/projects/1/tickets/?token={token}"), 101),
        (format!("/ws/?token={token}"), 101),
        ("/ws/".to_owned(), 101), // to be told so by a close code
        ("/ws/notifications/".to_owned(), 403),
        (format!("/ws/notifications/?token={token}&dialect=unknown"), 400),
        (format!("/ws/notifications/?token={token}&since=x"), 400),
        (format!("/ws/projects/99/presence/?token={token}"), 403),
        (format!("/ws/projects/1/nothing/?token={token}"), 404),
        (format!("/ws/elsewhere/?token={token}"), 404),
    ]
}

#[tokio::test]
async fn a_fresh_connection_and_one_that_is_kept_alive_are_told_the_same() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "developer").await;
    for (path, status) in paths(&ada) {
        let request = handshake(&path, &[("Sec-WebSocket-Protocol", "academy, bellpull.v1")]);
        let mut fresh = Raw::connect(hub.address()).await;
        let mut kept = kept_alive(&hub).await;
        let answers = (fresh.request(&request).await, kept.request(&request).await);
        assert_eq!(said(&answers.0), said(&answers.1), "{path}");
        assert_eq!(answers.0.status, status, "{path}: {}", answers.0.head);
        if status == 101 {
            let (mut one, mut other) =
                (fresh.next_frame().await.unwrap(), kept.next_frame().await.unwrap());
            assert_eq!(one.0, other.0, "{path}");
            for (_, payload) in [&mut one, &mut other] {
                // A welcome names its session.
                let mut frame: Value = serde_json::from_slice(payload).unwrap_or_default();
                if let Some(session) = frame.get_mut("session") {
                    *session = json!("");
                    *payload = frame.to_string().into();
                }
            }
            assert_eq!(one, other, "{path}");
        }
    }
}

#[tokio::test]
async fn a_head_may_come_in_pieces_and_frames_right_behind_it() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let request = handshake(&format!("/ws/notifications/?token={}", ada.token), &[]);
    let ping = super::frame(0x81, br#"{"type":"ping","timestamp":7}"#);
    let bytes = [request.as_bytes(), &ping].concat();
    for at in [1, 5, 8, request.len() - 1, request.len(), request.len() + 3] {
        let mut raw = Raw::connect(hub.address()).await;
        let (first, rest) = bytes.split_at(at);
        raw.send(first).await;
        tokio::task::yield_now().await;
        raw.send(rest).await;
        let answer = tokio::time::timeout(PATIENCE, raw.answer()).await.expect("an answer");
        assert_eq!(answer.status, 101, "{at}: {}", answer.head);
        assert_eq!(raw.next_text().await["type"], "connection_established", "{at}");
        assert_eq!(raw.next_text().await, json!({"type": "pong", "timestamp": 7}), "{at}");
    }
}

#[tokio::test]
async fn what_only_begins_like_a_handshake_is_answered_over_http() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let long = "x".repeat(40 * 1024);
    for (request, status) in [
        ("GET /ws/notifications/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 426),
        ("GET /wsx HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 404),
        ("GET /ws/ HTTP/1.1\r\nbad header\r\n\r\n".to_owned(), 400),
        ("POST /ws/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_owned(), 405),
        (handshake(&format!("/ws/notifications/?token={long}"), &[]), 431),
    ] {
        let answer = Raw::connect(hub.address()).await.request(&request).await;
        let line = request.lines().next().unwrap_or_default();
        assert_eq!(answer.status, status, "{}: {}", &line[..line.len().min(60)], answer.head);
    }
    // And the next one is served as ever.
    Socket::established(&hub, &ada, "").await;
}
