//! Event streams: the other way to a session, for those whose proxy breaks WebSocket.
//!
//! To the user's actor an event stream is a session like any other, with heartbeat, expiry, logout
//! and limits; only its client says nothing back. [`outlet`] writes frames as events, [`pipe`]
//! carries them to the answer's body.

mod outlet;
mod pipe;

pub(crate) use outlet::SseOutlet;
pub(crate) use pipe::{Events, Line};

/// A session's two ends: what its actor writes to, and the body that the client reads.
pub(crate) fn stream(dialect: crate::wire::Dialect) -> (SseOutlet, Events, Line) {
    let (writer, events, line) = pipe::pipe();
    (SseOutlet::new(writer, dialect), events, line)
}
