//! What is to be run: made of the command line, checked before anything is started.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use super::LoadError;
use super::pipe::{Pace, Ready};
use super::rest::Rest;
use super::tokens::Login;

/// A whole run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is done.
    pub workload: Workload,
    /// To whom; in turn.
    pub servers: Vec<Server>,
    /// With how many users; in turn.
    pub sizes: Vec<usize>,
    /// So often each.
    pub runs: usize,
    /// As whom, where the server is not our own.
    pub login: Login,
    /// How handshakes are begun.
    pub pace: Pace,
    /// Over so many processes the sockets are spread.
    pub processes: usize,
    /// From where, in turns.
    pub sources: Vec<IpAddr>,
    /// How long any step may take.
    pub patience: Duration,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// All connect and do nothing: what one costs.
    Idle,
    /// All connect: how fast.
    Connect,
    /// One message to all.
    FanOut(FanOut),
    /// Whole lives of tickets.
    Tickets(Tickets),
    /// All come back at once, each to a backlog.
    Replay(Replay),
    /// Some of everything, at a steady rate.
    Mixed(Mixed),
}

/// Whole lives of tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tickets {
    /// How many.
    pub lives: u64,
    /// In so many connections at once.
    pub parallel: usize,
}

/// A backlog for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Of so many messages.
    pub backlog: u64,
    /// About as large is a frame.
    pub bytes: usize,
}

/// A day's work.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// For so long.
    pub time: Duration,
    /// Steps of tickets' lives a second.
    pub steps_per_s: f64,
    /// Messages to all a second.
    pub fan_outs_per_s: f64,
    /// People who go and come back, a second.
    pub returns_per_s: f64,
    /// In so many connections at once.
    pub parallel: usize,
    /// So many of the users have to do with tickets; the others only listen.
    pub staff: usize,
    /// About as large is a message's frame.
    pub bytes: usize,
}

/// One message to all, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FanOut {
    /// How often.
    pub rounds: u64,
    /// So many at once, after those that come one at a time; below 2: none.
    pub burst: u64,
    /// About as large is a frame.
    pub bytes: usize,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// One of our own, started for each run on a database of its own; from this file, or from ours.
    Spawned(Option<PathBuf>),
    /// The bare loop of `write()`s.
    Bare,
    /// One that runs.
    Running(Box<Running>),
}

/// A server that runs already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Where.
    pub place: Place,
    /// Its process, where its memory and CPU time are wanted.
    pub pid: Option<u32>,
    /// How to talk to it, where it is none of ours.
    pub plain: Option<Plain>,
}

/// How to talk to a server that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// Sent once a socket is upgraded.
    pub subscribe: Option<String>,
    /// When a socket is open.
    pub ready: Ready,
    /// More of the handshake's head.
    pub headers: Vec<String>,
    /// How a message is sent.
    pub publish: Option<Publish>,
}

/// How a message is sent: one `POST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Where.
    pub place: Place,
    /// More of the head.
    pub headers: Vec<String>,
    /// The body, with `{message}` in it.
    pub body: String,
}

/// An address with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As it was written.
    pub url: String,
    /// Where that is.
    pub address: SocketAddr,
    /// What its `Host` is.
    pub host: String,
    /// Path and query.
    pub path: String,
}

impl Place {
    /// Reads a URL and looks its host up.
    ///
    /// # Errors
    /// It is none, or of a scheme that cannot be measured; the text does not name the option.
    pub fn parse(url: &str) -> Result<Self, LoadError> {
        let bad = |why: &str| LoadError::Wrong(format!("{url} {why}"));
        let rest = match url.split_once("://") {
            Some(("ws" | "http", rest)) => rest,
            Some(("wss" | "https", _)) => {
                return Err(bad("is encrypted: what would be measured is the encryption"));
            }
            Some(_) | None => return Err(bad("is neither ws://… nor http://…")),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        if host.is_empty() || path.contains([' ', '\r', '\n']) {
            return Err(bad("is not a URL"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let named = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let mut addresses = named.to_socket_addrs().map_err(|error| bad(&error.to_string()))?;
        let address = addresses.next().ok_or_else(|| bad("has no address"))?;
        Ok(Self { url: url.to_owned(), address, host: host.to_owned(), path })
    }
}

impl Publish {
    /// A connection for messages.
    ///
    /// # Errors
    /// It cannot be reached; the text says where.
    pub fn connect(&self, patience: Duration) -> Result<Rest, LoadError> {
        let Place { address, host, .. } = &self.place;
        Rest::connect(*address, host, patience).map_err(|error| self.failed(error))
    }

    /// What went wrong with a message, and where.
    #[must_use]
    pub fn failed(&self, error: impl std::fmt::Display) -> LoadError {
        LoadError::Failed(format!("messages go to {}: {error}", self.place.url))
    }
}

impl Workload {
    /// What it is called on the command line and in what is printed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::FanOut(_) => "fan-out",
            Self::Tickets(_) => "tickets",
            Self::Replay(_) => "replay",
            Self::Mixed(_) => "mixed",
        }
    }

    /// The fewest who can do it, and why.
    #[must_use]
    pub fn least(&self) -> (usize, &'static str) {
        match self {
            Self::Idle | Self::Connect | Self::FanOut(_) | Self::Replay(_) => (1, "somebody"),
            Self::Tickets(_) => (3, "a ticket's life takes an admin, a developer and a client"),
            Self::Mixed(mixed) => {
                (mixed.staff + 1, "beside the --staff it takes one who only listens")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (url, address, host, path) in [
            ("ws://127.0.0.1:8000", "127.0.0.1:8000", "127.0.0.1:8000", "/"),
            ("http://127.0.0.1/a?b={user}", "127.0.0.1:80", "127.0.0.1", "/a?b={user}"),
            ("ws://[::1]:9?x", "[::1]:9", "[::1]:9", "/?x"),
        ] {
            let place = Place::parse(url).unwrap();
            assert_eq!(place.address.to_string(), address);
            assert_eq!((place.host.as_str(), place.path.as_str()), (host, path));
        }
        for url in ["wss://x", "ftp://x", "x", "ws://", "ws:///a", "ws://127.0.0.1/a b"] {
            let error = Place::parse(url).unwrap_err();
            assert!(matches!(&error, LoadError::Wrong(text) if text.contains(url)), "{error}");
        }
    }
}
