//! Backups of the database that a URL names, and databases from them.

use std::path::Path;

use super::postgres::dump::{self, DumpError};
use super::sqlite::backup::{self as file, Contents};

/// Why there is no backup, or no database from one. The text is for the operator and contains no
/// password.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Of an SQLite database.
    #[error(transparent)]
    Sqlite(#[from] file::BackupError),
    /// Of a PostgreSQL database.
    #[error(transparent)]
    Postgres(#[from] DumpError),
    /// The task that copies ended by a panic.
    #[error("{0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Writes a backup into a new file, beside hubs that may be running on the database. It tells bytes
/// done, and of how many, where that is known; so are its contents.
///
/// # Errors
/// See [`BackupError`].
pub async fn backup(
    url: &str,
    into: &Path,
    mut told: impl FnMut(u64, u64) + Send + 'static,
) -> Result<Option<Contents>, BackupError> {
    if is_postgres(url) {
        dump::dump(url, into).await?;
        return Ok(None);
    }
    let (url, into) = (url.to_owned(), into.to_owned());
    let copying = tokio::task::spawn_blocking(move || file::backup(&url, &into, &mut told));
    Ok(Some(copying.await??))
}

/// Makes the database from a backup; `epoch` is its new identity.
///
/// # Errors
/// See [`BackupError`].
pub async fn restore(
    url: &str,
    from: &Path,
    epoch: String,
    mut told: impl FnMut(u64, u64) + Send + 'static,
) -> Result<Option<Contents>, BackupError> {
    if is_postgres(url) {
        dump::restore_dump(url, from, &epoch).await?;
        return Ok(None);
    }
    let (url, from) = (url.to_owned(), from.to_owned());
    let copying =
        tokio::task::spawn_blocking(move || file::restore(&url, &from, &epoch, &mut told));
    Ok(Some(copying.await??))
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}
