//! SQLite's errors as errors of the ports.

use std::fmt::Display;

use bellpull_actors::port::StoreError;
use rusqlite::ffi;

/// Any failure: for the log, never for a client.
pub(super) fn unavailable(error: impl Display) -> StoreError {
    tracing::warn!(%error, "the store does not answer");
    StoreError::Unavailable(error.to_string())
}

/// A row holds what no version of the hub writes.
pub(super) fn corrupt(what: &str) -> StoreError {
    tracing::error!(what, "a row cannot be read");
    StoreError::Unavailable(format!("a row with an unreadable {what}"))
}

/// The error of a request that failed when it was tried alone: it names what does not exist, it
/// creates what exists already, or the store cannot take it now.
pub(super) fn of_request(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error().map(|error| error.extended_code) {
        Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => StoreError::NotFound,
        Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
            StoreError::Conflict
        }
        _ => unavailable(error),
    }
}
