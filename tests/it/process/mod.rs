//! The binary as its users have it: commands, signals, exit codes, and what dies in it.

mod backup;
mod beside;
mod book;
#[cfg(feature = "load")]
mod chaos;
mod checks;
mod cli;
mod cluster;
#[cfg(feature = "load")]
mod demo;
mod epochs;
mod faults;
mod files;
mod foreign_keys;
mod issuers;
#[cfg(feature = "load")]
mod load;
#[cfg(feature = "load")]
mod load_cluster;
mod log_lines;
mod logins;
mod monitoring;
mod nodes;
mod nodes_postgres;
mod observe;
mod one_file;
mod origins;
mod pooler;
mod postgres;
mod proxies;
mod rivals;
mod rolling;
mod sends;
mod serve;
mod service;
mod signals;
mod telemetry;
mod tls;
mod traces;
mod tree;
mod users;
mod write_limit;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::process::person_with;

/// How long anything may take: long enough for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// A user at a hub in another process.
#[derive(Debug, Clone)]
struct Caller {
    id: i64,
    token: String,
    at: SocketAddr,
}

impl Caller {
    /// Makes an account by the command line.
    fn join(database: &Path, at: SocketAddr, username: &str, role: &str) -> Self {
        Self::join_with((database, &[]), at, username, role)
    }

    /// The same on the database that the settings name.
    fn join_with(
        (database, settings): (&Path, &[(&str, &str)]),
        at: SocketAddr,
        username: &str,
        role: &str,
    ) -> Self {
        let (id, token) = person_with(database, settings, username, role);
        Self { id, token, at }
    }

    /// The same person at another address.
    fn moved(&self, at: SocketAddr) -> Self {
        Self { at, ..self.clone() }
    }

    /// A request's status and body; status 0 where the hub does not answer at all.
    async fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
        let request = client.request(method, format!("http://{}{path}", self.at));
        let request = request.bearer_auth(&self.token).json(body);
        let Ok(response) = request.send().await else { return (0, Value::Null) };
        let status = response.status().as_u16();
        let text = response.text().await.unwrap_or_default();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, &Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::POST, path, &body).await
    }

    /// Raises a ticket; its id.
    async fn raise(&self, title: &str) -> i64 {
        let (status, ticket) = self.post("/api/tickets/", json!({ "title": title })).await;
        assert_eq!(status, 201, "{ticket}");
        ticket["id"].as_i64().unwrap()
    }

    /// Restarts an actor.
    async fn restart(&self, path: &str) -> u16 {
        self.post(&format!("/api/operator/actors/{path}/restart/"), Value::Null).await.0
    }

    /// How the hub says it is.
    async fn readiness(&self) -> u16 {
        self.get("/readyz").await.0
    }

    /// The numbers and tickets of the whole inbox, oldest first.
    async fn inbox(&self) -> Vec<(i64, i64)> {
        let mut rows: Vec<(i64, i64)> = Vec::new();
        loop {
            let since = rows.last().map_or(0, |row| row.0);
            let path = format!("/api/notifications/?since_seq={since}&page_size=100");
            let (status, page) = self.get(&path).await;
            assert_eq!(status, 200, "{page}");
            let page = page["results"].as_array().unwrap();
            if page.is_empty() {
                return rows;
            }
            let row = |row: &Value| (row["seq"].as_i64().unwrap(), row["ticket"].as_i64().unwrap());
            rows.extend(page.iter().map(row));
        }
    }

    /// A socket past its greeting; `more` is the rest of the query.
    async fn socket(&self, more: &str) -> Socket {
        self.try_socket(more).await.expect("a socket")
    }

    /// The same where the hub may not be able to take one in now.
    async fn try_socket(&self, more: &str) -> Option<Socket> {
        let url = format!("ws://{}/ws/notifications/?token={}{more}", self.at, self.token);
        let stream = TcpStream::connect(self.at).await.ok()?;
        let handshake = tokio_tungstenite::client_async(url, stream);
        let mut socket = Socket(timeout(PATIENCE, handshake).await.expect("in time").ok()?.0);
        match socket.heard().await {
            Ok(greeting) => assert_eq!(greeting["type"], "connection_established"),
            Err((code, reason)) => {
                assert_eq!(code, 1012, "{reason}");
                return None;
            }
        }
        Some(socket)
    }
}

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// The next text.
    async fn next(&mut self) -> Value {
        match self.heard().await {
            Ok(frame) => frame,
            Err((code, reason)) => panic!("closed with {code} {reason}"),
        }
    }

    /// The next text, or the code and reason of the end.
    async fn heard(&mut self) -> Result<Value, (u16, String)> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(close)))) => {
                    return Err((close.code.into(), close.reason.to_string()));
                }
                Some(Ok(Message::Ping(_))) => {}
                other => panic!("neither a text nor a close: {other:?}"),
            }
        }
    }

    /// All texts up to the closing frame, and that.
    async fn drained(&mut self) -> (Vec<Value>, u16, String) {
        let mut texts = Vec::new();
        loop {
            match self.heard().await {
                Ok(text) => texts.push(text),
                Err((code, reason)) => return (texts, code, reason),
            }
        }
    }

    /// Nothing comes but the answer to a ping: what would have come would have come before.
    async fn expect_nothing(&mut self) {
        use futures_util::SinkExt;
        self.0.send(Message::text(r#"{"type":"ping","timestamp":7}"#)).await.unwrap();
        assert_eq!(self.next().await, json!({"type": "pong", "timestamp": 7}));
    }
}

/// Looks until it is so.
async fn until<F: AsyncFnMut() -> bool>(what: &str, mut is_so: F) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
