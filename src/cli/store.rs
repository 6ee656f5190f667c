//! Opens the database for commands beside a hub.

use std::sync::Arc;

use super::CliError;
use crate::config::Config;
use crate::storage::sqlite::{OpenError, SqliteStore, StoreOptions};

/// Opens the database beside a hub that may be running on it, and creates it if there is none. The
/// caller must close it, or its log remains beside it.
///
/// # Errors
/// [`CliError::Wrong`] for a URL that is not a database of ours, [`CliError::Failed`] if it cannot
/// be migrated.
pub async fn open_store(config: &Config) -> Result<Arc<SqliteStore>, CliError> {
    open(config, StoreOptions { exclusive: false, ..StoreOptions::default() }).await
}

/// The same for a command that needs an existing database: it creates none.
///
/// # Errors
/// As [`open_store`], and [`CliError::Wrong`] if there is no database.
pub async fn open_existing_store(config: &Config) -> Result<Arc<SqliteStore>, CliError> {
    open(config, StoreOptions { exclusive: false, create: false, ..StoreOptions::default() }).await
}

async fn open(config: &Config, options: StoreOptions) -> Result<Arc<SqliteStore>, CliError> {
    if config.database_url.ends_with(":memory:") {
        let why = "sqlite::memory: ends with its process: this command needs a hub's file";
        return Err(CliError::wrong(format!("database_url: {why}")));
    }
    match SqliteStore::open(&config.database_url, options).await {
        Ok(store) => Ok(Arc::new(store)),
        Err(error @ OpenError::Migrate { .. }) => {
            Err(CliError::failed(format!("database_url: {error}")))
        }
        Err(error) => Err(CliError::wrong(format!("database_url: {error}"))),
    }
}
