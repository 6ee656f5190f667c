//! The dialect `inbox`: commands over the socket, each with an answer of its own.
//!
//! In reading order: [`commands`] (messages of clients) and [`answers`] (frames for them).

mod answers;
mod commands;
#[cfg(test)]
mod tests;

pub(super) use answers::{answer, notification};
pub(super) use commands::decode;
