//! `serve`: runs the hub.

use super::{CliError, SettingFlags};
use crate::config::Config;
use crate::telemetry;

const EXAMPLES: &str = "\
Examples:
  bellpull serve
  bellpull serve --listen 127.0.0.1:0 --database sqlite::memory:
  BELLPULL_HTTP_ALLOWED_ORIGINS=https://app.example.com bellpull serve --log json

The same in bellpull.toml:
  listen = \"127.0.0.1:8000\"
  [http]
  allowed_origins = [\"https://app.example.com\"]

A flag counts before its variable, a variable before the file, the file before the default.";

/// What `serve` takes: every setting.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    settings: SettingFlags<true>,
}

impl Args {
    /// The settings, checked, and the log that they ask for.
    ///
    /// # Errors
    /// [`CliError::Wrong`].
    pub fn load(self) -> Result<Config, CliError> {
        self.settings.load()
    }
}

/// Runs the hub until it is told to stop.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let config = args.load()?;
    telemetry::init_metrics();
    // The hub is put together and run here.
    Err(CliError::failed(format!("{}: there is no hub in this build", config.listen)))
}
