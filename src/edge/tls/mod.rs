//! TLS on accepted connections, without a proxy.
//!
//! `handshake` opens a connection; [`TlsStream`] is the open one, whose state without I/O is
//! `session`.

mod handshake;
mod session;
mod stream;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use self::handshake::{Acceptor, Failed};
pub use self::stream::TlsStream;
