//! A REST request on a connection of its own, and what is known of it afterwards.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rest;

/// How much of a body is shown in a finding.
const SHOWN_MAX: usize = 160;

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    pub(super) path: &'a str,
    pub(super) token: &'a str,
    /// The `Idempotency-Key`.
    pub(super) key: Option<&'a str>,
    pub(super) body: Option<&'a Value>,
}

/// What the client knows of its request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// The answer.
    Answered(u16, Value),
    /// It was not executed: no connection, or the node said so (429).
    NotDone(String),
    /// No answer, or one that says that the outcome is unknown (5xx).
    Unknown(String),
}

impl<'a> Request<'a> {
    /// A `GET`.
    pub(super) fn get(path: &'a str, token: &'a str) -> Self {
        Self { method: "GET", path, token, key: None, body: None }
    }

    /// A `POST`.
    pub(super) fn post(path: &'a str, token: &'a str, body: &'a Value) -> Self {
        Self { method: "POST", path, token, key: None, body: Some(body) }
    }

    /// Sends it to a node; waits for the answer so long at most.
    pub(super) async fn send(self, to: SocketAddr, patience: Duration) -> Outcome {
        let connected = timeout(patience, TcpStream::connect(to)).await;
        let mut stream = match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Outcome::NotDone(error.to_string()),
            Err(late) => return Outcome::NotDone(late.to_string()),
        };
        match timeout(patience, self.exchange(&mut stream, to)).await {
            Ok(Ok((429, body))) => Outcome::NotDone(shown(429, &body)),
            Ok(Ok((status, body))) if status >= 500 => Outcome::Unknown(shown(status, &body)),
            Ok(Ok((status, body))) => Outcome::Answered(status, body),
            Ok(Err(error)) => Outcome::Unknown(error),
            Err(late) => Outcome::Unknown(late.to_string()),
        }
    }

    async fn exchange(
        self,
        stream: &mut TcpStream,
        to: SocketAddr,
    ) -> Result<(u16, Value), String> {
        let failed = |error: std::io::Error| error.to_string();
        let Self { method, path, token, key, body } = self;
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n",
            body.len()
        );
        if let Some(key) = key {
            text.push_str(&format!("Idempotency-Key: {key}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&body);
        stream.set_nodelay(true).map_err(failed)?;
        stream.write_all(text.as_bytes()).await.map_err(failed)?;
        let mut bytes = Vec::new();
        loop {
            if let Some((answer, _)) = rest::whole(&bytes).map_err(|error| error.to_string())? {
                let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
                return Ok((answer.status, body));
            }
            match stream.read_buf(&mut bytes).await {
                Ok(0) => return Err("the connection was closed before the answer".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

/// A status and the beginning of a body, on one line.
pub(super) fn shown(status: u16, body: &Value) -> String {
    let body: String = body.to_string().chars().take(SHOWN_MAX).collect();
    format!("{status} {body}")
}
