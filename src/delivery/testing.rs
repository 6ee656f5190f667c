//! A server for the adapters' tests that answers as told, correctly or not, and records every byte
//! it receives; and a delivery to send to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bellpull_domain::delivery::{Addressee, Leased, Target};
use bellpull_domain::ids::{DeliveryId, NotificationId, UserId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::locale::Locale;
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::link::Links;
use super::renderer::Renderer;
use super::template_service::Templates;
use bellpull_config::Secret;

/// How the server answers one request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// A complete answer: its status, a further header, its body.
    Whole(u16, String, String),
    /// The head, and then a byte of the body from time to time, without end.
    SlowBody,
    /// No answer.
    Hang,
    /// Closes the connection.
    Drop,
    /// Less than the announced length.
    HalfBody,
    /// Not HTTP.
    Garbage,
}

impl Reply {
    pub(super) fn json(status: u16, body: &str) -> Self {
        Self::Whole(status, String::new(), body.to_owned())
    }

    /// Adds a header.
    pub(super) fn with(mut self, header: &str) -> Self {
        if let Self::Whole(_, more, _) = &mut self {
            *more = format!("{header}\r\n");
        }
        self
    }

    async fn write(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let head = |status: u16, length: usize, more: &str| {
            format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{more}\r\n")
        };
        match self {
            Self::Whole(status, more, body) => {
                let head = head(*status, body.len(), more);
                stream.write_all(format!("{head}{body}").as_bytes()).await
            }
            Self::SlowBody => {
                stream.write_all(head(200, 1_000, "").as_bytes()).await?;
                loop {
                    stream.write_all(b" ").await?;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Self::Hang => std::future::pending().await,
            Self::Drop => Err(std::io::ErrorKind::ConnectionAborted.into()),
            Self::HalfBody => {
                stream.write_all(format!("{}{{\"mess", head(200, 100, "")).as_bytes()).await?;
                Err(std::io::ErrorKind::ConnectionAborted.into())
            }
            Self::Garbage => {
                stream.write_all(b"220 mail.example ESMTP\r\n\r\n").await?;
                Err(std::io::ErrorKind::ConnectionAborted.into())
            }
        }
    }
}

/// A request as received.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) line: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(one, _)| one.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The next request on a connection.
    async fn read(stream: &mut TcpStream) -> std::io::Result<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().lines();
        let line = lines.next().unwrap().to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        };
        let mut request = Self { line, headers: lines.map(header).collect(), body: Vec::new() };
        let length = request.header("content-length").map_or(0, |text| text.parse().unwrap());
        request.body.resize(length, 0);
        stream.read_exact(&mut request.body).await?;
        Ok(request)
    }
}

/// A server on a free port.
pub(super) struct Server {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// A server that answers the requests in turn with these.
    pub(super) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let kept = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            let mut replies = replies.into_iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                while let Ok(request) = Request::read(&mut stream).await {
                    kept.lock().unwrap().push(request);
                    let Some(reply) = replies.next() else { return };
                    if reply.write(&mut stream).await.is_err() {
                        break;
                    }
                }
            }
        });
        Self { url, requests, task }
    }

    /// How many requests it has received.
    pub(super) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// The nth request.
    pub(super) fn request(&self, nth: usize) -> Request {
        self.requests.lock().unwrap()[nth].clone()
    }
}

/// The default templates, on a hub at `https://desk.example`.
pub(super) fn renderer() -> Renderer {
    let links = Links::new(Some("https://desk.example".to_owned()), Secret::new("x".to_owned()));
    Renderer { templates: Templates::default(), links }
}

/// Delivery 7, to Ada.
pub(super) fn leased(target: Target, title: &str, body: &str) -> Leased {
    let mut message = bellpull_port::testing::content(title).message.clone();
    title.clone_into(&mut message.title);
    body.clone_into(&mut message.body);
    "/tickets/5/".clone_into(&mut message.action_url);
    let (name, locale) = ("Ada".to_owned(), Locale::english());
    let addressee = Addressee { id: UserId(1), name, locale };
    Leased {
        id: DeliveryId(7),
        notification: Some(NotificationId(3)),
        attempt: 1,
        failures: 0,
        cut_off: 0,
        addressee: Some(addressee),
        target,
        account_link: None,
        contents: vec![MessageContent::new(message)],
        with: Vec::new(),
        leased_until: Timestamp::MAX,
    }
}
