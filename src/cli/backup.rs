//! `backup`: writes what a database holds into a file, beside a running hub.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::store::{Before, check_lasting};
use super::{CliError, SettingFlags, print_line};

/// Between two reports on a terminal.
const SHOWN_EVERY: Duration = Duration::from_millis(200);

pub(super) const EXAMPLES: &str = "\
Examples:
  bellpull backup /var/backups/hub-$(date +%F).bak --database sqlite:///var/lib/bellpull/hub.db
  bellpull restore /var/backups/hub-2026-11-23.bak --database sqlite:///var/lib/bellpull/new.db

SQLite: the file is a database with everything that was acknowledged before the backup ended. The
hub goes on; its log grows until the backup has ended.
PostgreSQL: the file is a dump by pg_dump in its custom format, with everything that was
acknowledged before it began. pg_dump must be installed, as new as the server.

The file holds the keys that sign tokens: keep it as safe as the database.";

/// The options of `backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The new file; an existing one is not overwritten
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    settings: SettingFlags<false>,
}

/// Writes a backup.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let config = args.settings.load()?;
    check_lasting(&config)?;
    Before::look(&config)?.tell_running();
    let mut progress = Progress::new();
    let told = move |done, total| progress.tell(done, total);
    let done = bellpull_storage::backup(config.database_url.reveal(), &args.file, told).await;
    let contents = done.map_err(|error| CliError::failed(error.to_string()))?;
    let size = mib(args.file.metadata().map_or(0, |file| file.len()));
    let held = contents.map_or_else(String::new, |held| format!("; {held}"));
    print_line(&format!("{}: {size}{held}", args.file.display()))
}

/// How far it is, on stderr if that is a terminal.
pub(super) struct Progress {
    shown: Option<Instant>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let now = std::io::stderr().is_terminal().then(Instant::now);
        Self { shown: now }
    }

    pub(super) fn tell(&mut self, done: u64, total: u64) {
        if let Some(shown) = self.shown
            && shown.elapsed() > SHOWN_EVERY
        {
            self.shown = Some(Instant::now());
            let percent = done.saturating_mul(100) / total.max(1);
            // If this fails, there is nowhere to report it.
            let _ = write!(std::io::stderr(), "\r{percent:>3} % of {} ", mib(total));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// A size, rounded up.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
