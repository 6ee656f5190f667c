//! Why a group is not written.

use bellpull_port::StoreError;

use crate::engine::{self, SqlError};

/// Why a group was not written; nothing of it was.
#[derive(Debug)]
pub(super) enum Failure {
    /// No transaction could begin: another process has locked the database, or it cannot be opened.
    NotBegun(rusqlite::Error),
    /// A statement, or the commit.
    Sql(rusqlite::Error),
    /// A request must be rolled back entirely although a part of it was written.
    Refused(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<engine::Failure> for Failure {
    fn from(failure: engine::Failure) -> Self {
        match failure {
            engine::Failure::Sql(SqlError::Sqlite(error)) => Self::Sql(error),
            other @ (engine::Failure::Sql(SqlError::Postgres(_)) | engine::Failure::Refused(_)) => {
                Self::Refused(other.into())
            }
        }
    }
}
