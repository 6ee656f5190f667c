//! The command line: one file a subcommand.
//!
//! Exit codes: 0 done, 1 failed at work, 2 wrong usage or configuration, with one line on stderr
//! that names the setting at fault.

pub mod asyncapi;
pub mod demo;
mod error;
pub mod load;
pub mod migrate;
pub mod notify;
pub mod openapi;
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

pub use error::CliError;
pub use settings::SettingFlags;
pub use store::{open_existing_store, open_store};

const EXAMPLES: &str = "\
Examples:
  bellpull demo
  bellpull serve --listen 0.0.0.0:8000 --database sqlite:///var/lib/bellpull/hub.db
  bellpull user create --username ada --password 'long enough' --role admin
  TOKEN=$(bellpull token --user ada)
  bellpull notify --user-id 7 --title Deploy --message 'Version 2.1 is live'
  bellpull tree

Every setting is a flag, a BELLPULL_ variable and a key in bellpull.toml, in this order of weight:
`bellpull serve --help` lists them.";

/// A notification hub: every change of a ticket reaches everybody whom it concerns.
#[derive(Debug, Parser)]
#[command(name = "bellpull", version, about, after_help = EXAMPLES, max_term_width = 100)]
#[command(propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the hub.
    Serve(serve::Args),
    /// Plays a ticket's whole life over real sockets, on a hub of its own, and keeps serving.
    Demo(demo::Args),
    /// Brings the database up to date, and exits. (`serve` does so by itself.)
    Migrate(migrate::Args),
    /// Looks after accounts.
    User(user::Args),
    /// Prints an access token, and nothing else.
    Token(token::Args),
    /// Notifies a user, through the running hub.
    Notify(notify::Args),
    /// Prints the running hub's supervision tree.
    Tree(tree::Args),
    /// Measures a hub, or any WebSocket server, under load.
    Load(Box<load::Args>),
    /// Prints what can be asked over HTTP, for machines (OpenAPI).
    #[command(name = "openapi")]
    OpenApi(openapi::Args),
    /// Prints the sockets' interface for machines (AsyncAPI 3.0).
    Asyncapi(asyncapi::Args),
}

/// Reads the command line and does what it says.
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
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

async fn run(cli: Cli) -> Result<(), CliError> {
    // Boxed: a match is as large as its largest arm, and these are large.
    match cli.command {
        Command::Serve(args) => Box::pin(serve::run(args)).await,
        Command::Demo(args) => Box::pin(demo::run(args)).await,
        Command::Migrate(args) => Box::pin(migrate::run(args)).await,
        Command::User(args) => Box::pin(user::run(args)).await,
        Command::Token(args) => Box::pin(token::run(args)).await,
        Command::Notify(args) => Box::pin(notify::run(args)).await,
        Command::Tree(args) => Box::pin(tree::run(args)).await,
        Command::Load(args) => Box::pin(load::run(*args)).await,
        Command::OpenApi(args) => openapi::run(&args),
        Command::Asyncapi(args) => asyncapi::run(&args),
    }
}

/// Help and version are printed as they are; what is wrong is told in one line.
fn usage(error: &clap::Error) -> ExitCode {
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if error.use_stderr() && !is_help {
        return CliError::wrong(one_line(&error.render().to_string())).report();
    }
    // Nobody is left to tell when this fails.
    let _ = error.print();
    ExitCode::from(if is_help { 2 } else { 0 })
}

/// What clap says over several lines, up to the usage.
fn one_line(rendered: &str) -> String {
    let is_said = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more info");
    let said = rendered.lines().map(str::trim).take_while(is_said);
    let said: Vec<&str> = said.filter(|line| !line.is_empty()).collect();
    let text = said.join(" ").replace(" tip: ", "; ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

/// Prints a line on stdout. Whoever reads may have heard enough (`| head`): that is no failure.
fn print_line(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::failed(format!("stdout: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
