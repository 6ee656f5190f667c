//! The handshake of an accepted connection.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::session::{Session, Unread};
use super::stream::TlsStream;
use crate::HandshakeLimit;
use crate::listen::HEAD_TIMEOUT;
use bellpull_tls::Certificate;

/// How much is read at once; on the stack.
const READ_MAX: usize = 4 * 1024;

/// The first byte of every TLS connection: the type of a handshake record.
const HANDSHAKE_RECORD: u8 = 22;

/// Opens TLS connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    limit: Arc<HandshakeLimit>,
}

/// Why a connection did not open.
#[derive(Debug)]
pub enum Failed {
    /// The client sent something else, perhaps plain HTTP.
    NotTls(TcpStream),
    /// The client left, took too long, or its handshake was refused.
    Closed,
}

impl Acceptor {
    /// With that certificate, and that many handshakes a second for each address: they take more
    /// CPU time than anything else that a stranger can ask for.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn new(certificate: Arc<Certificate>, per_s: u32) -> Result<Self, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        let mut config = builder.with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Clients that come back after a restart of their network resume without a signature, and
        // no memory is held for them.
        config.ticketer = ring::Ticketer::new()?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        let limit = Arc::new(HandshakeLimit::per_second(per_s));
        Ok(Self { config: Arc::new(config), limit })
    }

    /// Opens a connection from `client`.
    ///
    /// # Errors
    /// [`Failed`].
    pub(crate) async fn accept(&self, tcp: TcpStream, client: IpAddr) -> Result<TlsStream, Failed> {
        if self.limit.admit(client).is_err() {
            count("limited");
            return Err(Failed::Closed);
        }
        let opened = match timeout(HEAD_TIMEOUT, self.open(tcp)).await {
            Ok(opened) => opened,
            Err(_) => Err(("timeout", Failed::Closed)),
        };
        match opened {
            Ok((tcp, session)) => {
                count(if session.is_resumed() { "resumed" } else { "full" });
                Ok(TlsStream::new(tcp, session))
            }
            Err((outcome, failed)) => {
                count(outcome);
                Err(failed)
            }
        }
    }

    async fn open(&self, tcp: TcpStream) -> Result<(TcpStream, Session), (&'static str, Failed)> {
        let mut session =
            Session::new(Arc::clone(&self.config)).map_err(|error| refused(&error))?;
        let mut is_first = true;
        while session.is_handshaking() {
            tcp.readable().await.map_err(|_| LEFT)?;
            let received = receive(&tcp, &mut session, is_first);
            // Also after an error: an alert tells the client.
            let sent = send(&tcp, &mut session).await;
            match received {
                Ok(()) => is_first = false,
                Err(Bad::Blocked) => {}
                Err(Bad::Left) => return Err(LEFT),
                Err(Bad::NotTls) => return Err(("not_tls", Failed::NotTls(tcp))),
                Err(Bad::Refused(error)) => return Err(refused(&error)),
            }
            sent.map_err(|_| LEFT)?;
        }
        Ok((tcp, session))
    }
}

const LEFT: (&str, Failed) = ("left", Failed::Closed);

fn refused(error: &rustls::Error) -> (&'static str, Failed) {
    tracing::debug!(%error, "a TLS handshake failed");
    ("failed", Failed::Closed)
}

/// Why a read does not continue the handshake.
enum Bad {
    /// There is nothing to read yet.
    Blocked,
    Left,
    NotTls,
    Refused(rustls::Error),
}

/// Not `async`: its buffer must not become part of the task.
fn receive(tcp: &TcpStream, session: &mut Session, is_first: bool) -> Result<(), Bad> {
    let mut buffer = [0; READ_MAX];
    let received = match tcp.try_read(&mut buffer) {
        Ok(0) => return Err(Bad::Left),
        Ok(count) => buffer.get_mut(..count).unwrap_or_default(),
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Bad::Blocked),
        Err(_) => return Err(Bad::Left),
    };
    if is_first && received.first() != Some(&HANDSHAKE_RECORD) {
        return Err(Bad::NotTls);
    }
    session.receive(received, &mut Unread::new(&mut [])).map_err(Bad::Refused)
}

fn count(outcome: &'static str) {
    metrics::counter!("bellpull_tls_handshakes_total", "outcome" => outcome).increment(1);
}

async fn send(tcp: &TcpStream, session: &mut Session) -> std::io::Result<()> {
    while !session.unsent().is_empty() {
        tcp.writable().await?;
        match tcp.try_write(session.unsent()) {
            Ok(count) => session.sent(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
