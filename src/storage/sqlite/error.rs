//! SQLite's errors as errors of the ports.

use bellpull_port::StoreError;
use rusqlite::ffi;

pub(super) use crate::error::{corrupt, unavailable};

/// Whether the request is at fault, and not the database.
pub(super) fn is_of_request(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code & 0xff);
    matches!(code, Some(ffi::SQLITE_TOOBIG | ffi::SQLITE_CONSTRAINT))
}

/// The error of a request that failed when it was tried alone: it names what does not exist, it
/// creates what exists already, or the store cannot take it now.
pub(in super::super) fn of_request(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error().map(|error| error.extended_code) {
        Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => StoreError::NotFound,
        Some(ffi::SQLITE_INTERRUPT) => StoreError::TooSlow,
        Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
            StoreError::Conflict
        }
        _ if is_of_request(error) => {
            tracing::warn!(%error, "the database refuses a value of a request");
            StoreError::Unstorable
        }
        _ => unavailable(error),
    }
}
