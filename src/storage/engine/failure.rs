//! Why a statement or a change failed.

use bellpull_port::StoreError;

use crate::postgres::failed;
use crate::sqlite::of_request;

/// A failed statement.
#[derive(Debug)]
pub(in super::super) enum SqlError {
    /// Of SQLite.
    Sqlite(rusqlite::Error),
    /// Of PostgreSQL.
    Postgres(sqlx::Error),
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Sqlite(error) => of_request(&error),
            SqlError::Postgres(error) => failed(error),
        }
    }
}

/// Why a change was not made; nothing of it was.
#[derive(Debug)]
pub(in super::super) enum Failure {
    /// A statement failed.
    Sql(SqlError),
    /// The request cannot be carried out.
    Refused(StoreError),
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql(error) => error.into(),
            Failure::Refused(error) => error,
        }
    }
}
