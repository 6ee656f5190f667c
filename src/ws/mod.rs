//! The socket edge: who is let in, and the two halves of a session.
//!
//! In reading order: [`admission`] (origin, dialect, token, limits: all before the upgrade),
//! [`upgrade`] (the handshake, and the way out of hyper's hands), [`reader`] and the [`frame`]s
//! that it reads, [`outlet`] and what it [`encode`]s, and what both halves have in [`shared`].

mod admission;
mod encode;
mod frame;
mod outlet;
mod pace;
mod reader;
mod refusal;
mod shared;
#[cfg(test)]
mod tests;
mod upgrade;

#[cfg(test)]
pub(crate) use encode::code_and_reason;
pub use upgrade::{WsEdge, router};
