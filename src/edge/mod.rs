//! What the HTTP and the socket edge share: `proxies` determines the client of a request, with
//! `forwarded`, the headers in which proxies name it; `handshakes` limits how often a client may
//! open a session.

mod forwarded;
mod handshakes;
mod proxies;

pub use self::handshakes::HandshakeLimit;
pub use self::proxies::{TrustedProxies, peer};
