//! The write side of a session, as its user's actor sees it.

use serde_json::value::RawValue;

use crate::domain::inbox::{Birth, Marked};
use crate::domain::ticket::Caller;

/// The write side of one session (a WebSocket, later also an event stream). The user actor owns
/// it; nobody else writes. Encoding is the outlet's business: it knows its client's dialect.
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

    /// Bytes that wait for the connection to take them.
    fn waiting_bytes(&self) -> usize;
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
    /// A notification.
    Notification(&'a Birth),
    /// Rows were marked.
    Marked(&'a Marked),
    /// The answer to a client's ping; what the client sent as its timestamp, if it did.
    Pong(Option<&'a RawValue>),
    /// The client sent what it should not.
    Error {
        /// For machines.
        code: &'static str,
        /// For people.
        message: &'a str,
    },
    /// Is the client there? (The protocol's own ping, not a message.)
    Ping,
    /// The answer to the protocol's own ping.
    ProtocolPong(&'a [u8]),
}

/// Why a session cannot go on writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The connection is gone.
    #[error("the connection is gone")]
    Gone,
    /// More waits than a session may hold (256 frames or 1 MiB).
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
