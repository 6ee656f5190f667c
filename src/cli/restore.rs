//! `restore`: makes a database from a backup.

use std::path::PathBuf;

use super::backup::Progress;
use super::store::check_lasting;
use super::{CliError, SettingFlags, backup, print_line};

/// The options of `restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = backup::EXAMPLES)]
pub struct Args {
    /// What `backup` has written
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    settings: SettingFlags<false>,
}

/// Makes the database, which must be new or empty.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let config = args.settings.load()?;
    check_lasting(&config)?;
    let epoch =
        getrandom::u64().map_err(|error| CliError::failed(format!("no entropy: {error}")))?;
    let mut progress = Progress::new();
    let told = move |done, total| progress.tell(done, total);
    let url = config.database_url.reveal();
    let done = bellpull_storage::restore(url, &args.file, format!("{epoch:016x}"), told).await;
    let contents = done.map_err(|error| CliError::failed(error.to_string()))?;
    let held = contents.map_or_else(String::new, |held| format!(": {held}"));
    print_line(&format!("{} is restored from {}{held}", config.database_url, args.file.display()))
}
