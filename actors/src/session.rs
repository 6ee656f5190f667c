//! A session: one socket of a user's, from the edge's point of view.
//!
//! The edge makes a [`SessionStart`], gives it to [`crate::directory::Users::attach`], and gets a
//! [`Session`] back: the reader's way to tell the user's actor what it heard.

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::domain::ids::{LoginId, Seq, UserId};
use crate::domain::stream::Stream;
use crate::port::outlet::{Ending, Outlet};
pub use crate::port::request::{Answer, Ask, Asked, Note, Tag, Token};

/// Where a session's notifications begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With what was never sent to any of the user's sockets.
    Undelivered,
    /// With what was born after this number.
    Since(Seq),
    /// With the next one that is born.
    Live,
}

/// What of its user's inbox a session is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Nothing: the session is for a stream alone.
    Nothing,
    /// Notifications, by their births (the four families); marks are told as they happen.
    Entries(Begin),
    /// Every change, each row once in its latest state (`bellpull.v1`).
    Changes(Resume),
}

/// Where a session's changes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// With what was not acknowledged (and not sent to a session that needs not acknowledge).
    Unacknowledged,
    /// After this number of this store's. One that is ahead of the store is another store's.
    After(Seq),
    /// What the client holds is another store's: it is told to drop it, and shown the inbox from
    /// its beginning.
    Reset,
    /// With the next change.
    Live,
}

/// A session that is to be.
pub struct SessionStart {
    /// Its write side.
    pub outlet: Box<dyn Outlet>,
    /// What of the inbox it is shown.
    pub feed: Feed,
    /// The stream that it is for, and with which it ends; `None` for a session that subscribes
    /// and unsubscribes as it likes, or not at all.
    pub stream: Option<Stream>,
    /// The login that its token came from; `None` for a foreign or a service token.
    pub login: Option<LoginId>,
    /// When its token expires.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for SessionStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionStart")
            .field("feed", &self.feed)
            .field("stream", &self.stream)
            .field("login", &self.login)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What a reader heard from the client.
#[derive(Debug)]
pub enum Heard {
    /// `{"type":"ping"}`, with its timestamp as it was written.
    Ping(Option<Box<RawValue>>),
    /// Something that is to be done and answered.
    Asked(Box<Asked>),
    /// The client gave another token; what its signature and claims came to.
    Renewed {
        /// What the client called its request.
        tag: Tag,
        /// The new token's, or why there is none.
        renewal: Result<Renewal, NotRenewed>,
    },
    /// A message that its dialect does not know; the session stays open and says so.
    Bad {
        /// What the client called its request, where that could be read.
        tag: Tag,
        /// For machines.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// The protocol's own ping, at most 125 bytes.
    ProtocolPing(Box<[u8]>),
    /// The connection takes bytes again.
    Writable,
    /// The session is over, and why.
    Ended(Ending),
}

/// What a new token gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// Whose it is: another user's will not do.
    pub user: UserId,
    /// The login that it came from.
    pub login: Option<LoginId>,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Why a session does not go on with another token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRenewed {
    /// The token will not do, and why, for people.
    BadToken(String),
    /// Another token is being looked at: this one was not.
    Busy,
    /// It could not be checked now: it may be valid.
    Unavailable,
}
