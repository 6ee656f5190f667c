//! Providers that accept everything at once: an SMTP server and an HTTP server with WhatsApp's
//! interface, hand-written, so that they take little of the cores that they share with the hub; and
//! plain clients that show how fast they are.
//!
//! A client makes the hub's round trips, one message after the other on a connection: an envelope
//! and a text by SMTP (the server accepts pipelining, as nearly all do), a request by HTTP. Its
//! bytes are prepared before, so that only the round trips are measured.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Smtp,
    WhatsApp,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Self::Smtp => "e-mail",
            Self::WhatsApp => "WhatsApp",
        }
    }
}

/// A provider in this process.
#[derive(Clone)]
pub struct Sink {
    protocol: Protocol,
    address: std::net::SocketAddr,
    taken: Arc<Taken>,
}

/// The received messages.
struct Taken {
    /// Each message's key at its provider.
    keys: Mutex<HashSet<String>>,
    count: watch::Sender<usize>,
    connections: AtomicUsize,
}

impl Taken {
    fn take(&self, key: String) {
        assert!(self.keys.lock().unwrap().insert(key.clone()), "{key} came twice");
        self.count.send_modify(|count| *count += 1);
    }
}

impl Sink {
    pub async fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (keys, connections) = (Mutex::default(), AtomicUsize::new(0));
        let taken = Arc::new(Taken { keys, count: watch::Sender::new(0), connections });
        let kept = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                kept.connections.fetch_add(1, Relaxed);
                let taken = Arc::clone(&kept);
                tokio::spawn(async move {
                    // A hub that was stopped resets its connections.
                    let _ = match protocol {
                        Protocol::Smtp => smtp(stream, &taken).await,
                        Protocol::WhatsApp => whatsapp(stream, &taken).await,
                    };
                });
            }
        });
        Self { protocol, address, taken }
    }

    /// The hub's settings.
    pub fn url(&self) -> String {
        match self.protocol {
            Protocol::Smtp => format!("smtp://{}", self.address),
            Protocol::WhatsApp => format!("http://{}", self.address),
        }
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub fn count(&self) -> usize {
        *self.taken.count.borrow()
    }

    /// Resets the counts.
    pub fn forget(&self) {
        self.taken.keys.lock().unwrap().clear();
        self.taken.count.send_replace(0);
    }

    /// When this many had arrived.
    pub async fn reached(&self, wanted: usize) -> Instant {
        let mut counts = self.taken.count.subscribe();
        counts.wait_for(|count| *count >= wanted).await.unwrap();
        Instant::now()
    }

    /// This many messages as fast as possible over this many connections; returns messages per
    /// second.
    pub async fn hammer(&self, connections: usize, messages: usize) -> f64 {
        self.forget();
        let begun = Instant::now();
        let each = messages.div_ceil(connections);
        let clients = (0..connections).map(|client| {
            let (address, protocol) = (self.address, self.protocol);
            tokio::spawn(async move {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let keys = (0..each).map(|n| format!("delivery-{}", client * each + n));
                match protocol {
                    Protocol::Smtp => hammer_smtp(stream, keys).await,
                    Protocol::WhatsApp => hammer_whatsapp(stream, keys).await,
                }
                .unwrap();
            })
        });
        futures_util::future::try_join_all(clients.collect::<Vec<_>>()).await.unwrap();
        (each * connections) as f64 / begun.elapsed().as_secs_f64()
    }
}

type Done = std::io::Result<()>;

async fn smtp(stream: TcpStream, taken: &Taken) -> Done {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink\r\n").await?;
    let (mut line, mut answers) = (String::new(), Vec::new());
    loop {
        // Commands in one packet are answered in one.
        if stream.buffer().is_empty() && !answers.is_empty() {
            stream.write_all(&answers).await?;
            answers.clear();
        }
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match line.get(..4).unwrap_or_default() {
            "EHLO" => b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
            "DATA" => {
                answers.extend_from_slice(b"354 go on\r\n");
                stream.write_all(&answers).await?;
                answers.clear();
                taken.take(mail(&mut stream).await?);
                b"250 taken\r\n"
            }
            "QUIT" => return stream.write_all(b"221 bye\r\n").await,
            _ => b"250 ok\r\n",
        };
        answers.extend_from_slice(answer);
    }
}

/// Reads a mail to its end; returns its `Message-ID`.
async fn mail(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let (mut line, mut id) = (String::new(), String::new());
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        match line.strip_prefix("Message-ID: ") {
            Some(found) => found.trim().clone_into(&mut id),
            None if line == ".\r\n" || line.is_empty() => return Ok(id),
            None => {}
        }
    }
}

async fn whatsapp(stream: TcpStream, taken: &Taken) -> Done {
    let mut stream = BufReader::new(stream);
    loop {
        let body = message(&mut stream).await?;
        let key = body.split("\"delivery-").nth(1).and_then(|rest| rest.split('"').next());
        let key = key.expect("a delivery's key").to_owned();
        let answer =
            format!(r#"{{"messaging_product":"whatsapp","messages":[{{"id":"wamid.{key}"}}]}}"#);
        taken.take(key);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
        let answer = format!("{head} {}\r\n\r\n{answer}", answer.len());
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// Reads a whole request or response; returns its body.
async fn message(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(found) = lower.strip_prefix("content-length:") {
            length = found.trim().parse().expect("a length");
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// About the size of the hub's own mail.
const MAIL: &str = "From: Desk <desk@example.com>\r\nTo: student <student1@example.com>\r\n\
    Subject: Maintenance tonight\r\nMIME-Version: 1.0\r\n";

async fn hammer_smtp(stream: TcpStream, keys: impl Iterator<Item = String>) -> Done {
    let mut stream = BufReader::new(stream);
    answers(&mut stream, 1).await?;
    stream.write_all(b"EHLO bench\r\n").await?;
    answers(&mut stream, 3).await?;
    let filler = "The desk is closed from ten to eleven.\r\n".repeat(50);
    for key in keys {
        let envelope = b"MAIL FROM:<desk@example.com>\r\nRCPT TO:<s@example.com>\r\nDATA\r\n";
        stream.write_all(envelope).await?;
        answers(&mut stream, 3).await?;
        let mail = format!("{MAIL}Message-ID: <{key}>\r\n\r\n{filler}.\r\n");
        stream.write_all(mail.as_bytes()).await?;
        answers(&mut stream, 1).await?;
    }
    Ok(())
}

async fn answers(stream: &mut BufReader<TcpStream>, lines: usize) -> Done {
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        stream.read_line(&mut line).await?;
        assert!(line.starts_with(['2', '3']), "{line}");
    }
    Ok(())
}

async fn hammer_whatsapp(stream: TcpStream, keys: impl Iterator<Item = String>) -> Done {
    let mut stream = BufReader::new(stream);
    for key in keys {
        let body = format!(
            r#"{{"messaging_product":"whatsapp","recipient_type":"individual","to":"491510000000","biz_opaque_callback_data":"{key}","type":"text","text":{{"preview_url":false,"body":"*Maintenance tonight*\nThe desk is closed from ten to eleven."}}}}"#
        );
        let head = "POST /1/messages HTTP/1.1\r\nHost: sink\r\nAuthorization: Bearer token\r\n\
                    Content-Type: application/json\r\nContent-Length:";
        let request = format!("{head} {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await?;
        message(&mut stream).await?;
    }
    Ok(())
}
