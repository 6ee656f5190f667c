//! Opens the database for commands beside a hub.

use std::io::Write;
use std::sync::Arc;

use bellpull_port::Store;

use super::CliError;
use bellpull_config::Config;
use bellpull_storage::{Found, MigrateError, OpenError, StoreOptions};

/// Opens the database beside a hub that may be running on it. An SQLite file is created if there is
/// none. The caller must close it, or a file's log remains beside it.
///
/// # Errors
/// [`CliError::Wrong`] for a URL that is not a database of ours, [`CliError::Failed`] if it cannot
/// be migrated.
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>, CliError> {
    open(config, StoreOptions { exclusive: false, ..StoreOptions::default() }).await
}

/// The same for the load tester, which makes its own databases and need not tell of it.
///
/// # Errors
/// As [`open_store`].
pub(super) async fn open_own_store(config: &Config) -> Result<Arc<dyn Store>, CliError> {
    check_lasting(config)?;
    let options = StoreOptions { exclusive: false, ..StoreOptions::default() };
    bellpull_storage::open(config.database_url.reveal(), options)
        .await
        .map_err(|error| refused(&error))
}

/// The same for a command that needs an existing database: it creates no file.
///
/// # Errors
/// As [`open_store`], and [`CliError::Wrong`] if there is no database.
pub async fn open_existing_store(config: &Config) -> Result<Arc<dyn Store>, CliError> {
    open(config, StoreOptions { exclusive: false, create: false, ..StoreOptions::default() }).await
}

/// The same for a command that is about the hub that runs on it, of which it need not tell.
///
/// # Errors
/// As [`open_existing_store`].
pub(super) async fn open_hubs_store(config: &Config) -> Result<Arc<dyn Store>, CliError> {
    check_lasting(config)?;
    let options = StoreOptions { exclusive: false, create: false, ..StoreOptions::default() };
    bellpull_storage::open(config.database_url.reveal(), options)
        .await
        .map_err(|error| refused(&error))
}

/// The same for a command that has an SQLite file for itself: no hub may be running on it.
///
/// # Errors
/// As [`open_existing_store`].
pub async fn open_store_alone(config: &Config) -> Result<Arc<dyn Store>, CliError> {
    open(config, StoreOptions { exclusive: true, create: false, ..StoreOptions::default() }).await
}

async fn open(config: &Config, options: StoreOptions) -> Result<Arc<dyn Store>, CliError> {
    check_lasting(config)?;
    let before = Before::look(config)?;
    let url = config.database_url.reveal();
    let store = bellpull_storage::open(url, options).await.map_err(|error| refused(&error))?;
    before.tell();
    Ok(store)
}

/// What was at the database's path before a command opened it: nothing for a server's.
pub(super) struct Before(Option<Found>);

impl Before {
    /// Looks.
    ///
    /// # Errors
    /// [`CliError::Wrong`] where the command would open, or make, another database than the hub's.
    pub(super) fn look(config: &Config) -> Result<Self, CliError> {
        let found = bellpull_storage::found(config.database_url.reveal())
            .map_err(|error| refused(&error))?;
        Ok(Self(found))
    }

    /// Tells on stderr that a database was made, since a mistyped path makes one as well, or that a
    /// hub is running on it.
    fn tell(&self) {
        match &self.0 {
            Some(Found { is_there: false, path, .. }) => {
                // If this fails, there is nowhere to report it.
                let path = path.display();
                let _ =
                    writeln!(anstream::stderr(), "bellpull: there was no database: made {path}");
            }
            Some(_) | None => self.tell_running(),
        }
    }

    /// Tells on stderr that a hub is running on it.
    pub(super) fn tell_running(&self) {
        if let Some(Found { is_running: true, path, .. }) = &self.0 {
            let path = path.display();
            let _ = writeln!(anstream::stderr(), "bellpull: a hub is running on {path}");
        }
    }
}

/// Brings the database's schema up to date, beside a hub that may be running on it.
///
/// # Errors
/// As [`open_store`], and when the database does not answer.
pub async fn migrate(config: &Config) -> Result<(), CliError> {
    check_lasting(config)?;
    let before = Before::look(config)?;
    bellpull_storage::migrate(config.database_url.reveal()).await.map_err(|error| match error {
        MigrateError::Open(error) => refused(&error),
        MigrateError::Store(error) => error.into(),
    })?;
    before.tell();
    Ok(())
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
