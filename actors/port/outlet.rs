//! The write side of a session, as its user's actor sees it.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::budget::Budget;
use crate::request::{Answer, Asked};
use bellpull_domain::ids::Seq;
use bellpull_domain::inbox::{Entry, Marked, Row};
use bellpull_domain::stream::{Present, SharedStreamEvent, Stream};
use bellpull_domain::ticket::Caller;

/// The write side of one session (a WebSocket, or an event stream). The user actor owns it and is
/// its only writer. The outlet encodes, because it knows its client's dialect.
///
/// Dropping an outlet without [`Outlet::close`] (its actor panicked or was killed) closes the
/// connection with [`Ending::Restarting`], as far as possible without waiting.
pub trait Outlet: Send + 'static {
    /// Appends a frame to the buffer. Nothing is written before [`Outlet::flush`].
    fn push(&mut self, frame: Outgoing<'_>);

    /// Writes the buffer, without ever blocking. What the connection does not accept stays; the
    /// actor is then told [`Heard::Writable`](crate::session::Heard::Writable) once the connection
    /// accepts more, unless another flush has written everything before that.
    ///
    /// # Errors
    /// [`Broken`] if the connection is gone or the buffer too large; the actor closes the session.
    fn flush(&mut self) -> Result<(), Broken>;

    /// Sends the close reason and ends the connection. Flushed frames are sent before it.
    fn close(self: Box<Self>, why: Ending);

    /// How long ago the client's last message was.
    fn silent(&self) -> Duration;

    /// How the client is connected, for operators.
    fn connection(&self) -> Connection;

    /// Bytes that the connection has not accepted, pushed ones included.
    fn waiting_bytes(&self) -> usize;

    /// Counts the buffer, after a flush that did not write all of it, in the budget of all
    /// sessions; released as it is written.
    ///
    /// # Errors
    /// [`Broken::TooSlow`] if the budget has no room for it.
    fn count(&mut self, _unsent: &Budget) -> Result<(), Broken> {
        Ok(())
    }

    /// Whole seconds for which the connection has accepted nothing of the buffer; 0 if that is
    /// empty.
    fn stalled_s(&self) -> u32 {
        0
    }

    /// Whether its client cannot send anything (an event stream's cannot).
    fn is_one_way(&self) -> bool {
        false
    }

    /// Whether the other side's kernel has acknowledged everything that was written, as far as this
    /// side can know.
    fn is_acknowledged(&self) -> bool {
        true
    }
}

/// How a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Its dialect's name.
    pub dialect: &'static str,
    /// The connection's other side: the client, or the last proxy before the hub; `None` where
    /// only the HTTP server knows it.
    pub peer: Option<SocketAddr>,
}

/// A frame for a client, before its dialect.
#[derive(Debug, Clone, Copy)]
pub enum Outgoing<'a> {
    /// The session is established.
    Established {
        /// The user.
        user: &'a Caller,
    },
    /// The backlog was longer than the limit; how many of the oldest were left out.
    Truncated {
        /// How many.
        skipped: i64,
    },
    /// A new notification, or one that is shown by its entry.
    Notification {
        /// The entry.
        entry: &'a Entry,
        /// The unread count after it if it is live, else the last known count.
        unread_count: i64,
    },
    /// A session of changes is established (instead of [`Self::Established`]).
    Welcome(Welcome<'a>),
    /// The client's state is of another store: it drops it and starts from what follows.
    Reset,
    /// A row in its latest state, of which the client may have missed several changes.
    Row {
        /// The row.
        row: &'a Row,
        /// Whether the client was not shown its entry.
        is_news: bool,
        /// Whether a client that resumes from this position misses nothing. It would miss
        /// notifications that are shown later, because they changed later, although they are older.
        is_resumable: bool,
        /// The count at the end of the backlog.
        unread_count: i64,
    },
    /// Rows were marked.
    Marked(&'a Marked),
    /// A request was done, or not.
    Answer {
        /// The request.
        asked: &'a Asked,
        /// The result.
        answer: &'a Answer,
    },
    /// A stream's event.
    Stream(&'a SharedStreamEvent),
    /// The present users of a presence stream.
    Present {
        /// Which stream.
        stream: Stream,
        /// All present users.
        people: &'a [Present],
    },
    /// A stream that the client subscribed to has ended.
    StreamEnded {
        /// Which stream.
        stream: Stream,
        /// For machines.
        code: &'static str,
        /// A text for a reader.
        message: &'a str,
    },
    /// The session's token expires soon.
    TokenExpiring {
        /// When.
        expires_at: Timestamp,
    },
    /// The answer to a client's ping, with the client's timestamp, if it sent one.
    Pong(Option<&'a RawValue>),
    /// The client sent an invalid message.
    Error {
        /// The client's name for the request, if it has one.
        tag: Option<&'a str>,
        /// For machines.
        code: &'static str,
        /// A text for a reader.
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
    /// The user.
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
    /// Whether what follows continues the client's state.
    pub is_resumed: bool,
    /// A client that receives nothing for longer than twice this should reconnect, in ms.
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

/// Why a session ends; each transport expresses it in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client closed; with the code to answer.
    Closed {
        /// The client's code, or 1000.
        code: u16,
    },
    /// The client broke the protocol of the transport itself (1002, 1003, 1007).
    Protocol {
        /// Which of them.
        code: u16,
        /// The violation.
        reason: &'static str,
    },
    /// A message was larger than the limit (1009).
    TooBig,
    /// The session's actor or the whole hub restarts: reconnect (1012).
    Restarting {
        /// After so long.
        retry_after_ms: u32,
    },
    /// The client kept sending invalid messages (4400).
    Abuse,
    /// The token has expired, or was revoked (4401).
    TokenEnded(TokenEnd),
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

/// Why a token is no longer accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenEnd {
    /// Its time is over.
    Expired,
    /// The user has logged out.
    LoggedOut,
    /// The login was revoked.
    Revoked,
    /// The password was changed.
    PasswordChanged,
    /// The password was reset.
    PasswordReset,
}

impl TokenEnd {
    /// What the client is told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "token expired",
            Self::LoggedOut => "logged out",
            Self::Revoked => "login revoked",
            Self::PasswordChanged => "password changed",
            Self::PasswordReset => "password reset",
        }
    }
}

/// What closes sessions from outside their actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// The token that they were opened with.
    Token(TokenEnd),
    /// The right to be here: the account was deactivated, or does not exist any more.
    Right,
    /// Another role than the account has now: the client comes back at once, with the rights of
    /// that.
    Role,
}

impl From<Broken> for Ending {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Gone => Self::Closed { code: 1006 },
            Broken::TooSlow => Self::TooSlow,
        }
    }
}

impl From<Revoked> for Ending {
    fn from(revoked: Revoked) -> Self {
        match revoked {
            Revoked::Token(end) => Self::TokenEnded(end),
            Revoked::Right => Self::RightWithdrawn,
            Revoked::Role => Self::Restarting { retry_after_ms: 0 },
        }
    }
}
