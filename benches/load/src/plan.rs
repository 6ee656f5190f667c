//! What is to be run: built from the command line and validated before anything starts.

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
    /// The workload.
    pub workload: Workload,
    /// The servers, in turn.
    pub servers: Vec<Server>,
    /// The numbers of users, in turn.
    pub sizes: Vec<usize>,
    /// Repetitions of each.
    pub runs: usize,
    /// The users, if the server is not our own.
    pub login: Login,
    /// How handshakes are begun.
    pub pace: Pace,
    /// The number of worker processes.
    pub processes: usize,
    /// Source addresses, in turn.
    pub sources: Vec<IpAddr>,
    /// How long a worker waits for more sockets to be ready before it reads, if many are.
    pub read_wait: Duration,
    /// The time limit of each step.
    pub patience: Duration,
}

/// A workload.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// All connect and wait: the cost of one.
    Idle,
    /// All connect: how fast.
    Connect,
    /// One message to all.
    FanOut(FanOut),
    /// Ticket life cycles.
    Tickets(Tickets),
    /// All reconnect at once, each with a backlog.
    Replay(Replay),
    /// All of these, at a steady rate.
    Mixed(Mixed),
}

/// Ticket life cycles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tickets {
    /// How many.
    pub lives: u64,
    /// The number of connections.
    pub parallel: usize,
}

/// A backlog for every user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The number of messages.
    pub backlog: u64,
    /// The approximate size of a frame.
    pub bytes: usize,
}

/// A mixed load.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// The duration.
    pub time: Duration,
    /// Ticket transitions per second.
    pub steps_per_s: f64,
    /// Messages to all users per second.
    pub fan_outs_per_s: f64,
    /// Reconnecting users per second.
    pub returns_per_s: f64,
    /// The number of connections.
    pub parallel: usize,
    /// How many of the users have tickets; the others only listen.
    pub staff: usize,
    /// The approximate size of a message's frame.
    pub bytes: usize,
}

/// One message to all, repeatedly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FanOut {
    /// How many.
    pub rounds: u64,
    /// This many at once, after those one at a time; below 2: none.
    pub burst: u64,
    /// The approximate size of a frame.
    pub bytes: usize,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// One of our own, started for each run on a temporary database; from this file, or from ours.
    Spawned(Option<PathBuf>),
    /// This many nodes of our own, started for each run on a PostgreSQL and a Redis of their own.
    Cluster(usize),
    /// The bare loop of `write()`s.
    Bare,
    /// A running server.
    Running(Box<Running>),
}

/// A running server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The addresses of its nodes: one, or those of a cluster.
    pub places: Vec<Place>,
    /// The process ids of its nodes, if their memory and CPU time are to be measured.
    pub pids: Vec<u32>,
    /// The protocol, if it is a third-party server.
    pub plain: Option<Plain>,
}

/// The protocol of a third-party server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// Sent once a socket is upgraded.
    pub subscribe: Option<String>,
    /// When a socket is open.
    pub ready: Ready,
    /// Additional header lines of the handshake.
    pub headers: Vec<String>,
    /// How a message is sent.
    pub publish: Option<Publish>,
}

/// How a message is sent: one `POST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The address at each node.
    pub places: Vec<Place>,
    /// Additional header lines.
    pub headers: Vec<String>,
    /// The body, with `{message}` in it.
    pub body: String,
}

/// A URL with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As it was written.
    pub url: String,
    /// Its resolved address.
    pub address: SocketAddr,
    /// Its `Host` header.
    pub host: String,
    /// Path and query.
    pub path: String,
}

impl Place {
    /// Parses a URL and resolves its host.
    ///
    /// # Errors
    /// It is invalid, or its scheme is not supported; the text does not name the option.
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

impl Place {
    /// A connection to it.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn connect(&self, patience: Duration) -> Result<Rest, LoadError> {
        Rest::connect(self.address, &self.host, patience)
    }
}

impl Publish {
    /// A connection for messages; each to the next node.
    ///
    /// # Errors
    /// It cannot be opened; the text names the address.
    pub fn connect(&self, nth: usize, patience: Duration) -> Result<Rest, LoadError> {
        let place = &self.places[nth % self.places.len()];
        place.connect(patience).map_err(|error| self.failed(error))
    }

    /// Path and query of the request.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.places[0].path
    }

    /// The address, in errors.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.places[0].url
    }

    /// Why a message failed, with the address.
    #[must_use]
    pub fn failed(&self, error: impl std::fmt::Display) -> LoadError {
        LoadError::Failed(format!("messages go to {}: {error}", self.url()))
    }
}

impl Workload {
    /// Its name on the command line and in the output.
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

    /// The fewest users that it needs, and why.
    #[must_use]
    pub fn least(&self) -> (usize, &'static str) {
        match self {
            Self::Idle | Self::Connect | Self::FanOut(_) | Self::Replay(_) => (1, "a user"),
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
