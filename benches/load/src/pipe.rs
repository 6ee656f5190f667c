//! Messages between the tool and its worker processes: one JSON text per line.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::check::Faults;
use super::times::Times;

/// A listener.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadUser {
    /// Its id at the server.
    pub id: String,
    /// Empty if none is needed.
    pub token: String,
}

/// When a socket counts as open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// Its handshake was answered.
    Upgraded,
    /// A frame with this text arrived; the empty text: any frame.
    Frame(String),
}

/// A node of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its address.
    pub address: SocketAddr,
    /// Its `Host` header.
    pub host: String,
}

/// Where to connect to, as which users, and what to check.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setup {
    /// The server's nodes; sockets are distributed over them in turn.
    pub nodes: Vec<Node>,
    /// How many participants earlier workers have: the turns go on over all workers.
    pub earlier: usize,
    /// Path and query of the socket; `{token}` and `{user}` stand for the listener's.
    pub path: String,
    /// Additional header lines, likewise.
    pub headers: Vec<String>,
    /// Sent once the socket is upgraded, likewise.
    pub subscribe: Option<String>,
    /// When a socket is open.
    pub ready: Ready,
    /// The listeners; one socket each.
    pub participants: Vec<LoadUser>,
    /// Source addresses in turn; none: the kernel chooses.
    pub sources: Vec<IpAddr>,
    /// Marks of other runs are not counted.
    pub run: u32,
    /// Whether frames have positions that count up by one.
    pub has_positions: bool,
    /// Whether marks count up by one on each socket (without positions).
    pub are_marks_ordered: bool,
    /// Whether each marked frame is reported: the sender knows when each was due.
    pub are_frames_reported: bool,
    /// How long to wait for more sockets to be ready, if many are.
    pub read_wait_ns: u64,
}

/// How handshakes are begun.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Pace {
    /// This many in progress at once.
    Closed(usize),
    /// One each this many nanoseconds, whether or not earlier ones have finished.
    Open {
        /// The time between two.
        every_ns: u64,
    },
}

/// Commands for a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Command {
    /// The first command.
    Setup(Box<Setup>),
    /// Opens all sockets that are not open.
    Connect {
        /// How.
        pace: Pace,
        /// A listener has its backlog after this many marked frames; 0: there is none.
        backlog: u64,
    },
    /// Closes all sockets.
    Disconnect,
    /// Closes the next sockets, this many, and opens them again from their last position.
    Return(usize),
    /// Reports once this many marked frames have arrived since the last reset.
    Expect(u64),
    /// Returns the tally since the last reset, and starts a new one.
    Reset,
}

/// Messages of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// Progress, periodically.
    Progress {
        /// Open sockets.
        open: u64,
        /// Marked frames since the last reset.
        received: u64,
    },
    /// All handshakes have succeeded or failed.
    Connected,
    /// All expected frames have arrived.
    Reached {
        /// When the last of them arrived.
        at_ns: u64,
    },
    /// Marked frames, if each is reported.
    Frames(Vec<ReportedFrame>),
    /// The answer to [`Command::Reset`].
    Tally(Box<Tally>),
}

/// A reported frame.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportedFrame {
    /// The mark's count.
    pub n: u64,
    /// The frame's `notification_type`.
    pub event: String,
    /// When it arrived.
    pub at_ns: u64,
}

/// The counts since the last reset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Open sockets now.
    pub open: u64,
    /// Marked frames without duplicates.
    pub received: u64,
    /// Their payloads' bytes.
    pub bytes: u64,
    /// From the time when each was due until its handshake was answered.
    pub handshake: Times,
    /// The same until the socket was open.
    pub ready: Times,
    /// The same until the backlog was complete.
    pub caught_up: Times,
    /// From the time in the mark until the frame arrived.
    pub frames: Times,
    /// When the first handshake began.
    pub begun_ns: u64,
    /// When the last socket was open, or had its backlog.
    pub done_ns: u64,
    /// The share of each node, in the order of the setup.
    pub nodes: Vec<Share>,
    /// The faults.
    pub faults: Faults,
}

/// A node's share of a tally.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Open sockets now.
    pub open: u64,
    /// Marked frames without duplicates.
    pub received: u64,
}

impl Tally {
    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        self.open += other.open;
        self.received += other.received;
        self.bytes += other.bytes;
        self.handshake.add(&other.handshake);
        self.ready.add(&other.ready);
        self.caught_up.add(&other.caught_up);
        self.frames.add(&other.frames);
        self.begun_ns = match (self.begun_ns, other.begun_ns) {
            (0, one) | (one, 0) => one,
            (one, another) => one.min(another),
        };
        self.done_ns = self.done_ns.max(other.done_ns);
        self.nodes.resize(self.nodes.len().max(other.nodes.len()), Share::default());
        for (share, more) in self.nodes.iter_mut().zip(&other.nodes) {
            share.open += more.open;
            share.received += more.received;
        }
        self.faults.add(&other.faults);
    }
}
