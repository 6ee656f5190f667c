//! `tree`: the running hub's supervision tree, as text.

mod draw;

use std::time::Duration;

use bellpull_actors::port::clock::SystemClock;
use bellpull_actors::port::{AccountStore, Clock};
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;

use super::{CliError, SettingFlags, open_store, print_line, token};
use crate::app::HUB_URL_SETTING;
use crate::auth::issue::{Issuer, hub_secret};
use crate::config::Config;

pub use draw::{Node, draw};

/// The hub asks each of its actors, with limits of its own that are shorter.
const ANSWER_MAX: Duration = Duration::from_secs(15);

const EXAMPLES: &str = "\
Examples:
  bellpull tree
  bellpull tree --url http://hub-2.internal:8000 --token \"$TOKEN\"
  bellpull tree --json | jq '.children[].restarts'";

/// What `tree` takes.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where the hub is; not given: the one that runs on the database
    #[arg(long)]
    url: Option<String>,
    /// A super admin's access token; not given: one is made with the hub's secret
    #[arg(long, allow_hyphen_values = true)]
    token: Option<String>,
    /// As the hub sends it
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
    let config = args.settings.load()?;
    let (url, token) = match (args.url, args.token) {
        // Nothing is missing: the database may be on another machine.
        (Some(url), Some(token)) => (url, token),
        (url, token) => {
            let store = open_store(&config).await?;
            let found = complete(&config, &*store, url, token).await;
            store.close().await;
            found?
        }
    };
    let text = fetch(&url, &token).await?;
    if args.json {
        return print_line(text.trim());
    }
    let root: Node = serde_json::from_str(&text)
        .map_err(|error| CliError::failed(format!("{url} did not answer with a tree: {error}")))?;
    let mut out = anstream::stdout().lock();
    // Whoever reads may have heard enough: nobody is left to tell.
    let _ = std::io::Write::write_all(&mut out, draw(&root).as_bytes());
    Ok(())
}

/// What was not given, from the database.
async fn complete(
    config: &Config,
    store: &dyn AccountStore,
    url: Option<String>,
    token: Option<String>,
) -> Result<(String, String), CliError> {
    let url = match url {
        Some(url) => url,
        None => running_hub(config, store).await?,
    };
    let token = match token {
        Some(token) => token,
        None => service_token(config, store).await?,
    };
    Ok((url, token))
}

/// Where the hub is that runs on the database.
pub(super) async fn running_hub(
    config: &Config,
    store: &dyn AccountStore,
) -> Result<String, CliError> {
    store.setting(HUB_URL_SETTING).await?.filter(|url| !url.is_empty()).ok_or_else(|| {
        let place = &config.database_url;
        CliError::failed(format!("no running hub is known for {place}; start one or give --url"))
    })
}

async fn service_token(config: &Config, store: &dyn AccountStore) -> Result<String, CliError> {
    let own =
        token::issuer(config).map_err(|error| CliError::wrong(format!("{error}; give --token")))?;
    let secret = hub_secret(own, store).await?;
    Ok(Issuer::new(&secret).service(SystemClock.now())?)
}

/// What the hub answers.
pub(super) async fn fetch(url: &str, token: &str) -> Result<String, CliError> {
    let bad_url = |why: String| CliError::wrong(format!("--url: {why}"));
    let base = reqwest::Url::parse(url)
        .map_err(|_| bad_url(format!("{} is not a URL", url.escape_debug())))?;
    if base.scheme() != "http" {
        return Err(bad_url(format!("{} is not http: this build has no TLS", url.escape_debug())));
    }
    let address = format!("{}/api/operator/tree/", url.trim_end_matches('/'));
    let away = |error: reqwest::Error| {
        let why = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
        CliError::failed(format!("the hub at {url} {why}"))
    };
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_MAX)
        .build()
        .map_err(away)?;
    let bearer = format!("Bearer {token}");
    let answer = client.get(address).header(AUTHORIZATION, bearer).send().await.map_err(away)?;
    match answer.status() {
        StatusCode::OK => answer.text().await.map_err(away),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(CliError::failed(format!(
            "the hub at {url} does not take the token: it wants a super admin's, signed with its \
             own jwt_secret"
        ))),
        status => Err(CliError::failed(format!("the hub at {url} answered {status}"))),
    }
}
