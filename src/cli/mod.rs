//! The command line: one file per subcommand.
//!
//! Exit codes: 0 success, 1 failure, 2 wrong usage or configuration, with one line on stderr that
//! names the setting.

mod address_flags;
pub mod asyncapi;
pub mod backup;
pub mod check;
pub mod config;
pub mod demo;
pub mod epoch;
mod error;
pub mod load_accounts;
pub mod manuals;
pub mod migrate;
pub mod nodes;
pub mod notify;
pub mod observe;
pub mod openapi;
pub mod restore;
mod running;
pub mod serve;
mod settings;
mod store;
#[cfg(test)]
mod tests;
pub mod token;
pub mod tree;
pub mod user;

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

#[cfg(feature = "load")]
use bellpull_storage::sqlite;

pub use error::CliError;
pub use settings::SettingFlags;
pub use store::{migrate as migrate_store, open_existing_store, open_store, open_store_alone};

const EXAMPLES: &str = "\
Examples:
  bellpull demo
  bellpull serve --listen 0.0.0.0:8000 --database sqlite:///var/lib/bellpull/hub.db
  bellpull user create --username ada --password 'long enough' --role admin
  TOKEN=$(bellpull token --user ada)
  bellpull notify --user-id 7 --title Deploy --message 'Version 2.1 is live'
  bellpull tree
  bellpull observe

Every setting is a flag, a BELLPULL_ variable and a key in bellpull.toml, in this order of
precedence; `bellpull serve --help` lists them.";

/// A real-time notification server for tickets.
#[derive(Debug, Parser)]
#[command(name = "bellpull", version, about, after_help = EXAMPLES, max_term_width = 100)]
#[command(propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::Args),
    /// Play a ticket's life cycle over real sockets on a hub of its own, then keep serving.
    Demo(demo::Args),
    /// Migrate the database and exit. (`serve` does it at start.)
    Migrate(migrate::Args),
    /// Write everything that the database holds into a file, beside a running hub.
    Backup(backup::Args),
    /// Make a database from a backup.
    Restore(restore::Args),
    /// Print the database's epoch, or begin a new one.
    Epoch(epoch::Args),
    /// Check whether settings, database, Redis and providers work.
    Check(check::Args),
    /// Print all settings as a commented file, or those in force.
    Config(config::Args),
    /// Manage accounts.
    User(user::Args),
    /// Print an access token.
    Token(token::Args),
    /// Notify a user through the running hub.
    Notify(notify::Args),
    /// Print the running hub's supervision tree, of all its nodes.
    Tree(tree::Args),
    /// Watch the running hub's supervision tree in the terminal.
    Observe(observe::Args),
    /// List the nodes on the database.
    Nodes(nodes::Args),
    /// Load-test a hub, or any WebSocket server.
    #[cfg(feature = "load")]
    Load(Box<bellpull_load::cli::Args>),
    /// Inject faults into a cluster of its own, and check that nothing is lost, doubled or out of
    /// order.
    #[cfg(feature = "load")]
    Chaos(bellpull_load::chaos::cli::Args),
    /// Create accounts for a load test
    #[command(hide = true)]
    LoadAccounts(load_accounts::Args),
    /// Print the REST interface as an OpenAPI document.
    #[command(name = "openapi")]
    OpenApi(openapi::Args),
    /// Print the socket interface as an AsyncAPI 3.0 document.
    Asyncapi(asyncapi::Args),
    /// Print a shell's completions.
    Completions(manuals::Completions),
    /// Write the manual's pages, one for each command.
    Man(manuals::Manual),
}

/// Parses the command line and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return CliError::failed(format!("no runtime: {error}")).report(),
    };
    let outcome = runtime.block_on(run(cli));
    // What still runs (a child is being reaped, a file closed) may end; a system call that hangs
    // must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

async fn run(cli: Cli) -> Result<(), CliError> {
    // Boxed: the future is as large as its largest arm, and these are large.
    match cli.command {
        Command::Serve(args) => Box::pin(serve::run(args)).await,
        Command::Demo(args) => Box::pin(demo::run(args)).await,
        Command::Migrate(args) => Box::pin(migrate::run(args)).await,
        Command::Backup(args) => Box::pin(backup::run(args)).await,
        Command::Restore(args) => Box::pin(restore::run(args)).await,
        Command::Epoch(args) => Box::pin(epoch::run(args)).await,
        Command::Check(args) => Box::pin(check::run(args)).await,
        Command::Config(args) => config::run(args),
        Command::User(args) => Box::pin(user::run(args)).await,
        Command::Token(args) => Box::pin(token::run(args)).await,
        Command::Notify(args) => Box::pin(notify::run(args)).await,
        Command::Tree(args) => Box::pin(tree::run(args)).await,
        Command::Observe(args) => Box::pin(observe::run(args)).await,
        Command::Nodes(args) => Box::pin(nodes::run(args)).await,
        #[cfg(feature = "load")]
        Command::Load(args) => Ok(Box::pin(bellpull_load::cli::run(*args)).await?),
        #[cfg(feature = "load")]
        Command::Chaos(args) => {
            Ok(Box::pin(bellpull_load::chaos::cli::run(args, sqlite::inspect)).await?)
        }
        Command::LoadAccounts(args) => Box::pin(load_accounts::run(args)).await,
        Command::OpenApi(args) => openapi::run(&args),
        Command::Asyncapi(args) => asyncapi::run(&args),
        Command::Completions(args) => manuals::completions(&args),
        Command::Man(args) => manuals::manual(&args),
    }
}

/// Help and version are printed as they are; errors in one line.
fn usage(error: &clap::Error) -> ExitCode {
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if error.use_stderr() && !is_help {
        return CliError::wrong(one_line(&error.render().to_string())).report();
    }
    // If this fails, there is nowhere to report it.
    let _ = error.print();
    ExitCode::from(if is_help { 2 } else { 0 })
}

/// clap's error, which spans several lines, up to the usage.
fn one_line(rendered: &str) -> String {
    let is_said = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more info");
    let said = rendered.lines().map(str::trim).take_while(is_said);
    let said: Vec<&str> = said.filter(|line| !line.is_empty()).collect();
    let text = said.join(" ").replace(" tip: ", "; ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

/// Prints a line on stdout. A closed pipe (`| head`) is not an error.
fn print_line(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::failed(format!("stdout: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
