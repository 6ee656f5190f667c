//! Redis servers for tests: the one that `TEST_REDIS` names, and private ones that a test may end.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::skip::skipped;

/// The variable with the URL of a server that tests share.
const SERVER: &str = "TEST_REDIS";

/// The shared server's URL; says that the test is skipped if there is none.
pub fn server() -> Option<String> {
    let url = std::env::var(SERVER).ok().filter(|url| !url.is_empty());
    if url.is_none() {
        skipped("TEST_REDIS names no Redis");
    }
    url
}

/// A server of the test's own, ended with this.
#[derive(Debug)]
pub struct Private {
    port: u16,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Private {
    /// Starts one; says that the test is skipped if there is no program.
    pub async fn start(arguments: &[&str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = Self { port, arguments, process: None };
        if Command::new("redis-server").arg("--version").output().is_err() {
            skipped("there is no redis-server");
            return None;
        }
        server.restart().await;
        Some(server)
    }

    /// Starts it again, empty, on the same port.
    pub async fn restart(&mut self) {
        self.kill();
        let process = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server does not listen");
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

/// What a client of Redis that is no node can do: it publishes and subscribes.
#[derive(Debug)]
pub struct Client(TcpStream);

impl Client {
    pub async fn connect(server: &Private) -> Self {
        Self(TcpStream::connect(("127.0.0.1", server.port())).await.unwrap())
    }

    /// What it answers to a command, in one read.
    pub async fn ask(&mut self, words: &[&str]) -> String {
        self.command(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>()).await;
        let mut answer = [0; 4_096];
        let length = self.0.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    pub async fn publish(&mut self, topic: &str, message: &[u8]) {
        self.command(&[b"PUBLISH", topic.as_bytes(), message]).await;
        let mut answer = [0; 64];
        let length = self.0.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b":"), "{:?}", &answer[..length]);
    }

    pub async fn subscribe(&mut self, topic: &str) {
        self.command(&[b"SUBSCRIBE", topic.as_bytes()]).await;
    }

    /// The messages since it subscribed, and of a moment more.
    pub async fn received(&mut self) -> Vec<Vec<u8>> {
        let (mut bytes, mut some) = (Vec::new(), [0; 4_096]);
        let end = tokio::time::Instant::now() + Duration::from_millis(300);
        while let Ok(length) = tokio::time::timeout_at(end, self.0.read(&mut some)).await {
            bytes.extend_from_slice(&some[..length.unwrap()]);
        }
        let message = b"*3\r\n$7\r\nmessage\r\n";
        let mut messages = Vec::new();
        let mut rest = &bytes[..];
        while let Some(at) = rest.windows(message.len()).position(|some| some == message) {
            rest = &rest[at + message.len()..];
            let (_, after) = bulk(rest);
            let (message, after) = bulk(after);
            messages.push(message.to_vec());
            rest = after;
        }
        messages
    }

    async fn command(&mut self, parts: &[&[u8]]) {
        let mut bytes = format!("*{}\r\n", parts.len()).into_bytes();
        for part in parts {
            bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
        }
        self.0.write_all(&bytes).await.unwrap();
    }
}

/// A bulk string, and what follows it.
fn bulk(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.windows(2).position(|some| some == b"\r\n").unwrap();
    let length: usize = std::str::from_utf8(&bytes[1..end]).unwrap().parse().unwrap();
    (&bytes[end + 2..end + 2 + length], &bytes[end + 4 + length..])
}

impl Drop for Private {
    fn drop(&mut self) {
        self.kill();
    }
}
