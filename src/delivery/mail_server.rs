//! The way to a mail server: connections that are opened, used again, and closed.
//!
//! The library's own pool keeps a connection whose message was given up in the middle, and the next
//! message would take its late answers for its own: a mail that was refused would count as sent.
//! Here only a connection that has had its answer to everything is kept, and each step has a limit,
//! for a server may take a connection and then say nothing.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use lettre::Message;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Tls};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tokio::time::timeout;

/// How long a connection that nobody uses is kept: most servers close theirs after a minute.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// One that has been idle for longer is asked first whether it is still there.
const FRESH: Duration = Duration::from_secs(1);

/// How long a server may take to be taken leave of.
const QUIT_MAX: Duration = Duration::from_secs(2);

/// Where the server is, and how it is spoken to.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) credentials: Option<Credentials>,
    /// What the hub calls itself.
    pub(super) hello: ClientId,
}

/// A server, and the connections to it that nobody uses at the moment.
#[derive(Debug)]
pub(super) struct MailServer {
    way: Way,
    kept_max: usize,
    step_max: Duration,
    idle: Arc<Mutex<Idle>>,
}

/// Why a message did not go out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// What the server said, or why there was no connection.
    #[error(transparent)]
    Smtp(#[from] SmtpError),
    /// It said nothing for too long.
    #[error("the server did not answer within {0:?}")]
    Silent(Duration),
}

#[derive(Default)]
struct Idle {
    connections: Vec<(Instant, AsyncSmtpConnection)>,
    /// Whether somebody will look for those that are too old.
    is_swept: bool,
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idle").field("connections", &self.connections.len()).finish()
    }
}

impl MailServer {
    /// A server to which at most `kept_max` connections are kept, and each of whose steps (to open
    /// a connection, to take a message) may take `step_max`.
    pub(super) fn new(way: Way, kept_max: usize, step_max: Duration) -> Self {
        Self { way, kept_max, step_max, idle: Arc::default() }
    }

    /// Sends a message. Whoever gives up in the middle closes its connection.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn send(&self, message: &Message) -> Result<Response, Failure> {
        let text = message.formatted();
        let mut connection = self.connection().await?;
        let sending = connection.send(message.envelope(), &text);
        let said = timeout(self.step_max, sending).await.map_err(|_| self.silent())?;
        if !connection.has_broken() {
            self.keep(connection);
        }
        Ok(said?)
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, Failure> {
        while let Some((since, mut connection)) = self.take() {
            let age = since.elapsed();
            let is_there = age < FRESH
                || (age < IDLE_MAX
                    && timeout(self.step_max, connection.test_connected()).await == Ok(true));
            if is_there {
                return Ok(connection);
            }
        }
        timeout(self.step_max, self.open()).await.map_err(|_| self.silent())?.map_err(Failure::Smtp)
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, SmtpError> {
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
        Ok(connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle();
        if idle.connections.len() >= self.kept_max {
            return leave(connection);
        }
        idle.connections.push((Instant::now(), connection));
        if !std::mem::replace(&mut idle.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.idle)));
        }
    }

    fn take(&self) -> Option<(Instant, AsyncSmtpConnection)> {
        self.idle().connections.pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent(&self) -> Failure {
        Failure::Silent(self.step_max)
    }
}

/// Closes what nobody has used for long, until there is nothing left.
async fn sweep(idle: Weak<Mutex<Idle>>) {
    loop {
        tokio::time::sleep(IDLE_MAX).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |(since, _): &mut (Instant, _)| since.elapsed() >= IDLE_MAX;
        idle.connections.extract_if(.., old).for_each(|(_, connection)| leave(connection));
        if idle.connections.is_empty() {
            idle.is_swept = false;
            return;
        }
    }
}

/// Takes leave of the server as it wishes, without anybody waiting for it.
fn leave(mut connection: AsyncSmtpConnection) {
    tokio::spawn(async move {
        let _ = timeout(QUIT_MAX, connection.quit()).await;
    });
}
