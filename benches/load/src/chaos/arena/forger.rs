//! A client of Redis that publishes what nodes take for a message of one of them.

use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::manner::Garbage;
use super::super::people::one;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the nodes are listened to: they speak every half second.
const LISTEN: Duration = Duration::from_millis(700);
/// The topics of all hubs.
const TOPICS: &str = "bellpull:*";
/// By how much a forged position is ahead.
const AHEAD: u64 = 1_000;

/// A connection to Redis.
#[derive(Debug)]
pub(super) struct Forger {
    stream: TcpStream,
    buffer: Vec<u8>,
}

type Io<T> = std::io::Result<T>;

impl Forger {
    /// Connects.
    ///
    /// # Errors
    /// Redis is away.
    pub(super) async fn open(redis: SocketAddr, password: &str) -> Io<Self> {
        let mut forger = Self { stream: TcpStream::connect(redis).await?, buffer: Vec::new() };
        forger.say(&[b"AUTH", password.as_bytes()]).await?;
        forger.line().await?;
        Ok(forger)
    }

    /// Publishes so many messages on every topic of a hub.
    ///
    /// # Errors
    /// Redis is away.
    pub(super) async fn publish(
        &mut self,
        what: Garbage,
        count: usize,
        users: &[u64],
        rng: &mut Rng,
    ) -> Io<()> {
        self.say(&[b"PUBSUB", b"CHANNELS", TOPICS.as_bytes()]).await?;
        let topics = self.texts().await?;
        for topic in topics {
            let listens = matches!(what, Garbage::Altered | Garbage::Repeated);
            let heard = if listens { self.listen(&topic).await? } else { Vec::new() };
            if listens && heard.is_empty() {
                continue;
            }
            for _ in 0..count {
                let message = match one(&heard, rng) {
                    Some(heard) if what == Garbage::Repeated => heard.clone(),
                    Some(heard) => altered(heard, rng),
                    None if what == Garbage::Noise => noise(rng),
                    None => forged(users, rng),
                };
                self.say(&[b"PUBLISH", &topic, &message]).await?;
                self.line().await?;
            }
        }
        Ok(())
    }

    /// The messages of a topic within a while.
    async fn listen(&mut self, topic: &[u8]) -> Io<Vec<Vec<u8>>> {
        self.say(&[b"SUBSCRIBE", topic]).await?;
        let (mut heard, end) = (Vec::new(), Instant::now() + LISTEN);
        // "subscribe", the topic, and a number.
        for _ in 0..6 {
            self.line().await?;
        }
        while let Ok(message) = timeout_at(end, self.texts()).await {
            heard.extend(message?.pop());
        }
        self.say(&[b"UNSUBSCRIBE", topic]).await?;
        // Messages may come before the answer, whose third part is no text.
        while self.line().await? != b":0" {}
        Ok(heard)
    }

    async fn say(&mut self, parts: &[&[u8]]) -> Io<()> {
        let mut bytes = format!("*{}\r\n", parts.len()).into_bytes();
        for part in parts {
            bytes.extend(format!("${}\r\n", part.len()).bytes());
            bytes.extend_from_slice(part);
            bytes.extend(b"\r\n");
        }
        timeout(PATIENCE, self.stream.write_all(&bytes)).await?
    }

    /// An answer that is an array of texts. Cancelled, it has read nothing.
    async fn texts(&mut self) -> Io<Vec<Vec<u8>>> {
        loop {
            if let Some((texts, length)) = parse(&self.buffer) {
                self.buffer.drain(..length);
                return Ok(texts);
            }
            self.read().await?;
        }
    }

    /// A line of an answer, without its end.
    async fn line(&mut self) -> Io<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n") {
                let line = self.buffer[..end].to_vec();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            timeout_at(deadline, self.read()).await??;
        }
    }

    async fn read(&mut self) -> Io<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// An array of texts at the beginning, and its length; `None` if it is not whole yet.
fn parse(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let number = |at: usize| {
        let end = memchr::memmem::find(bytes.get(at..)?, b"\r\n")? + at;
        let number = std::str::from_utf8(bytes.get(at + 1..end)?).ok()?.parse::<usize>().ok()?;
        Some((number, end + 2))
    };
    let (count, mut at) = number(0)?;
    let mut texts = Vec::new();
    for _ in 0..count {
        let (length, begin) = number(at)?;
        texts.push(bytes.get(begin..begin + length)?.to_vec());
        at = begin + length + 2;
    }
    (at <= bytes.len()).then_some((texts, at))
}

/// A node's message with something changed: a byte, its end, or a part of it.
fn altered(message: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut altered = message.to_vec();
    let at = rng.usize(..altered.len().max(1));
    match (rng.u8(..3), altered.get_mut(at)) {
        (0, Some(byte)) => *byte ^= 1 << rng.u8(..8),
        (1, Some(_)) => altered.truncate(at),
        _ => altered.extend_from_slice(&message[at.min(message.len())..]),
    }
    altered
}

/// Not a message.
fn noise(rng: &mut Rng) -> Vec<u8> {
    match rng.u8(..4) {
        0 => (0..rng.usize(..5_000)).map(|_| rng.u8(..)).collect(),
        1 => [b"1\nx\n".to_vec(), b"[".repeat(100_000)].concat(),
        2 => [b"1\nx\n".to_vec(), b"{\"kind\":".repeat(10_000)].concat(),
        _ => vec![b'1'; 2_000_000],
    }
}

/// What a node of the first version of the format would say, of a user and an inbox.
fn forged(users: &[u64], rng: &mut Rng) -> Vec<u8> {
    let user = one(users, rng).copied().unwrap_or_default();
    let (first, id) = (rng.u64(1..100), rng.u64(1..1_000_000));
    let body = match rng.u8(..8) {
        0 | 1 => json!({"kind": "marked", "user": user, "mark": "read", "ids": [], "first": first,
            "last": first + AHEAD, "unread_count": 0}),
        2 | 3 => json!({"kind": "announced", "entries": [[user, id, first, 1]], "content": {
            "event": "ticket_raised", "type": "INFO", "title": "forged", "body": "forged",
            "action_url": "http://127.0.0.1/", "priority": "HIGH", "created_at_ms": 1}}),
        4 => json!({"kind": "sessions_ended", "user": user, "why": "logged_out"}),
        5 => json!({"kind": "member_removed", "project": 1, "user": user}),
        6 => json!({"kind": "moved", "heads": [[user, first + AHEAD]]}),
        _ => json!({"kind": "marked", "user": user, "mark": "delete", "ids": [id], "first": first,
            "last": i64::MAX, "unread_count": 7}),
    };
    format!("1\nforger\n{body}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_of_texts_is_read_once_it_is_whole() {
        let bytes = b"*2\r\n$7\r\nmessage\r\n$3\r\na\r\n\r\n:1";
        let whole = bytes.len() - 2;
        let wanted = vec![b"message".to_vec(), b"a\r\n".to_vec()];
        assert_eq!(parse(bytes), Some((wanted, whole)));
        assert!((0..whole).all(|end| parse(&bytes[..end]).is_none()));
        assert_eq!(parse(b"*0\r\n"), Some((Vec::new(), 4)));
    }

    #[test]
    fn what_is_altered_is_not_what_it_was() {
        let mut rng = Rng::with_seed(1);
        let message = b"1\na\n{\"kind\":\"lost\"}";
        for _ in 0..100 {
            assert_ne!(altered(message, &mut rng), message);
        }
    }
}
