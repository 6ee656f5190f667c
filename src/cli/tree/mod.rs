//! `tree`: prints the running hub's supervision tree, of all its nodes.

pub(in crate::cli) mod actor;
mod draw;

use reqwest::{Method, StatusCode};

use super::running::{Address, RunningHub};
use super::{CliError, SettingFlags, print_line};

pub use actor::Actor;
pub use draw::draw;

const EXAMPLES: &str = "\
Examples:
  bellpull tree
  bellpull tree --url http://hub-2.internal:8000 --token \"$TOKEN\"
  bellpull tree --json | jq '.children[].restarts'";

/// The options of `tree`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The hub's URL; by default the hub that runs on the database
    #[arg(long)]
    url: Option<String>,
    /// A super admin's access token; by default one is signed with the hub's secret
    #[arg(long, allow_hyphen_values = true)]
    token: Option<String>,
    /// Print the hub's JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingFlags<false>,
}

// Without the token.
impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Args").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Prints the tree.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let mut hub = RunningHub::find(args.settings, Address::Operators, args.url, args.token).await?;
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
