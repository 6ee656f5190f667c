//! What is said on an open socket, well and badly.

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{Raw, Socket, frame, handshake, raise};
use crate::support::Hub;

#[tokio::test]
async fn a_ping_is_answered_with_its_timestamp_or_the_time() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let mut raw = Raw::established(&hub, &ada).await;
    raw.send(&frame(0x81, br#"{"type":"ping","timestamp":1735036200000.50}"#)).await;
    let wanted = br#"{"type":"pong","timestamp":1735036200000.50}"#;
    assert_eq!(raw.next_frame().await, Some((0x81, wanted.to_vec())), "as it was written");
    let before = jiff::Timestamp::now().as_millisecond();
    raw.send(&frame(0x81, br#"{"type":"ping"}"#)).await;
    let pong = raw.next_text().await;
    let after = jiff::Timestamp::now().as_millisecond();
    assert_eq!(pong["type"], "pong");
    assert!((before..=after).contains(&pong["timestamp"].as_i64().unwrap()), "{pong}");
}

#[tokio::test]
async fn a_bad_message_is_answered_and_the_socket_stays_open() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let mut socket = Socket::established(&hub, &ada, "").await;
    let deep = format!(r#"{{"type":"ping","a":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    for (text, code) in [
        ("ping", "invalid_json"),
        ("", "invalid_json"),
        ("[1]", "not_an_object"),
        ("{}", "missing_type"),
        (r#"{"type":7}"#, "unknown_type"),
        (r#"{"type":"subscribe"}"#, "unknown_type"),
        (r#"{"type":"ping","type":"ping"}"#, "duplicate_key"),
        (&deep, "too_deep"),
    ] {
        socket.say(text).await;
        let error = socket.next().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{text}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{text}");
    }
    socket.0.send(Message::binary(vec![0xff])).await.unwrap();
    assert_eq!(socket.next().await["code"], "binary_not_supported");
    socket.expect_nothing().await;
}

#[tokio::test]
async fn fragments_and_control_frames_between_them() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let mut raw = Raw::established(&hub, &ada).await;
    let said = [
        frame(0x01, "{\"type\":\"ping\",\"timestamp\":\"gr\u{fc}".as_bytes()),
        frame(0x89, b"between"),
        frame(0x00, b""),
        frame(0x8a, b"unasked"),
        frame(0x00, b"\xc3"),
        frame(0x80, b"\x9f\"}"),
    ]
    .concat();
    for bytes in said.chunks(3) {
        raw.send(bytes).await;
    }
    assert_eq!(raw.next_frame().await, Some((0x8a, b"between".to_vec())));
    assert_eq!(raw.next_text().await, json!({"type": "pong", "timestamp": "gr\u{fc}\u{df}"}));
}

#[tokio::test]
async fn what_comes_together_with_the_handshake_is_heard() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let mut raw = Raw::connect(hub.address()).await;
    let request = handshake(&format!("/ws/notifications/?token={}", ada.token), &[]);
    let ping = frame(0x81, br#"{"type":"ping","timestamp":1}"#);
    let (begun, rest) = ping.split_at(5);
    raw.send(&[request.as_bytes(), begun].concat()).await;
    assert_eq!(raw.answer().await.status, 101);
    raw.send(rest).await;
    assert_eq!(raw.next_text().await["type"], "connection_established");
    assert_eq!(raw.next_text().await, json!({"type": "pong", "timestamp": 1}));
}

#[tokio::test]
async fn a_close_is_answered_with_its_code() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    for code in [1000_u16, 1001, 3000, 4999] {
        let mut socket = Socket::established(&hub, &ada, "").await;
        let close = CloseFrame { code: code.into(), reason: "bye".into() };
        socket.0.close(Some(close)).await.unwrap();
        assert_eq!(socket.next_close().await.0, code);
    }
    let mut raw = Raw::established(&hub, &ada).await;
    raw.send(&frame(0x88, b"")).await;
    assert_eq!(raw.next_close().await, 1000);
}

#[tokio::test]
async fn what_breaks_the_protocol_closes_the_socket() {
    let hub = Hub::start_with(|config| config.ws.max_frame = 1_000).await;
    let ada = hub.user("ada", "admin").await;
    let long = vec![b'x'; 1_001];
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("not masked", vec![0x81, 2, b'{', b'}'], 1002),
        ("reserved bit", frame(0xc1, b"{}"), 1002),
        ("unknown opcode", frame(0x83, b"{}"), 1002),
        ("control frame in pieces", frame(0x09, b"x"), 1002),
        ("control frame too long", frame(0x89, &[0; 126]), 1002),
        ("nothing to continue", frame(0x80, b"{}"), 1002),
        ("message in a message", [frame(0x01, b"{"), frame(0x81, b"{}")].concat(), 1002),
        ("length of 64 bits too large", [vec![0x81, 0xff], vec![0xff; 8]].concat(), 1002),
        ("length not minimal", vec![0x81, 0xfe, 0, 1, 0, 0, 0, 0, b'x'], 1002),
        ("close of one byte", frame(0x88, b"x"), 1002),
        ("close with 1005", frame(0x88, &1005_u16.to_be_bytes()), 1002),
        ("close with a bad reason", frame(0x88, b"\x03\xe8\xff"), 1002),
        ("not UTF-8", frame(0x81, b"\xff"), 1007),
        ("not UTF-8 over fragments", [frame(0x01, b"\xc3"), frame(0x80, b"x")].concat(), 1007),
        ("too long, at its head alone", frame(0x81, &long)[..4].to_vec(), 1009),
        ("too long in all", [frame(0x01, &long[1..]), frame(0x80, b"x")].concat(), 1009),
    ];
    for (what, bytes, code) in cases {
        let mut raw = Raw::established(&hub, &ada).await;
        // The client goes on sending: it must read the reason all the same, not a reset.
        raw.send(&[bytes, frame(0x81, b"{}").repeat(50)].concat()).await;
        assert_eq!(raw.next_close().await, code, "{what}");
    }
    let mut raw = Raw::established(&hub, &ada).await;
    let whole = format!(r#"{{"type":"ping","timestamp":"{}"}}"#, "x".repeat(970));
    assert!(whole.len() <= 1_000);
    raw.send(&frame(0x81, whole.as_bytes())).await;
    assert_eq!(raw.next_text().await["type"], "pong", "as long as allowed");
}

#[tokio::test]
async fn a_notification_looks_as_its_family_wants_it() {
    let hub = Hub::start().await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    let mut raw = Raw::established(&hub, &ada).await;
    let ticket = raise(&hub, &carl, "Homepage not loading").await;
    let (first, payload) = raw.next_frame().await.unwrap();
    assert_eq!(first, 0x81);
    let text = String::from_utf8(payload).unwrap();
    let seen: Value = serde_json::from_str(&text).unwrap();
    let (at, id) = (seen["timestamp"].as_str().unwrap(), seen["id"].as_i64().unwrap());
    let created_at = seen["ticket"]["created_at"].as_str().unwrap();
    assert!(at.ends_with('Z') && created_at.ends_with('Z'), "{text}");
    let project = seen["ticket"]["project_name"].as_str().unwrap();
    assert_eq!(
        text,
        format!(
            r#"{{"notification_type":"ticket_created","message":"New High priority ticket created: Homepage not loading","ticket":{{"id":{ticket},"title":"Homepage not loading","priority":"HIGH","priority_display":"High","category":"BUG","status":"NEW","created_by":"carl","project_name":"{project}","created_at":"{created_at}"}},"timestamp":"{at}","id":{id},"seq":1}}"#
        )
    );
}
