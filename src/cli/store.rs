//! The database, as the commands beside a hub open it.

use std::sync::Arc;

use bellpull_actors::port::AccountStore;

use super::CliError;
use crate::config::Config;

/// Opens the database beside a hub that may be running on it.
///
/// # Errors
/// [`CliError::Failed`], with the database's address.
pub async fn open_store(config: &Config) -> Result<Arc<dyn AccountStore>, CliError> {
    // Joined with the store: SqliteStore::open(&config.database_url, StoreOptions { exclusive:
    // false, ..Default::default() }), its OpenError as `failed` below.
    let failed = |error: &str| CliError::failed(format!("{}: {error}", config.database_url));
    Err(failed("there is no store in this build"))
}
