//! What the tool and its worker processes say to each other: one JSON text a line.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::check::Faults;
use super::times::Times;

/// Somebody who listens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// As the server names them.
    pub id: String,
    /// Empty where none is needed.
    pub token: String,
}

/// When a socket counts as open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// Its handshake was answered.
    Upgraded,
    /// A frame came that has this text in it; the empty text: any frame.
    Frame(String),
}

/// Whom to connect to, as whom, and what to look at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setup {
    /// Where the server is.
    pub address: SocketAddr,
    /// What its `Host` is.
    pub host: String,
    /// Path and query of the socket; `{token}` and `{user}` stand for the person's.
    pub path: String,
    /// More of the handshake's head, likewise.
    pub headers: Vec<String>,
    /// Sent once the socket is upgraded, likewise.
    pub subscribe: Option<String>,
    /// When a socket is open.
    pub ready: Ready,
    /// Who connects; one socket each.
    pub people: Vec<Person>,
    /// Where from, in turns; none: the kernel chooses.
    pub sources: Vec<IpAddr>,
    /// Marks of other runs are not counted.
    pub run: u32,
    /// Whether frames have positions that count up by one.
    pub has_positions: bool,
    /// Whether marks must count up by one on each socket (where there are no positions).
    pub are_marks_ordered: bool,
    /// Whether each marked frame is told of: the sender knows when each was asked for.
    pub are_frames_told: bool,
}

/// How handshakes are begun.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Pace {
    /// So many are under way at once.
    Closed(usize),
    /// One each so many nanoseconds, whatever becomes of the others.
    Open {
        /// The time between two.
        every_ns: u64,
    },
}

/// What a worker is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Command {
    /// Comes first.
    Setup(Box<Setup>),
    /// Opens all sockets that are not open.
    Connect {
        /// How.
        pace: Pace,
        /// After so many marked frames somebody has caught up; 0: there is nothing to catch up.
        backlog: u64,
    },
    /// Ends all sockets.
    Disconnect,
    /// Ends the next so many sockets, and opens them again where they stopped.
    Return(usize),
    /// Says so once so many marked frames have come since the last reset.
    Expect(u64),
    /// Tells what there is since the last reset, and begins anew.
    Reset,
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// How far it is; now and then.
    Progress {
        /// Open sockets.
        open: u64,
        /// Marked frames since the last reset.
        received: u64,
    },
    /// All handshakes are over, one way or the other.
    Connected,
    /// What was expected has come.
    Reached {
        /// When the last of it came.
        at_ns: u64,
    },
    /// Marked frames, where each is told of.
    Frames(Vec<Told>),
    /// The answer to [`Command::Reset`].
    Tally(Box<Tally>),
}

/// A frame that the sender knows more of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// The mark's count.
    pub n: u64,
    /// What it told of: the frame's `notification_type`.
    pub event: String,
    /// When it came.
    pub at_ns: u64,
}

/// What happened since the last reset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Open sockets now.
    pub open: u64,
    /// Marked frames; doubles do not count.
    pub received: u64,
    /// Their payloads' bytes.
    pub bytes: u64,
    /// From the time when each was to be begun until its handshake was answered.
    pub handshake: Times,
    /// The same until the socket was open.
    pub ready: Times,
    /// The same until the backlog was whole.
    pub caught_up: Times,
    /// From the time in the mark until the frame came.
    pub frames: Times,
    /// When the first handshake was begun.
    pub begun_ns: u64,
    /// When the last socket was open, or had its backlog.
    pub done_ns: u64,
    /// What was wrong.
    pub faults: Faults,
}

impl Tally {
    /// That of another worker as well.
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
        self.faults.add(&other.faults);
    }
}
