//! The socket edge: who is let in, and the two halves of a session.
//!
//! In reading order: [`admission`] and what it looks at before the upgrade ([`handshake`],
//! [`origin`], dialects on [`offer`], a [`credential`]), [`doorstep`]
//! (the handshake that a connection begins with) or [`upgrade`] (one on a connection that is kept
//! alive, and the way out of hyper's hands) or [`turn_away`], [`reader`] with the [`frame`]s that
//! it reads, what it takes of them ([`hearing`]) and the [`renewal`] of its token, [`outlet`] and
//! what it [`encode`]s, and what both halves have in [`shared`].

mod admission;
mod credential;
mod doorstep;
mod encode;
mod frame;
mod handshake;
mod hearing;
mod offer;
mod origin;
mod outlet;
mod pace;
mod reader;
mod refusal;
mod renewal;
mod shared;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod turn_away;
mod upgrade;

pub(crate) use encode::code_and_reason;
pub(crate) use outlet::reserve;
pub use upgrade::{WsEdge, WsParts, router};
