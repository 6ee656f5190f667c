//! A user in the demo: logs in and acts over REST, receives frames on a WebSocket.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastwebsockets::{FragmentCollector, Frame, OpCode, handshake};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// How long a frame may take before it counts as missing.
const FRAME_MAX: Duration = Duration::from_secs(5);

/// The rows of an inbox that are asked for at once.
const PAGE: usize = 100;

/// A user with an account, and a socket while connected.
pub(super) struct Person {
    pub(super) username: String,
    pub(super) full_name: String,
    pub(super) id: i64,
    /// The node that the socket is on, if there are several.
    pub(super) node: Option<String>,
    /// What happened while there was no socket: events and their tickets.
    pub(super) missed: Vec<(&'static str, i64)>,
    /// The last notification that the user knew before.
    pub(super) known: i64,
    /// The notifications received since, in their order.
    pub(super) heard: Vec<Entry>,
    /// The last notification that the user knows; a socket that names it receives what follows.
    pub(super) cursor: Option<i64>,
    base: String,
    token: String,
    http: reqwest::Client,
    socket: Option<FragmentCollector<TokioIo<Upgraded>>>,
}

/// A notification in an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) seq: i64,
    pub(super) id: i64,
}

impl Entry {
    /// What a frame or a row of the inbox contains; `None` for other frames.
    pub(super) fn of(value: &Value) -> Option<Self> {
        Some(Self { seq: value["seq"].as_i64()?, id: value["id"].as_i64()? })
    }
}

/// An answer of the REST interface.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
    pub(super) took: Duration,
}

impl Person {
    pub(super) async fn log_in(
        base: &str,
        username: &str,
        full_name: &str,
        password: &str,
    ) -> Result<Self, String> {
        let http = bellpull_tls::client().build().map_err(|e| e.to_string())?;
        let url = format!("{base}/api/auth/login/");
        let body = json!({"username": username, "password": password});
        let response = http.post(url).json(&body).send().await.map_err(|e| e.to_string())?;
        let body: Value = response.json().await.map_err(|e| e.to_string())?;
        let token = body["access"].as_str().ok_or(format!("{username} cannot log in: {body}"))?;
        Ok(Self {
            username: username.to_owned(),
            full_name: full_name.to_owned(),
            id: body["user"]["id"].as_i64().unwrap_or_default(),
            node: None,
            missed: Vec::new(),
            known: 0,
            heard: Vec::new(),
            cursor: None,
            base: base.to_owned(),
            token: token.to_owned(),
            http,
            socket: None,
        })
    }

    /// The same user, who opens sockets there and knows the inbox up to that notification.
    #[cfg(feature = "load")]
    pub(super) fn with_sockets_at(self, base: &str, known: i64) -> Self {
        Self { base: base.to_owned(), known, cursor: Some(known), ..self }
    }

    pub(super) async fn post(&self, at: &str, path: &str, body: Value) -> Result<Answer, String> {
        let asked = Instant::now();
        let (status, body) = self.ask(self.http.post(format!("{at}{path}")).json(&body)).await?;
        Ok(Answer { status, body, took: asked.elapsed() })
    }

    /// The user's inbox after this notification, oldest first, as a node answers it.
    pub(super) async fn inbox(&self, at: &str, since: i64) -> Result<Vec<Entry>, String> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let since = entries.last().map_or(since, |last| last.seq);
            let url = format!("{at}/api/notifications/?since_seq={since}&page_size={PAGE}");
            let (_, body) = self.ask(self.http.get(url)).await?;
            let rows =
                body["results"].as_array().ok_or(format!("an inbox without rows: {body}"))?;
            entries.extend(rows.iter().filter_map(Entry::of));
            if rows.len() < PAGE {
                return Ok(entries);
            }
        }
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<(u16, Value), String> {
        let response = request.bearer_auth(&self.token).send().await;
        let response = response.map_err(|error| error.to_string())?;
        let (url, status) = (response.url().path().to_owned(), response.status().as_u16());
        let body: Value = response.json().await.map_err(|error| error.to_string())?;
        if status >= 300 {
            return Err(format!("{url} answered {status}: {body}"));
        }
        Ok((status, body))
    }

    pub(super) fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Opens the socket and returns its first frame.
    pub(super) async fn connect(&mut self) -> Result<Value, String> {
        self.connect_from().await.map(|(first, _)| first)
    }

    /// The same, and the socket's own address.
    pub(super) async fn connect_from(&mut self) -> Result<(Value, SocketAddr), String> {
        let authority = self.base.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&authority).await.map_err(|error| error.to_string())?;
        let _ = stream.set_nodelay(true); // a slower demo, were it refused
        let from = stream.local_addr().map_err(|error| error.to_string())?;
        let since = self.cursor.map(|seq| format!("&since={seq}")).unwrap_or_default();
        let request = hyper::Request::get(format!("/ws/notifications/?dialect=incident{since}"))
            .header(HOST, &authority)
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "Upgrade")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", handshake::generate_key())
            .header("Authorization", format!("Bearer {}", self.token))
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let (socket, _) = handshake::client(&TokioExecutor::new(), request, stream)
            .await
            .map_err(|error| format!("{} cannot connect: {error}", self.username))?;
        self.socket = Some(FragmentCollector::new(socket));
        Ok((self.next_frame().await?, from))
    }

    /// Disconnects without a close frame, like a closed laptop.
    pub(super) fn disconnect(&mut self) {
        self.socket = None;
    }

    /// The next frame, within the time limit.
    pub(super) async fn next_frame(&mut self) -> Result<Value, String> {
        let who = &self.username;
        let socket = self.socket.as_mut().ok_or(format!("{who} has no socket"))?;
        let frame = tokio::time::timeout(FRAME_MAX, socket.read_frame())
            .await
            .map_err(|_| format!("{who} heard nothing within {} s", FRAME_MAX.as_secs()))?
            .map_err(|error| format!("{who}'s socket broke: {error}"))?;
        if frame.opcode != OpCode::Text {
            return Err(format!("{who} received a {:?} frame", frame.opcode));
        }
        let frame: Value =
            serde_json::from_slice(&frame.payload).map_err(|error| format!("{who}: {error}"))?;
        if let Some(entry) = Entry::of(&frame) {
            self.heard.push(entry);
            self.cursor = self.cursor.map(|_| entry.seq);
        }
        Ok(frame)
    }

    /// Waits until the connection is gone, without another frame.
    #[cfg(feature = "load")]
    pub(super) async fn loses_the_connection(&mut self) -> Result<(), String> {
        let who = &self.username;
        let mut socket = self.socket.take().ok_or(format!("{who} has no socket"))?;
        match tokio::time::timeout(FRAME_MAX, socket.read_frame()).await {
            Ok(Err(_)) => Ok(()),
            Ok(Ok(frame)) if frame.opcode == OpCode::Close => Ok(()),
            Ok(Ok(frame)) => Err(format!("{who} received a {:?} frame", frame.opcode)),
            Err(_) => Err(format!("{who}'s connection outlives its node")),
        }
    }

    /// Proves that no other frame is on its way: frames sent before a pong arrive before it.
    pub(super) async fn hears_nothing_else(&mut self) -> Result<(), String> {
        let ping = json!({"type": "ping", "timestamp": 1}).to_string();
        let socket = self.socket.as_mut().ok_or(format!("{} has no socket", self.username))?;
        let frame = Frame::text(ping.into_bytes().into());
        socket.write_frame(frame).await.map_err(|error| error.to_string())?;
        let next = self.next_frame().await?;
        if next["type"] == "pong" {
            return Ok(());
        }
        Err(format!("{} received an unexpected frame: {next}", self.username))
    }
}
