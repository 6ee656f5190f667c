//! `tree`: prints the running hub's supervision tree, of all its nodes.

pub(in crate::cli) mod actor;
mod draw;

use reqwest::{Method, StatusCode};

use super::running::{Address, HubFlags, RunningHub};
use super::{CliError, print_line};

pub use actor::Actor;
pub use draw::draw;

const EXAMPLES: &str = "\
Examples:
  bellpull tree
  bellpull tree --url http://hub-2.internal:8000 --token \"$TOKEN\"
  bellpull tree --json | jq '.children[].restarts'";

/// The options of `tree`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print the hub's JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubFlags,
}

/// Prints the tree.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let mut hub = RunningHub::find(args.hub, Address::Operators).await?;
    let answer = hub.ask(Method::GET, "/api/operator/tree/", None).await?;
    let text = match answer.status() {
        StatusCode::OK => answer.text().await.map_err(|error| hub.away(&error))?,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(hub.refused("a super admin's"));
        }
        status => {
            let url = hub.url();
            return Err(CliError::failed(format!("the hub at {url} answered {status}")));
        }
    };
    if args.json {
        return print_line(text.trim());
    }
    let root: Actor = serde_json::from_str(&text).map_err(|error| {
        CliError::failed(format!("{} did not answer with a tree: {error}", hub.url()))
    })?;
    let mut out = anstream::stdout().lock();
    // A closed pipe is not an error.
    let _ = std::io::Write::write_all(&mut out, draw(&root).as_bytes());
    Ok(())
}
