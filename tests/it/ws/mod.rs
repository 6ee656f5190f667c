//! Sockets from outside: a foreign library as the good client, raw bytes as the bad one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests fail as tests do"
)]

mod confirmed;
mod devices;
mod doors;
mod fast_path;
mod frames;
mod gapless;
mod handshake;
mod limits;
mod nodes;
mod notes;
mod resume;
mod rights;
mod slow;
mod streams;
mod tickets;
mod v1;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Hub, Person};

/// How long anything may take: long enough for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// The foreign library's socket.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Opens one with the person's token in the URL; `more` is the rest of the query.
    pub(crate) async fn open(hub: &Hub, person: &Person, more: &str) -> Self {
        let path = format!("/ws/notifications/?token={}{more}", person.token);
        Self::open_at(hub.address(), &path).await
    }

    /// Opens one at a path; its query is behind it already.
    pub(crate) async fn open_at(address: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let handshake = tokio_tungstenite::client_async(format!("ws://{address}{path}"), stream);
        Self(timeout(PATIENCE, handshake).await.expect("a handshake").unwrap().0)
    }

    /// Opens one for everything; and its welcome.
    pub(crate) async fn v1(hub: &Hub, person: &Person, more: &str) -> (Self, Value) {
        Self::v1_at(hub.address(), &person.token, more).await
    }

    /// The same of any hub.
    pub(crate) async fn v1_at(address: SocketAddr, token: &str, more: &str) -> (Self, Value) {
        let mut socket = Self::open_at(address, &format!("/ws/?token={token}{more}")).await;
        let welcome = socket.next().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        (socket, welcome)
    }

    /// Opens one, and has read its first frame.
    pub(crate) async fn established(hub: &Hub, person: &Person, more: &str) -> Self {
        let mut socket = Self::open(hub, person, more).await;
        let wanted = json!({
            "type": "connection_established",
            "message": format!("Connected successfully as {}", person.username),
            "user_id": person.id,
        });
        assert_eq!(socket.next().await, wanted);
        socket
    }

    async fn next_message(&mut self) -> Message {
        timeout(PATIENCE, self.0.next()).await.expect("a frame").expect("no end").unwrap()
    }

    /// The next text frame; pings are passed over.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match self.next_message().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("a text was wanted, not {other:?}"),
            }
        }
    }

    /// The code and reason of the closing frame; texts and pings before it are passed over.
    pub(crate) async fn next_close(&mut self) -> (u16, String) {
        loop {
            match self.next_message().await {
                Message::Close(Some(close)) => {
                    return (close.code.into(), close.reason.to_string());
                }
                Message::Text(_) | Message::Ping(_) => {}
                other => panic!("a close was wanted, not {other:?}"),
            }
        }
    }

    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// Nothing comes but the answer to a ping: what would have come would have come before.
    pub(crate) async fn expect_nothing(&mut self) {
        self.say(r#"{"type":"ping","timestamp":"nothing"}"#).await;
        assert_eq!(self.next().await, json!({"type": "pong", "timestamp": "nothing"}));
    }

    /// Ends the connection by a reset.
    fn reset(self) {
        let at_once = Some(Duration::ZERO);
        socket2::SockRef::from(self.0.get_ref()).set_linger(at_once).unwrap();
    }

    /// Closes, and waits until the server has too.
    pub(crate) async fn close(mut self) {
        self.0.close(None).await.unwrap();
        while let Some(Ok(_)) = timeout(PATIENCE, self.0.next()).await.expect("the end") {}
    }
}

/// A connection on which anything can be sent.
struct Raw(TcpStream);

/// The answer to a handshake.
struct Answer {
    status: u16,
    head: String,
    /// Where the answer is no upgrade.
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// A connection that takes little at once.
    async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    /// An open socket of the person's, past its first frame.
    async fn established(hub: &Hub, person: &Person) -> Self {
        let mut raw = Self::connect(hub.address()).await;
        let answer = raw.handshake(&format!("?token={}", person.token), &[]).await;
        assert_eq!(answer.status, 101, "{}", answer.head);
        assert_eq!(raw.next_text().await["type"], "connection_established");
        raw
    }

    async fn handshake(&mut self, query: &str, headers: &[(&str, &str)]) -> Answer {
        let request = handshake(&format!("/ws/notifications/{query}"), headers);
        self.request(&request).await
    }

    async fn request(&mut self, request: &str) -> Answer {
        self.send(request.as_bytes()).await;
        timeout(PATIENCE, self.answer()).await.expect("an answer")
    }

    async fn answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("a whole head"));
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Value::Null };
        if let Some(length) = answer.header("content-length") {
            let mut body = vec![0; length.parse().unwrap()];
            self.0.read_exact(&mut body).await.unwrap();
            answer.body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        }
        answer
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// A server's frame: its first byte and its payload. `None` at the end, which is no reset.
    async fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let read = async {
            let first = match self.0.read_u8().await {
                Ok(first) => first,
                Err(err) if err.kind() == std::io::ErrorKind::UnexpectedEof => return None,
                Err(err) => panic!("{err}"),
            };
            let length = match self.0.read_u8().await.unwrap() {
                126 => u64::from(self.0.read_u16().await.unwrap()),
                127 => self.0.read_u64().await.unwrap(),
                short @ 0..126 => u64::from(short),
                masked => panic!("a server's frame is not masked: {masked:x}"),
            };
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut payload).await.unwrap();
            Some((first, payload))
        };
        timeout(PATIENCE, read).await.expect("a frame or the end")
    }

    async fn next_text(&mut self) -> Value {
        let (first, payload) = self.next_frame().await.expect("a frame");
        assert_eq!(first, 0x81, "{}", String::from_utf8_lossy(&payload));
        serde_json::from_slice(&payload).unwrap()
    }

    /// The code of the closing frame, after which there is nothing; texts before are passed over.
    async fn next_close(&mut self) -> u16 {
        loop {
            let (first, payload) = self.next_frame().await.expect("a frame");
            match first {
                0x81 | 0x89 => {}
                0x88 => {
                    assert_eq!(self.next_frame().await, None);
                    return u16::from_be_bytes([payload[0], payload[1]]);
                }
                other => panic!("a close was wanted, not {other:x}"),
            }
        }
    }
}

/// The request of a good handshake, with more headers.
fn handshake(path: &str, headers: &[(&str, &str)]) -> String {
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "GET {path} HTTP/1.1\r\nHost: hub.example.com\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// A client's frame, masked; `first` is its first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0xa5, 0x01, 0xff, 0x3c];
    let mut out = vec![first];
    match payload.len() {
        short @ 0..126 => out.push(0x80 | u8::try_from(short).unwrap()),
        long @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
        huge => {
            out.push(0x80 | 127);
            out.extend(u64::try_from(huge).unwrap().to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// Raises a ticket, of which all admins but the caller hear; its id.
async fn raise(hub: &Hub, person: &Person, title: &str) -> i64 {
    let ticket = json!({"title": title, "priority": "HIGH", "category": "BUG"});
    let (status, body) = hub.post(person, "/api/tickets/", ticket).await;
    assert_eq!(status, 201, "{body}");
    body["id"].as_i64().unwrap()
}

/// A project that is closed to all but these, its maker and other admins; its id.
async fn closed_project(hub: &Hub, maker: &Person, members: &[&Person]) -> i64 {
    let project = json!({"key": "WEB", "name": "Main Website"});
    let (status, body) = hub.post(maker, "/api/projects/", project).await;
    assert_eq!(status, 201, "{body}");
    let id = body["id"].as_i64().unwrap();
    for member in members {
        let path = format!("/api/projects/{id}/members/");
        let (status, body) = hub.post(maker, &path, json!({"user": member.id})).await;
        assert_eq!(status, 201, "{body}");
    }
    id
}
