//! How commands find the running hub and call it, and the flags for it.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bellpull_domain::node::{Node, NodeState};
use bellpull_port::clock::SystemClock;
use bellpull_port::{AccountStore, Clock, NodeStore, Store};
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use super::store::open_hubs_store;
use super::{CliError, SettingFlags, token};
use bellpull_auth::issue::{Issuer, hub_secret};
use bellpull_config::Config;
use bellpull_tls::{Own, hub_client};

/// The hub calls its actors with time limits of its own, which are shorter.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// An event stream sends a sign of life every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// Which of a node's two addresses a command calls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Address {
    /// Where it serves clients.
    Clients,
    /// Where it serves operators.
    Operators,
}

/// Which hub a command calls, and as which user.
#[derive(clap::Args)]
pub(super) struct HubFlags {
    /// The hub's URL; by default the hub that runs on the database
    #[arg(long)]
    url: Option<String>,
    /// An access token (of an admin for `notify`, of a super admin for all else); by default one is
    /// signed with the hub's secret
    #[arg(long, allow_hyphen_values = true)]
    token: Option<String>,
    #[command(flatten)]
    settings: SettingFlags<false>,
}

// Without the token.
impl fmt::Debug for HubFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubFlags").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A hub's URL, and a token for it.
#[derive(Clone)]
pub(super) struct RunningHub {
    /// The first is asked. One that cannot be reached becomes the last: a node that was killed
    /// stays listed for a time.
    urls: Vec<String>,
    token: Token,
    /// The certificate of the settings, which the hub has as well.
    own: Option<Own>,
}

#[derive(Clone)]
enum Token {
    Given(String),
    /// Signed anew for each request: one of its tokens lasts for a minute.
    Service(Arc<Issuer>),
}

impl Token {
    fn text(&self) -> Result<String, CliError> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::Service(issuer) => Ok(issuer.service(SystemClock.now())?),
        }
    }
}

impl RunningHub {
    /// The hub that the flags name; what they leave open is looked up in the database: the URLs of
    /// its live nodes, and the secret that signs a service token.
    ///
    /// # Errors
    /// See [`CliError`].
    pub(super) async fn find(flags: HubFlags, address: Address) -> Result<Self, CliError> {
        let HubFlags { url, token, settings } = flags;
        let config = settings.load()?;
        let own = config.tls.as_ref().map(Own::read).transpose()?;
        match (url, token) {
            // Nothing is missing: the database may be on another machine.
            (Some(url), Some(token)) => {
                Ok(Self { urls: vec![url], token: Token::Given(token), own })
            }
            (url, token) => {
                let store = open_hubs_store(&config).await?;
                let found = complete(&config, &*store, address, url, token).await;
                store.close().await;
                let (urls, token) = found?;
                Ok(Self { urls, token, own })
            }
        }
    }

    /// Its URL.
    pub(super) fn url(&self) -> &str {
        self.urls.first().map_or("", String::as_str)
    }

    /// Sends a request; returns an answer with any status. A node that cannot be reached has not
    /// received it, so the next one is asked.
    ///
    /// # Errors
    /// [`CliError::Wrong`] for an invalid URL, [`CliError::Failed`] if the hub does not answer.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response, CliError> {
        let client = hub_client(self.own.clone()).timeout(ANSWER_MAX).build();
        let client = client.map_err(|error| self.away(&error))?;
        self.send(|url| {
            let request = client.request(method.clone(), format!("{url}{path}"));
            match body {
                Some(body) => request.json(body),
                None => request,
            }
        })
        .await
    }

    /// Asks for an event stream, which goes on after an event.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) async fn follow(
        &mut self,
        path: &str,
        last: Option<&str>,
    ) -> Result<Response, CliError> {
        let client = hub_client(self.own.clone()).connect_timeout(ANSWER_MAX);
        let client = client.read_timeout(SILENCE_MAX).build();
        let client = client.map_err(|error| self.away(&error))?;
        self.send(|url| {
            let request = client.get(format!("{url}{path}"));
            match last {
                Some(last) => request.header("last-event-id", last),
                None => request,
            }
        })
        .await
    }

    /// Sends the request to the first node that can be reached.
    async fn send(
        &mut self,
        request: impl Fn(&str) -> RequestBuilder,
    ) -> Result<Response, CliError> {
        let mut others = self.urls.len().saturating_sub(1);
        loop {
            let url = self.url();
            check(url)?;
            let request = request(url.trim_end_matches('/'));
            let authorization = format!("Bearer {}", self.token.text()?);
            match request.header(AUTHORIZATION, authorization).send().await {
                Err(error) if error.is_connect() && others > 0 => {
                    others -= 1;
                    self.urls.rotate_left(1);
                }
                answer => return answer.map_err(|error| self.away(&error)),
            }
        }
    }

    /// The error if the hub cannot be reached.
    pub(super) fn away(&self, error: &reqwest::Error) -> CliError {
        let why = match error.is_timeout() {
            true => "does not answer in time".to_owned(),
            false => match cause(error) {
                Some(cause) if cause.contains("certificate") => format!(
                    "has a certificate that is not trusted ({cause}): name it with --url, or give \
                     its file as tls.cert"
                ),
                _ => "cannot be reached".to_owned(),
            },
        };
        CliError::failed(format!("the hub at {} {why}", self.url()))
    }

    /// The error if the hub refuses the token, which must have that role.
    pub(super) fn refused(&self, whose: &str) -> CliError {
        CliError::failed(format!(
            "the hub at {} does not take the token: it wants {whose}, signed with its own \
             jwt_secret",
            self.url()
        ))
    }
}

/// The innermost cause of an error.
fn cause(error: &dyn std::error::Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Some(cause.to_string())
}

fn check(url: &str) -> Result<(), CliError> {
    let bad = |why: String| Err(CliError::wrong(format!("--url: {why}")));
    match reqwest::Url::parse(url) {
        Ok(base) if matches!(base.scheme(), "http" | "https") => Ok(()),
        Ok(_) => bad(format!("{} is not http or https", url.escape_debug())),
        Err(_) => bad(format!("{} is not a URL", url.escape_debug())),
    }
}

/// Looks up in the database what the flags leave open.
async fn complete(
    config: &Config,
    store: &dyn Store,
    address: Address,
    url: Option<String>,
    token: Option<String>,
) -> Result<(Vec<String>, Token), CliError> {
    let urls = match url {
        Some(url) => vec![url],
        None => places(config, store, address).await?,
    };
    let token = match token {
        Some(token) => Token::Given(token),
        None => Token::Service(Arc::new(service_issuer(config, store).await?)),
    };
    Ok((urls, token))
}

/// The URLs of the live nodes on the database, those that are not stopping first.
async fn places(
    config: &Config,
    store: &dyn NodeStore,
    address: Address,
) -> Result<Vec<String>, CliError> {
    let mut live = store.nodes().await?;
    live.retain(|node| node.state.is_live());
    live.sort_by_key(|node| (node.state != NodeState::Up, Reverse(node.last_seen_at)));
    if live.is_empty() {
        let place = &config.database_url;
        let text = format!("no hub is running on {place}; start one or give --url");
        return Err(CliError::failed(text));
    }
    let url = |node: Node| match address {
        Address::Clients => node.url,
        Address::Operators => node.operator_url,
    };
    Ok(live.into_iter().map(url).collect())
}

async fn service_issuer(config: &Config, store: &dyn AccountStore) -> Result<Issuer, CliError> {
    let own =
        token::issuer(config).map_err(|error| CliError::wrong(format!("{error}; give --token")))?;
    let secret = hub_secret(own, store).await?;
    Ok(Issuer::new(&secret).named(own.auth.issuer.as_deref()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        hub: HubFlags,
    }

    #[test]
    fn the_flags_are_printed_without_the_token() {
        let line = ["c", "--url", "http://hub:8000", "--token", "-secret"];
        let command = Command::try_parse_from(line).unwrap();
        assert_eq!(command.hub.token.as_deref(), Some("-secret"));
        let text = format!("{command:?}");
        assert!(text.contains("http://hub:8000") && !text.contains("secret"), "{text}");
    }
}
