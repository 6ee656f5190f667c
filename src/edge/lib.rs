//! What the HTTP and the socket edge share.
//!
//! `proxies` determines the client of a request, with `forwarded`, the headers in which proxies
//! name it, and `agent` reads what it calls itself; `handshakes` limits how often a client may open
//! a session; [`accept`] reads what a client wants. [`listen`] accepts
//! connections, within [`address_limit`], and gives those that begin with a WebSocket handshake to
//! the socket edge; around each connection are [`strict_heads`], [`write_limit`] and [`prefixed`],
//! around a request's body `unread_body`, and its answer counts in [`unsent`]; [`send_queue`]
//! is what the kernel holds of a connection.

pub mod accept;
pub mod address_limit;
mod agent;
mod forwarded;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod handshakes;
pub mod listen;
pub mod prefixed;
mod proxies;
pub mod send_queue;
pub mod stream;
pub mod strict_heads;
pub mod tls;
mod unread_body;
pub mod unsent;
pub mod write_limit;

pub use self::agent::agent;
pub use self::handshakes::HandshakeLimit;
pub use self::proxies::{TrustedProxies, peer};
