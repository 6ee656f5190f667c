//! TLS on accepted connections, without a proxy.
//!
//! `handshake` opens a connection; [`TlsStream`] is the open one, whose state without I/O is
//! `session`.

mod handshake;
mod session;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use self::handshake::{Acceptor, Failed};
pub(crate) use self::stream::TlsStream;
