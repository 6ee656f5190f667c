//! A REST client on one keep-alive connection: a write, a read, no more.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Rest {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Rest {
    pub async fn connect(address: std::net::SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, buffer: vec![0; 16 * 1024] }
    }

    /// Posts JSON; returns the response's body. Panics unless the status is 2xx.
    pub async fn post(&mut self, token: &str, path: &str, body: &str) -> Value {
        self.ask("POST", token, path, body).await
    }

    /// The same by another method.
    pub async fn ask(&mut self, method: &str, token: &str, path: &str, body: &str) -> Value {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.expect("a request");
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await.expect("an answer");
            assert!(read > 0, "the hub closed the connection");
            filled += read;
            if let Some((status, body)) = complete(&self.buffer[..filled]) {
                let text = String::from_utf8_lossy(body);
                assert!((200..300).contains(&status), "{path} answered {status}: {text}");
                return serde_json::from_slice(body).unwrap_or(Value::Null);
            }
        }
    }
}

/// The status and the body of a response, once it is complete.
fn complete(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let head_end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_end]).ok()?.to_ascii_lowercase();
    let length: usize =
        head.split("content-length: ").nth(1)?.split("\r\n").next()?.trim().parse().ok()?;
    let body = bytes.get(head_end..head_end + length)?;
    Some((head.get(9..12)?.parse().ok()?, body))
}
