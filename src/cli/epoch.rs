//! `epoch`: which history of the database this is, and the begin of another one by hand.

use super::{CliError, SettingFlags, open_store_alone, print_line};

/// The options of `epoch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Begin a new epoch: after the database was put back to an older state in a way that leaves no
    /// trace, such as a snapshot of its disk. Clients begin anew, and numbers of inboxes go on
    /// 1,000,000 higher
    #[arg(long)]
    renew: bool,
    #[command(flatten)]
    settings: SettingFlags<false>,
}

/// Prints the epoch; begins a new one before, if that is asked for. Running nodes on PostgreSQL
/// follow it within seconds; a hub on a file must be stopped.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let config = args.settings.load()?;
    let store = open_store_alone(&config).await?;
    let done = async {
        store.read_epoch().await?;
        if args.renew {
            store.renew_epoch().await?;
        }
        Ok::<_, bellpull_port::StoreError>(store.epoch().name())
    };
    let name = done.await;
    store.close().await;
    print_line(&name?)
}
