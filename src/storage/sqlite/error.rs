//! What SQLite says, in the words of the ports.

use bellpull_actors::port::StoreError;

/// Whatever went wrong: for the log, never for a client.
pub(super) fn unavailable(error: sqlx::Error) -> StoreError {
    tracing::warn!(%error, "the store does not answer");
    StoreError::Unavailable(error.to_string())
}

/// A row holds what no version of the hub has written.
pub(super) fn corrupt(what: &str) -> StoreError {
    tracing::error!(what, "a row cannot be read");
    StoreError::Unavailable(format!("a row with an unreadable {what}"))
}

/// A request failed alone, so it is the guilty one: it names what does not exist, it makes what
/// exists already, or the store cannot take it now.
pub(super) fn of_request(error: sqlx::Error) -> StoreError {
    use sqlx::error::ErrorKind;
    match error.as_database_error().map(sqlx::error::DatabaseError::kind) {
        Some(ErrorKind::ForeignKeyViolation) => StoreError::NotFound,
        Some(ErrorKind::UniqueViolation) => StoreError::Conflict,
        _ => unavailable(error),
    }
}

/// Whether a `ROLLBACK` failed only because SQLite had taken the transaction back itself, as it
/// does when the disk is full.
pub(super) fn is_already_rolled_back(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().contains("no transaction"))
}
