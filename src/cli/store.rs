//! The database, as the commands beside a hub open it.

use std::sync::Arc;

use super::CliError;
use crate::config::Config;
use crate::storage::sqlite::{OpenError, SqliteStore, StoreOptions};

/// Opens the database beside a hub that may be running on it. Whoever opened it closes it, or its
/// log stays behind beside it.
///
/// # Errors
/// [`CliError::Wrong`] for an address that leads to no database of ours, [`CliError::Failed`] when
/// its schema cannot be brought up to date.
pub async fn open_store(config: &Config) -> Result<Arc<SqliteStore>, CliError> {
    if config.database_url.ends_with(":memory:") {
        let why = "sqlite::memory: ends with its process: this command needs a hub's file";
        return Err(CliError::wrong(format!("database_url: {why}")));
    }
    let options = StoreOptions { exclusive: false, ..StoreOptions::default() };
    match SqliteStore::open(&config.database_url, options).await {
        Ok(store) => Ok(Arc::new(store)),
        Err(error @ OpenError::Migrate { .. }) => {
            Err(CliError::failed(format!("database_url: {error}")))
        }
        Err(error) => Err(CliError::wrong(format!("database_url: {error}"))),
    }
}
