//! The socket edge: admission, and the two halves of a session.
//!
//! In reading order: [`admission`] and what it checks before the upgrade ([`handshake`],
//! [`origin`], dialects on [`offer`], a [`credential`]), [`fast_path`] (the fast-path handshake) or
//! [`upgrade`] (a handshake on a kept-alive connection, taken over from hyper) or [`rejection`] (a
//! close code as the only frame), [`reader`] with the [`frame`]s that it decodes, its read state
//! ([`read_state`]) and the [`renewal`] of its token, [`outlet`] and what it [`encode`]s, and what
//! both halves share in [`shared`].

mod admission;
mod credential;
mod edge;
mod encode;
mod fast_path;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod handshake;
mod offer;
mod origin;
mod outlet;
mod pace;
mod read_state;
mod reader;
mod refusal;
mod rejection;
mod renewal;
mod shared;
mod take_over;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod upgrade;

pub use edge::{WsEdge, WsParts};
pub use upgrade::router;
