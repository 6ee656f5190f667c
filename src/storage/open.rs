//! Opens the store that a database URL names.

use std::sync::Arc;

use bellpull_port::{Store, StoreError};

use super::StoreOptions;
use super::postgres::{self, PostgresStore};
use super::sqlite::{self, Found, SqliteStore};

/// Why a store could not be opened. The text is for the operator and contains no password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The SQLite store could not be opened.
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    /// The PostgreSQL store could not be opened.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
}

impl OpenError {
    /// Whether the database was found but its schema could not be brought up to date.
    #[must_use]
    pub fn is_migration(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.is_migration(),
            Self::Postgres(error) => error.is_migration(),
        }
    }
}

/// Why a database was not migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// It could not be opened, or its schema could not be brought up to date.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It was opened but does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens the store at `url`, creates it if it does not exist, and brings its schema up to date. The
/// URL's scheme selects the store: `sqlite://PATH`, `sqlite::memory:` for a temporary one that is
/// removed with its process, or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
///
/// # Errors
/// See [`OpenError`].
pub async fn open(url: &str, options: StoreOptions) -> Result<Arc<dyn Store>, OpenError> {
    match url.split_once("://") {
        Some(("postgres" | "postgresql", _)) => {
            Ok(Arc::new(PostgresStore::open(url, options).await?))
        }
        // The SQLite store rejects every URL that is not its own.
        _ => Ok(Arc::new(SqliteStore::open(url, options).await?)),
    }
}

/// Brings the schema of the database at `url` up to date. A hub may be running on it.
///
/// # Errors
/// See [`MigrateError`].
pub async fn migrate(url: &str) -> Result<(), MigrateError> {
    let store = open(url, StoreOptions { exclusive: false, ..StoreOptions::default() }).await?;
    let up = store.answers().await;
    store.close().await;
    Ok(up?)
}

/// What is at the path of the database at `url`; `None` if it is a server's, or in memory.
///
/// # Errors
/// See [`OpenError`].
pub fn found(url: &str) -> Result<Option<Found>, OpenError> {
    match url.split_once("://") {
        Some(("postgres" | "postgresql", _)) => Ok(None),
        _ => Ok(sqlite::found(url)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_names_the_server_and_not_the_password() {
        // No server listens on port 1.
        for scheme in ["postgres", "postgresql"] {
            let url = format!("{scheme}://bell:hunter2@127.0.0.1:1/bells");
            let text = open(&url, StoreOptions::default()).await.unwrap_err().to_string();
            assert!(text.contains("127.0.0.1:1/bells"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_scheme_chooses_the_store() {
        let store = open("sqlite::memory:", StoreOptions::default()).await.unwrap();
        store.answers().await.unwrap();
        store.close().await;
        store.answers().await.unwrap_err();
        let unknown = open("mysql://x", StoreOptions::default()).await.unwrap_err();
        assert!(unknown.to_string().contains("sqlite://PATH"), "{unknown}");
    }
}
