//! The database, as the commands beside a hub open it.

use std::sync::Arc;

use bellpull_actors::port::AccountStore;

use super::CliError;
use crate::config::Config;
use crate::storage::sqlite::{OpenError, SqliteStore, StoreOptions};

/// Opens the database beside a hub that may be running on it.
///
/// # Errors
/// [`CliError::Wrong`] for an address that is none, else [`CliError::Failed`].
pub async fn open_store(config: &Config) -> Result<Arc<dyn AccountStore>, CliError> {
    let options = StoreOptions { exclusive: false, ..StoreOptions::default() };
    match SqliteStore::open(&config.database_url, options).await {
        Ok(store) => Ok(Arc::new(store)),
        Err(error @ OpenError::Address(_)) => {
            Err(CliError::wrong(format!("database_url: {error}")))
        }
        Err(error) => Err(CliError::failed(format!("database_url: {error}"))),
    }
}
