//! A client's WebSocket, on the runtime.
//!
//! [`Socket::hear`] may be cancelled between two reads; nothing that was read is lost.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::frame::{self, ACCEPT, KEY, Kind};

/// The longest head of a handshake's answer.
const HEAD_MAX: usize = 16 * 1024;
/// How long a message may take to be handed to the kernel.
const WRITE: Duration = Duration::from_secs(5);

/// An open socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The socket has ended, or could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended(pub(super) String);

/// What a client is told whose token is not valid, or has been withdrawn: a status of HTTP, and the
/// codes of a close frame.
const REFUSALS: [&str; 5] =
    ["HTTP/1.1 401", "HTTP/1.1 403", "closed with 4401", "closed with 4403", "closed with 4001"];

impl Ended {
    /// Whether the client is not to come back: no schedule logs a client out.
    pub(super) fn is_refusal(&self) -> bool {
        REFUSALS.iter().any(|text| self.0.starts_with(text))
    }

    fn by(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl Socket {
    /// Opens a socket at this path, which includes the token.
    ///
    /// # Errors
    /// It is refused, or nothing answers in time.
    pub(super) async fn open(
        to: SocketAddr,
        path: &str,
        patience: Duration,
    ) -> Result<Self, Ended> {
        match timeout(patience, Self::opened(to, path)).await {
            Ok(opened) => opened,
            Err(late) => Err(Ended::by(late)),
        }
    }

    async fn opened(to: SocketAddr, path: &str) -> Result<Self, Ended> {
        let stream = TcpStream::connect(to).await.map_err(Ended::by)?;
        stream.set_nodelay(true).map_err(Ended::by)?;
        let mut socket = Self { stream, buffer: Vec::new() };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        socket.stream.write_all(request.as_bytes()).await.map_err(Ended::by)?;
        loop {
            if let Some(end) = memchr::memmem::find(&socket.buffer, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&socket.buffer[..end]).into_owned();
                if !head.starts_with("HTTP/1.1 101 ") || !head.contains(ACCEPT) {
                    return Err(Ended(head.lines().next().unwrap_or_default().to_owned()));
                }
                socket.buffer.drain(..end + 4);
                return Ok(socket);
            }
            if socket.buffer.len() > HEAD_MAX {
                return Err(Ended("the handshake's answer has no end".to_owned()));
            }
            socket.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), Ended> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Ended("closed without a close frame".to_owned())),
            Ok(_) => Ok(()),
            Err(error) => Err(Ended::by(error)),
        }
    }

    /// The next message.
    ///
    /// # Errors
    /// The socket has ended.
    pub(super) async fn hear(&mut self) -> Result<String, Ended> {
        loop {
            let parsed = frame::parse(&self.buffer).map_err(|_| Ended("no frame".to_owned()))?;
            let Some(found) = parsed else {
                self.read().await?;
                continue;
            };
            let payload = self.buffer[found.begin..found.end].to_vec();
            self.buffer.drain(..found.end);
            match found.kind {
                Kind::Message => return String::from_utf8(payload).map_err(Ended::by),
                Kind::Close => return Err(Ended(close_reason(&payload))),
                // If a reader's cancellation cuts this write, the server reads a broken frame and
                // closes: a client that reconnects.
                Kind::Ping => self.write(&frame::pong(&payload)).await?,
                Kind::Pong => {}
                Kind::Continuation => return Err(Ended("a fragment".to_owned())),
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The socket has ended.
    pub(super) async fn say(&mut self, text: &str) -> Result<(), Ended> {
        self.write(&frame::text(text)).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        match timeout(WRITE, self.stream.write_all(bytes)).await {
            Ok(written) => written.map_err(Ended::by),
            Err(late) => Err(Ended::by(late)),
        }
    }
}

fn close_reason(payload: &[u8]) -> String {
    let code = payload.get(..2).map_or(0, |code| u16::from_be_bytes([code[0], code[1]]));
    let reason = payload.get(2..).map(String::from_utf8_lossy).unwrap_or_default();
    format!("closed with {code} {reason}")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn frames_of_one_read_are_heard_one_by_one_and_a_close_frame_ends_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            let mut bytes = format!(
                "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
            )
            .into_bytes();
            bytes.extend(frame::server_text(b"one"));
            bytes.extend([0x89, 1, b'p']);
            bytes.extend(frame::server_text(b"two"));
            bytes.extend([0x88, 4, 0x03, 0xf4, b'b', b'y']);
            stream.write_all(&bytes).await.unwrap();
            let mut pong = [0; 7];
            stream.read_exact(&mut pong).await.unwrap();
            pong
        });
        let mut socket = Socket::open(address, "/ws/", Duration::from_secs(5)).await.unwrap();
        assert_eq!(socket.hear().await.unwrap(), "one");
        assert_eq!(socket.hear().await.unwrap(), "two");
        assert_eq!(socket.hear().await.unwrap_err().0, "closed with 1012 by");
        assert_eq!(server.await.unwrap(), [0x8a, 0x81, 0, 0, 0, 0, b'p']);
    }
}
