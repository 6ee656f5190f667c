//! A WebSocket client that only listens: a hand-written handshake, then the server's frames.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

pub struct Listener {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Listener {
    /// Connects from 127.0.0.`source`, and upgrades.
    pub async fn connect(hub: SocketAddr, source: u8, token: &str) -> Self {
        Self::connect_at(hub, source, &format!("/ws/notifications/?token={token}")).await
    }

    /// The same on another path.
    pub async fn connect_at(hub: SocketAddr, source: u8, path: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, source));
        socket.bind(SocketAddr::new(from, 0)).expect("a source address");
        let mut stream = socket.connect(hub).await.expect("a connection");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {hub}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut buffer = vec![0; 2 * 1024];
        let mut end = 0;
        loop {
            let read = stream.read(&mut buffer[end..]).await.expect("an answer");
            assert!(read > 0, "the hub closed the connection");
            end += read;
            if let Some(at) = buffer[..end].windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&buffer[..at]);
                assert!(head.starts_with("HTTP/1.1 101"), "{head}");
                return Self { stream, buffer, start: at + 4, end };
            }
        }
    }

    /// The payload of the next text frame, or `None` when the connection ends.
    pub async fn next(&mut self) -> Option<&[u8]> {
        loop {
            if let Some((head, length)) = frame(&self.buffer[self.start..self.end]) {
                let from = self.start + head;
                let opcode = self.buffer[self.start] & 0x0f;
                self.start = from + length;
                match opcode {
                    1 => return Some(&self.buffer[from..from + length]),
                    8 => return None,
                    _ => continue,
                }
            }
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            match self.stream.read(&mut self.buffer[self.end..]).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.end += read,
            }
        }
    }
}

/// The lengths of a complete frame's header and payload.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (head, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(length).ok()?)
        }
        short => (2, usize::from(short)),
    };
    (bytes.len() >= head + length).then_some((head, length))
}
