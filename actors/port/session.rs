//! A session: one socket of a user, as the edge sees it.
//!
//! The edge builds a [`SessionStart`], passes it to [`crate::directory::Users::attach`], and gets a
//! [`Session`] back: the reader's handle to pass messages to the user's actor.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::agent::Agent;
use crate::outlet::{Ending, Outlet};
pub use crate::request::{Answer, Ask, Asked, Note, Tag, Token};
use bellpull_domain::ids::{LoginId, Seq, UserId};
use bellpull_domain::stream::Stream;

/// Where a session's notifications begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With everything that was never sent to any of the user's sockets.
    Undelivered,
    /// With the entries after this number.
    Since(Seq),
    /// With the next new entry.
    Live,
}

/// Which part of its user's inbox a session is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Nothing: the session is for a stream alone.
    Nothing,
    /// Notifications by their entries (four families); marks are sent as they happen.
    Entries(Begin),
    /// Every change, each row once in its latest state (`bellpull.v1`).
    Changes(Resume),
}

/// Where a session's changes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// With everything that no client has acknowledged.
    Unacknowledged,
    /// With everything that has not arrived at any session: for a client that cannot acknowledge.
    Undelivered,
    /// After this number of this store's. One that is ahead of the store is another store's.
    After(Seq),
    /// The client's position is of another store: it is told to drop its state, and shown the inbox
    /// from the start.
    Reset,
    /// With the next change.
    Live,
}

/// A session that is to be.
pub struct SessionStart {
    /// Its write side.
    pub outlet: Box<dyn Outlet>,
    /// Which part of the inbox it is shown.
    pub feed: Feed,
    /// The stream that it is for, and with which it ends; `None` for a session that subscribes
    /// and unsubscribes as it likes, or not at all.
    pub stream: Option<Stream>,
    /// The login of its token; `None` for a foreign or a service token.
    pub login: Option<LoginId>,
    /// When its token expires.
    pub expires_at: Timestamp,
    /// Its client.
    pub client: Client,
}

/// The client of a session, for operators.
#[derive(Debug, Clone, Copy, Default)]
pub struct Client {
    /// Its address, unless that is the connection's other side.
    pub address: Option<IpAddr>,
    /// What it calls itself.
    pub agent: Agent,
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

/// A client's message, as its reader passes it on.
#[derive(Debug)]
pub enum Heard {
    /// `{"type":"ping"}`, with its timestamp as it was written.
    Ping(Option<Box<RawValue>>),
    /// Something that is to be done and answered.
    Asked(Box<Asked>),
    /// The client sent another token; the result of its verification.
    Renewed {
        /// The client's name for the request.
        tag: Tag,
        /// The new token's claims, or why it is invalid.
        renewal: Result<Renewal, NotRenewed>,
    },
    /// A message that its dialect does not know; the session stays open and answers with an error.
    Bad {
        /// The client's name for the request, if it could be read.
        tag: Tag,
        /// For machines.
        code: &'static str,
        /// A text for a reader.
        message: String,
    },
    /// The protocol's own ping, at most 125 bytes.
    ProtocolPing(Box<[u8]>),
    /// The connection accepts bytes again.
    Writable,
    /// The session is over, and why.
    Ended(Ending),
}

/// The claims of a new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// Its user: another user's token is rejected.
    pub user: UserId,
    /// Its login.
    pub login: Option<LoginId>,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Why a session does not go on with another token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRenewed {
    /// The token is invalid, and why, for a reader.
    BadToken(String),
    /// Another token is being looked at: this one was not.
    Busy,
    /// It could not be checked now: it may be valid.
    Unavailable,
}
