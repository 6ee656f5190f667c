//! Event streams: sessions for clients behind proxies that break WebSocket.
//!
//! To the user's actor an event stream is a session like any other, with heartbeat, expiry, logout
//! and limits; only its client sends nothing back. [`outlet`] encodes frames as events, [`pipe`]
//! passes them to the answer's body. [`read`] is a client's side, for streams of other nodes.

mod outlet;
mod pipe;
pub mod read;

pub(crate) use outlet::SseOutlet;
pub(crate) use pipe::{Events, Line};

/// The two ends of a session: the actor's write side, and the body that the client reads.
/// `epoch` is the store's: positions are told with it. `queue` is the connection's.
pub(crate) fn stream(
    dialect: bellpull_wire::Dialect,
    epoch: std::sync::Arc<str>,
    queue: Option<bellpull_edge::send_queue::SendQueue>,
) -> (SseOutlet, Events, Line) {
    let (writer, events, line) = pipe::pipe();
    (SseOutlet::new(writer, dialect, epoch, queue), events, line)
}
