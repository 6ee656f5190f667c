//! What the HTTP and the socket edge share.
//!
//! `proxies` determines the client of a request, with `forwarded`, the headers in which proxies
//! name it, and `agent` reads what it calls itself; `handshakes` limits how often a client may open
//! a session; [`accept`] reads what a client wants. [`listen`] accepts
//! connections, within [`address_limit`], and gives those that begin with a WebSocket handshake to
//! the socket edge; around each connection are [`strict_heads`], [`write_limit`] and [`prefixed`],
//! around a request's body `unread_body`, and its answer counts in [`unsent`].

pub(crate) mod accept;
pub(crate) mod address_limit;
mod agent;
mod forwarded;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod handshakes;
pub mod listen;
pub(crate) mod prefixed;
mod proxies;
pub(crate) mod stream;
pub(crate) mod strict_heads;
pub(crate) mod tls;
mod unread_body;
pub(crate) mod unsent;
pub(crate) mod write_limit;

pub use self::agent::agent;
pub use self::handshakes::HandshakeLimit;
pub use self::proxies::{TrustedProxies, peer};
