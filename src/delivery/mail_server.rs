//! Connections to a mail server: opened, reused, closed.
//!
//! The library's own pool keeps a connection whose message was aborted in the middle, and the next
//! message would take its late replies for its own: a rejected mail would count as sent. This pool
//! keeps only connections on which every command has been answered, and each step has a time limit,
//! because a server may accept a connection and then stay silent.
//!
//! A turn is one write: the library writes the end of a text separately from the text, and Nagle's
//! algorithm with delayed acknowledgements makes that 40 ms per mail. If the server accepts
//! pipelining (`PIPELINING`), a mail takes two turns instead of four.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bellpull_domain::fault::smtp::SmtpStep;
use lettre::Message;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Tls};
use lettre::transport::smtp::commands::Ehlo;
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tokio::time::timeout;

use super::mail_limits::StepLimits;
use super::mail_turns::{Failure, Line, Refused, Said, in_time};

/// How long an unused connection is kept: most servers close theirs after a minute.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// A connection that has been idle for longer is checked with a command before it is used.
const FRESH: Duration = Duration::from_secs(1);

/// The time limit of that check: a server that does not answer it gets another connection.
const CHECK_MAX: Duration = Duration::from_secs(15);

/// The time limit for `QUIT`.
const QUIT_MAX: Duration = Duration::from_secs(2);

/// Where the server is, and how to connect.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) credentials: Option<Credentials>,
    /// The hub's name in `EHLO`; `None`: its address.
    pub(super) hello: Option<ClientId>,
}

/// A server and the idle connections to it.
#[derive(Debug)]
pub(super) struct MailServer {
    way: Way,
    kept_max: usize,
    limits: StepLimits,
    idle: Arc<Mutex<Idle>>,
}

#[derive(Default)]
struct Idle {
    connections: Vec<(Instant, Line)>,
    /// Whether a task will close those that are too old.
    is_swept: bool,
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idle").field("connections", &self.connections.len()).finish()
    }
}

impl MailServer {
    /// A server to which at most `kept_max` idle connections are kept.
    pub(super) fn new(way: Way, kept_max: usize, limits: StepLimits) -> Self {
        Self { way, kept_max, limits, idle: Arc::default() }
    }

    /// Sends a message. If the caller drops the future, its connection is closed.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn send(&self, message: &Message) -> Result<Response, Failure> {
        loop {
            let (mut line, is_used) = self.line().await?;
            match line.hand_over(message, self.limits).await {
                Ok(Said::Yes(response)) => {
                    self.keep(line);
                    return Ok(response);
                }
                Ok(Said::No(error)) => {
                    leave(line);
                    return Err(error.into());
                }
                // The server has closed it since it was used: it has taken nothing.
                Err(Failure::Smtp(Refused(SmtpStep::Sender, _))) if is_used => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Opens a connection, logs in, and leaves.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn reach(&self) -> Result<(), Failure> {
        leave(self.line().await?.0);
        Ok(())
    }

    /// A connection, and whether it was used before.
    async fn line(&self) -> Result<(Line, bool), Failure> {
        while let Some((since, mut line)) = self.take() {
            let age = since.elapsed();
            let is_there = age < FRESH
                || (age < IDLE_MAX
                    && timeout(CHECK_MAX, line.connection.test_connected()).await == Ok(true));
            if is_there {
                return Ok((line, true));
            }
        }
        let limit = self.limits.opening();
        let opened = Box::pin(timeout(limit, self.open())).await;
        let line = opened.map_err(|_| Failure::Silent(limit))??;
        Ok((line, false))
    }

    async fn open(&self) -> Result<Line, Failure> {
        let Way { host, port, tls, credentials, hello } = &self.way;
        let limits = self.limits;
        let wrapper = if let Tls::Wrapper(parameters) = tls { Some(parameters) } else { None };
        let at = (host.as_str(), *port);
        let hello = &match hello {
            Some(hello) => hello.clone(),
            None => own_address(at).await,
        };
        let opening = AsyncSmtpConnection::connect_tokio1(
            at,
            Some(limits.connect),
            hello,
            wrapper.cloned(),
            None,
        );
        // The greeting and the first `EHLO`, after the connection.
        let mut connection = in_time(limits.connect + 2 * limits.command, opened(opening)).await?;
        let starttls = match tls {
            Tls::Required(parameters) => Some(parameters),
            Tls::Opportunistic(parameters) if connection.can_starttls() => Some(parameters),
            Tls::None | Tls::Opportunistic(_) | Tls::Wrapper(_) => None,
        };
        if let Some(parameters) = starttls {
            in_time(2 * limits.command, opened(connection.starttls(parameters.clone(), hello)))
                .await?;
        }
        if let Some(credentials) = credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            in_time(3 * limits.command, opened(connection.auth(&mechanisms, credentials))).await?;
        }
        // `EHLO` is sent again because the library keeps only the extensions that it uses itself. A
        // server that rejects a second one gets the steps one by one.
        let said =
            in_time(limits.command, opened(connection.command(Ehlo::new(hello.clone())))).await;
        let is_offer = |line: &str| line.eq_ignore_ascii_case("PIPELINING");
        let pipelines = said.is_ok_and(|said| said.message().any(is_offer));
        Ok(Line { connection, pipelines })
    }

    fn keep(&self, line: Line) {
        let mut idle = self.idle();
        if idle.connections.len() >= self.kept_max {
            return leave(line);
        }
        idle.connections.push((Instant::now(), line));
        if !std::mem::replace(&mut idle.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.idle)));
        }
    }

    fn take(&self) -> Option<(Instant, Line)> {
        self.idle().connections.pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address from which a connection to the server comes, as a name for `EHLO`.
async fn own_address(server: (&str, u16)) -> ClientId {
    let found = async {
        let server = tokio::net::lookup_host(server).await?.next().ok_or(ErrorKind::NotFound)?;
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // Nothing is sent: the system chooses the route.
        let socket = tokio::net::UdpSocket::bind((any, 0)).await?;
        socket.connect(server).await?;
        socket.local_addr()
    };
    match found.await.map(|address| address.ip().to_canonical()) {
        Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
        // The connection fails too, and says why.
        Err(_) => ClientId::Ipv4(Ipv4Addr::LOCALHOST),
    }
}

/// A step before any mail.
async fn opened<T>(step: impl Future<Output = Result<T, SmtpError>>) -> Result<T, Refused> {
    step.await.map_err(|error| Refused(SmtpStep::Opening, error))
}

/// Closes connections that have been idle for too long, until none are left.
async fn sweep(idle: Weak<Mutex<Idle>>) {
    loop {
        tokio::time::sleep(IDLE_MAX).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |(since, _): &mut (Instant, _)| since.elapsed() >= IDLE_MAX;
        idle.connections.extract_if(.., old).for_each(|(_, line)| leave(line));
        if idle.connections.is_empty() {
            idle.is_swept = false;
            return;
        }
    }
}

/// Sends `QUIT` in a task of its own, so that no caller waits for it.
fn leave(mut line: Line) {
    tokio::spawn(async move {
        let _ = timeout(QUIT_MAX, line.connection.quit()).await;
    });
}
