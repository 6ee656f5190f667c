//! The dialect `bellpull.v1`: everything on one socket, resumable and acknowledged.
//!
//! In reading order: [`commands`] (messages of clients), [`told`] (events), [`replies`] (results of
//! commands).

mod commands;
mod replies;
#[cfg(test)]
mod tests;
mod told;

pub(super) use commands::decode;
pub(super) use replies::{error, reply};
pub(super) use told::{marked, notification, reset, row, stream_ended, token_expiring, welcome};
