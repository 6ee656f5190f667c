//! Opens the database for commands beside a hub.

use std::sync::Arc;

use bellpull_actors::port::Store;

use super::CliError;
use crate::config::Config;
use crate::storage::{self, MigrateError, OpenError, StoreOptions};

/// Opens the database beside a hub that may be running on it. An SQLite file is created if there is
/// none. The caller must close it, or a file's log remains beside it.
///
/// # Errors
/// [`CliError::Wrong`] for a URL that is not a database of ours, [`CliError::Failed`] if it cannot
/// be migrated.
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>, CliError> {
    open(config, StoreOptions { exclusive: false, ..StoreOptions::default() }).await
}

/// The same for a command that needs an existing database: it creates no file.
///
/// # Errors
/// As [`open_store`], and [`CliError::Wrong`] if there is no database.
pub async fn open_existing_store(config: &Config) -> Result<Arc<dyn Store>, CliError> {
    open(config, StoreOptions { exclusive: false, create: false, ..StoreOptions::default() }).await
}

async fn open(config: &Config, options: StoreOptions) -> Result<Arc<dyn Store>, CliError> {
    check_lasting(config)?;
    storage::open(config.database_url.reveal(), options).await.map_err(|error| refused(&error))
}

/// Brings the database's schema up to date, beside a hub that may be running on it.
///
/// # Errors
/// As [`open_store`], and when the database does not answer.
pub async fn migrate(config: &Config) -> Result<(), CliError> {
    check_lasting(config)?;
    storage::migrate(config.database_url.reveal()).await.map_err(|error| match error {
        MigrateError::Open(error) => refused(&error),
        MigrateError::Store(error) => error.into(),
    })
}

/// A database that ends with its process is of no use to a command.
pub(super) fn check_lasting(config: &Config) -> Result<(), CliError> {
    if config.database_url.reveal().ends_with(":memory:") {
        let why = "sqlite::memory: ends with its process: this command needs a hub's database";
        return Err(CliError::wrong(format!("database_url: {why}")));
    }
    Ok(())
}

fn refused(error: &OpenError) -> CliError {
    let text = format!("database_url: {error}");
    if error.is_migration() { CliError::failed(text) } else { CliError::wrong(text) }
}
