//! `migrate`: migrates the database.

use super::{CliError, SettingFlags, migrate_store, print_line};

/// The options of `migrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: SettingFlags<false>,
}

/// Applies missing migrations.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let config = args.settings.load()?;
    migrate_store(&config).await?;
    print_line(&format!("{} is up to date", config.database_url))
}
