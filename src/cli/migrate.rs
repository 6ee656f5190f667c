//! `migrate`: migrates the database.

use bellpull_actors::port::AccountStore;

use super::{CliError, SettingFlags, open_store, print_line};

/// The options of `migrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: SettingFlags<false>,
}

/// Applies missing migrations. Opening a database does that.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let config = args.settings.load()?;
    let store = open_store(&config).await?;
    let up = store.ping().await;
    store.close().await;
    up?;
    print_line(&format!("{} is up to date", config.database_url))
}
