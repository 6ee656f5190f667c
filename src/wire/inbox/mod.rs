//! The dialect `inbox`: commands over the socket, each with an answer of its own.
//!
//! In reading order: [`commands`] (what clients say) and [`answers`] (what they are told).

mod answers;
mod commands;
#[cfg(test)]
mod tests;

pub(super) use answers::{answer, notification};
pub(super) use commands::decode;
