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

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use lettre::Message;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Tls};
use lettre::transport::smtp::commands::Ehlo;
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tokio::time::timeout;

use super::mail_turns::{Failure, Line, Said};

/// How long an unused connection is kept: most servers close theirs after a minute.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// A connection that has been idle for longer is checked with a command before it is used.
const FRESH: Duration = Duration::from_secs(1);

/// The time limit for `QUIT`.
const QUIT_MAX: Duration = Duration::from_secs(2);

/// Where the server is, and how to connect.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) credentials: Option<Credentials>,
    /// The hub's name in `EHLO`.
    pub(super) hello: ClientId,
}

/// A server and the idle connections to it.
#[derive(Debug)]
pub(super) struct MailServer {
    way: Way,
    kept_max: usize,
    step_max: Duration,
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
    /// A server to which at most `kept_max` idle connections are kept, and each of whose steps
    /// (opening a connection, handing over a message) may take `step_max`.
    pub(super) fn new(way: Way, kept_max: usize, step_max: Duration) -> Self {
        Self { way, kept_max, step_max, idle: Arc::default() }
    }

    /// Sends a message. If the caller drops the future, its connection is closed.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn send(&self, message: &Message) -> Result<Response, Failure> {
        let mut line = self.line().await?;
        let handing = line.hand_over(message);
        match timeout(self.step_max, handing).await.map_err(|_| self.silent())?? {
            Said::Yes(response) => {
                self.keep(line);
                Ok(response)
            }
            Said::No(error) => {
                leave(line);
                Err(error.into())
            }
        }
    }

    /// Opens a connection, logs in, and leaves.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn reach(&self) -> Result<(), Failure> {
        leave(self.line().await?);
        Ok(())
    }

    async fn line(&self) -> Result<Line, Failure> {
        while let Some((since, mut line)) = self.take() {
            let age = since.elapsed();
            let is_there = age < FRESH
                || (age < IDLE_MAX
                    && timeout(self.step_max, line.connection.test_connected()).await == Ok(true));
            if is_there {
                return Ok(line);
            }
        }
        timeout(self.step_max, self.open()).await.map_err(|_| self.silent())?.map_err(Failure::Smtp)
    }

    async fn open(&self) -> Result<Line, SmtpError> {
        let Way { host, port, tls, credentials, hello } = &self.way;
        let wrapper = if let Tls::Wrapper(parameters) = tls { Some(parameters) } else { None };
        let at = (host.as_str(), *port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(at, None, hello, wrapper.cloned(), None).await?;
        match tls {
            Tls::Required(parameters) => connection.starttls(parameters.clone(), hello).await?,
            Tls::Opportunistic(parameters) if connection.can_starttls() => {
                connection.starttls(parameters.clone(), hello).await?;
            }
            Tls::None | Tls::Opportunistic(_) | Tls::Wrapper(_) => {}
        }
        if let Some(credentials) = credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
        }
        // `EHLO` is sent again because the library keeps only the extensions that it uses itself. A
        // server that rejects a second one gets the steps one by one.
        let said = connection.command(Ehlo::new(hello.clone())).await;
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

    fn silent(&self) -> Failure {
        Failure::Silent(self.step_max)
    }
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
