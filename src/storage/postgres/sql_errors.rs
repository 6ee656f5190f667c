//! What a failed statement means.

use std::fmt::Display;

use bellpull_port::StoreError;

use crate::error::unavailable;

/// A failed statement as an error of the ports.
pub(in super::super) fn failed(error: impl Into<sqlx::Error>) -> StoreError {
    let error = error.into();
    match code(&error).as_deref() {
        Some(FOREIGN_KEY) => StoreError::NotFound,
        Some(UNIQUE) => StoreError::Conflict,
        Some(CANCELLED) => StoreError::TooSlow,
        Some(code) if is_about_data(code) => {
            tracing::warn!(%error, "the database refuses a value of a request");
            StoreError::Unstorable
        }
        Some(PREPARED_TWICE | NOT_PREPARED) => unavailable(POOLER),
        _ => unavailable(text(&error)),
    }
}

/// Whether the values of a statement are at fault, and not the database: its data exceptions
/// (characters, numbers, times), its limits (an index entry's size), its constraints, also those of
/// an administrator's, and what a trigger of theirs raises.
fn is_about_data(code: &str) -> bool {
    const CLASSES: [&str; 5] = ["22", "23", "44", "54", "P0"];
    CLASSES.iter().any(|class| code.starts_with(class)) && !SERVERS_LIMITS.contains(&code)
}

/// Whether the same statements may succeed if they are run again.
pub(super) fn is_transient(error: &sqlx::Error) -> bool {
    let is_theirs = matches!(code(error).as_deref(), Some(SERIALIZATION | DEADLOCK | LOCK_TIMEOUT));
    is_theirs || is_stale_plan(error)
}

/// Whether a table has changed since the connection planned the statement.
pub(super) fn is_stale_plan(error: &sqlx::Error) -> bool {
    let text = |error: &dyn sqlx::error::DatabaseError| error.message().contains("cached plan");
    code(error).as_deref() == Some(UNSUPPORTED) && error.as_database_error().is_some_and(text)
}

/// Whether the connection broke, so that nothing was written unless it was committed.
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    let is_ending = |code: String| code.starts_with("57P") || code.starts_with("08");
    let is_lost = matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::PoolTimedOut
    );
    is_lost || code(error).is_some_and(is_ending)
}

/// PostgreSQL's code of the error, if the server returned it.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

fn text(error: &dyn Display) -> String {
    error.to_string()
}

/// Why a pooler cannot be used that gives each transaction another connection.
pub(super) const POOLER: &str = "a pooler (PgBouncer in transaction mode) spreads the hub's \
    statements over connections; use session mode";

/// A statement that another connection has prepared, or that only another one has: what a pooler
/// in transaction mode makes of prepared statements.
pub(super) const PREPARED_TWICE: &str = "42P05";
pub(super) const NOT_PREPARED: &str = "26000";
const FOREIGN_KEY: &str = "23503";
const UNIQUE: &str = "23505";
/// The code of `cached plan must not change result type`, among others.
const UNSUPPORTED: &str = "0A000";
/// Limits of the server that no value exceeds: too complex a statement, too many columns.
const SERVERS_LIMITS: [&str; 2] = ["54001", "54011"];
const SERIALIZATION: &str = "40001";
const DEADLOCK: &str = "40P01";
const LOCK_TIMEOUT: &str = "55P03";
/// A statement that took longer than its time-out, among others.
const CANCELLED: &str = "57014";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_no_outage() {
        for (code, is_a_values) in [
            ("22021", true),
            ("22P05", true),
            ("22003", true),
            ("23514", true),
            ("23502", true),
            ("44000", true),
            ("54000", true),
            ("P0001", true),
            ("54001", false),
            ("40001", false),
            ("53100", false),
            ("25006", false),
            ("42P01", false),
            ("57P01", false),
            ("XX000", false),
        ] {
            assert_eq!(is_about_data(code), is_a_values, "{code}");
        }
    }
}
