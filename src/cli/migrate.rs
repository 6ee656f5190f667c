//! `migrate`: brings the database up to date.

use bellpull_actors::port::AccountStore;

use super::{CliError, SettingFlags, open_store, print_line};

/// What `migrate` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: SettingFlags<false>,
}

/// Applies what is missing. Opening a database does that.
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
