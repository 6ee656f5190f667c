//! SQLite's errors as errors of the ports.

use bellpull_port::StoreError;
use rusqlite::ffi;

pub(super) use crate::error::{corrupt, unavailable};

/// The error of a request that failed when it was tried alone: it names what does not exist, it
/// creates what exists already, or the store cannot take it now.
pub(super) fn of_request(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error().map(|error| error.extended_code) {
        Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => StoreError::NotFound,
        Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
            StoreError::Conflict
        }
        Some(code) if matches!(code & 0xff, ffi::SQLITE_TOOBIG | ffi::SQLITE_CONSTRAINT) => {
            tracing::warn!(%error, "the database refuses a value of a request");
            StoreError::Unstorable
        }
        _ => unavailable(error),
    }
}
