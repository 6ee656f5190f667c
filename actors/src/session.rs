//! A session: one socket of a user's, from the edge's point of view.
//!
//! The edge makes a [`SessionStart`], gives it to [`crate::directory::Users::attach`], and gets a
//! [`Session`] back: the reader's way to tell the user's actor what it heard.

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::domain::ids::{LoginId, Seq};
use crate::port::outlet::{Ending, Outlet};

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

/// A session that is to be.
pub struct SessionStart {
    /// Its write side.
    pub outlet: Box<dyn Outlet>,
    /// Where its notifications begin.
    pub begin: Begin,
    /// The login that its token came from; `None` for a foreign or a service token.
    pub login: Option<LoginId>,
    /// When its token expires.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for SessionStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionStart")
            .field("begin", &self.begin)
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
    /// A message that its dialect does not know; the session stays open and says so.
    Bad {
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
