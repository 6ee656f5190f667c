//! Errors of the databases as errors of the ports.

use std::fmt::Display;

use bellpull_port::StoreError;

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
