//! The write side of a session, as its user's actor sees it.

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::budget::Budget;
use crate::domain::ids::Seq;
use crate::domain::inbox::{Entry, Marked, Row};
use crate::domain::stream::{Present, SharedStreamEvent, Stream};
use crate::domain::ticket::Caller;
use crate::port::request::{Answer, Asked};

/// The write side of one session (a WebSocket, or an event stream). The user actor owns
/// it is the only writer. The outlet encodes, because it knows its client's dialect.
///
/// Dropping an outlet without [`Outlet::close`] (its actor panicked or was killed) closes the
/// connection with [`Ending::Restarting`], as well as it can without waiting.
pub trait Outlet: Send + 'static {
    /// Puts a frame behind those that wait. Nothing is written before [`Outlet::flush`].
    fn push(&mut self, frame: Outgoing<'_>);

    /// Writes what waits, without ever blocking. What the connection does not take stays; the
    /// outlet then calls the `writable` function that it was made with once it takes more.
    ///
    /// # Errors
    /// [`Broken`] when the connection is gone or too much waits; the actor closes the session.
    fn flush(&mut self) -> Result<(), Broken>;

    /// Says why, and ends the connection. What was flushed before goes out before.
    fn close(self: Box<Self>, why: Ending);

    /// Whole seconds since the client was last heard.
    fn silent_s(&self) -> u32;

    /// Bytes that wait for the connection to take them, pushed ones too.
    fn waiting_bytes(&self) -> usize;

    /// Counts what waits, after a flush that did not write all of it, in the budget of all
    /// sessions; given back as it is written.
    ///
    /// # Errors
    /// [`Broken::TooSlow`] where the budget has no room for it.
    fn count(&mut self, _unsent: &Budget) -> Result<(), Broken> {
        Ok(())
    }

    /// Whole seconds for which the connection has taken nothing of what waits; 0 where nothing
    /// does.
    fn stalled_s(&self) -> u32 {
        0
    }

    /// Whether its client can say nothing back (an event stream's cannot): what it would have to
    /// acknowledge counts as delivered once the connection has taken it.
    fn is_one_way(&self) -> bool {
        false
    }
}

/// A frame for a client, before its dialect.
#[derive(Debug, Clone, Copy)]
pub enum Outgoing<'a> {
    /// The session stands.
    Established {
        /// Whose it is.
        user: &'a Caller,
    },
    /// The backlog was longer than the limit; so many of its oldest were left out.
    Truncated {
        /// How many.
        skipped: i64,
    },
    /// A notification that was just born, or is shown by its birth.
    Notification {
        /// What arrived.
        entry: &'a Entry,
        /// The unread count after it where it is live, else the count as it was last known.
        unread_count: i64,
    },
    /// A session of changes stands (instead of [`Self::Established`]).
    Welcome(Welcome<'a>),
    /// What the client holds is another store's: it drops it and starts from what follows.
    Reset,
    /// A row in its latest state, of which the client may have missed several changes.
    Row {
        /// The row.
        row: &'a Row,
        /// Whether the client has not been shown its birth.
        is_news: bool,
        /// Whether a client that goes on from this position misses nothing. It would miss news
        /// that come later, being changed later, and were born before.
        is_resumable: bool,
        /// The count at the end of what is being caught up with.
        unread_count: i64,
    },
    /// Rows were marked.
    Marked(&'a Marked),
    /// A request was done, or not.
    Answer {
        /// The request.
        asked: &'a Asked,
        /// What became of it.
        answer: &'a Answer,
    },
    /// What a stream tells.
    Stream(&'a SharedStreamEvent),
    /// Who is on a presence stream now.
    Present {
        /// Which stream.
        stream: Stream,
        /// All present users.
        people: &'a [Present],
    },
    /// A stream that the client subscribed to is told no further.
    StreamEnded {
        /// Which stream.
        stream: Stream,
        /// For machines.
        code: &'static str,
        /// For people.
        message: &'a str,
    },
    /// The session's token expires soon.
    TokenExpiring {
        /// When.
        expires_at: Timestamp,
    },
    /// The answer to a client's ping; what the client sent as its timestamp, if it did.
    Pong(Option<&'a RawValue>),
    /// The client sent what it should not.
    Error {
        /// What the client called its request, where it did.
        tag: Option<&'a str>,
        /// For machines.
        code: &'static str,
        /// For people.
        message: &'a str,
        /// Whether, and after how long, it may be tried again as it is.
        retry_after_ms: Option<u32>,
    },
    /// Is the client there? (The protocol's own ping, not a message.)
    Ping,
    /// The answer to the protocol's own ping.
    ProtocolPong(&'a [u8]),
}

/// How a session of changes begins.
#[derive(Debug, Clone, Copy)]
pub struct Welcome<'a> {
    /// Whose it is.
    pub user: &'a Caller,
    /// The session's number among those of its user on this node.
    pub session: u32,
    /// Names the store: positions of one mean nothing to another.
    pub epoch: &'a str,
    /// Names this process among the cluster's.
    pub node: &'a str,
    /// The inbox' last number.
    pub last_seq: Seq,
    /// Its unread count at that number.
    pub unread_count: i64,
    /// Whether what follows continues what the client holds.
    pub is_resumed: bool,
    /// A client that hears nothing for longer than twice this should connect anew, in ms.
    pub heartbeat_ms: u32,
}

/// Why a session cannot go on writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The connection is gone.
    #[error("the connection is gone")]
    Gone,
    /// More waits than a session may hold (256 frames or 1 MiB), or than all sessions may.
    #[error("the reader is too slow")]
    TooSlow,
}

/// Why a session ends; each transport says it in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client closed; with the code to answer.
    Closed {
        /// What the client gave, or 1000.
        code: u16,
    },
    /// The client broke the protocol of the transport itself (1002, 1003, 1007).
    Protocol {
        /// Which of them.
        code: u16,
        /// What it did.
        reason: &'static str,
    },
    /// A message was larger than the limit (1009).
    TooBig,
    /// The session's actor or the whole hub starts again: come back (1012).
    Restarting {
        /// After so long.
        retry_after_ms: u32,
    },
    /// The client kept sending what it should not (4400).
    Abuse,
    /// The token has expired, or was revoked (4401).
    TokenEnded {
        /// Which.
        reason: &'static str,
    },
    /// The right to be here was withdrawn (4403).
    RightWithdrawn,
    /// No sign of life (4408).
    Silent,
    /// Too slow a reader (4413).
    TooSlow,
    /// Too many sockets, or too many messages (4429).
    TooMany {
        /// Which.
        reason: &'static str,
    },
}
