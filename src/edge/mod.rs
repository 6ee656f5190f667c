//! What the HTTP and the socket edge share: `proxies` tells which client a request comes from,
//! with `forwarded`, the headers in which proxies say so; `handshakes` limits how often a client
//! may open a session.

mod forwarded;
mod handshakes;
mod proxies;

pub use self::handshakes::HandshakeLimit;
pub use self::proxies::{TrustedProxies, peer};
