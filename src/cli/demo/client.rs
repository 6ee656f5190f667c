//! A user in the demo: logs in and acts over REST, receives frames on a WebSocket.

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

/// A user with an account, and a socket while connected.
pub(super) struct Person {
    pub(super) username: String,
    pub(super) full_name: String,
    pub(super) id: i64,
    base: String,
    token: String,
    http: reqwest::Client,
    socket: Option<FragmentCollector<TokioIo<Upgraded>>>,
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
        let http = crate::tls::client().build().map_err(|e| e.to_string())?;
        let url = format!("{base}/api/auth/login/");
        let body = json!({"username": username, "password": password});
        let response = http.post(url).json(&body).send().await.map_err(|e| e.to_string())?;
        let body: Value = response.json().await.map_err(|e| e.to_string())?;
        let token = body["access"].as_str().ok_or(format!("{username} cannot log in: {body}"))?;
        Ok(Self {
            username: username.to_owned(),
            full_name: full_name.to_owned(),
            id: body["user"]["id"].as_i64().unwrap_or_default(),
            base: base.to_owned(),
            token: token.to_owned(),
            http,
            socket: None,
        })
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Answer, String> {
        let url = format!("{}{path}", self.base);
        let asked = Instant::now();
        let request = self.http.post(url).bearer_auth(&self.token).json(&body);
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body: Value = response.json().await.map_err(|error| error.to_string())?;
        if status >= 300 {
            return Err(format!("{path} answered {status}: {body}"));
        }
        Ok(Answer { status, body, took: asked.elapsed() })
    }

    /// Opens the socket and returns its first frame.
    pub(super) async fn connect(&mut self) -> Result<Value, String> {
        let authority = self.base.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&authority).await.map_err(|error| error.to_string())?;
        let _ = stream.set_nodelay(true); // a slower demo, were it refused
        let request = hyper::Request::get("/ws/notifications/?dialect=incident")
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
        self.next_frame().await
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
        serde_json::from_slice(&frame.payload).map_err(|error| format!("{who}: {error}"))
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
