//! How commands find the running hub and call it.

use std::time::Duration;

use bellpull_actors::port::clock::SystemClock;
use bellpull_actors::port::{AccountStore, Clock};
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, Response};
use serde_json::Value;

use super::{CliError, SettingFlags, open_existing_store, token};
use crate::auth::issue::{Issuer, hub_secret};
use crate::config::Config;

/// The hub calls its actors with time limits of its own, which are shorter.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// A hub's URL, and a token for it.
pub(super) struct RunningHub {
    url: String,
    token: String,
}

impl RunningHub {
    /// The hub that the flags name; what they leave open is looked up in the database: its URL in a
    /// setting, and the secret that signs a service token.
    ///
    /// # Errors
    /// See [`CliError`].
    pub(super) async fn find(
        settings: SettingFlags<false>,
        setting: &str,
        url: Option<String>,
        token: Option<String>,
    ) -> Result<Self, CliError> {
        let config = settings.load()?;
        match (url, token) {
            // Nothing is missing: the database may be on another machine.
            (Some(url), Some(token)) => Ok(Self { url, token }),
            (url, token) => {
                let store = open_existing_store(&config).await?;
                let found = complete(&config, &*store, setting, url, token).await;
                store.close().await;
                found
            }
        }
    }

    /// Its URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request; returns an answer with any status.
    ///
    /// # Errors
    /// [`CliError::Wrong`] for an invalid URL, [`CliError::Failed`] if the hub does not answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response, CliError> {
        let url = &self.url;
        check(url)?;
        let client =
            crate::tls::client().timeout(ANSWER_MAX).build().map_err(|error| self.away(&error))?;
        let request = client
            .request(method, format!("{}{path}", url.trim_end_matches('/')))
            .header(AUTHORIZATION, format!("Bearer {}", self.token));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        request.send().await.map_err(|error| self.away(&error))
    }

    /// The error if the hub cannot be reached.
    pub(super) fn away(&self, error: &reqwest::Error) -> CliError {
        let why = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
        CliError::failed(format!("the hub at {} {why}", self.url))
    }

    /// The error if the hub refuses the token, which must have that role.
    pub(super) fn refused(&self, whose: &str) -> CliError {
        CliError::failed(format!(
            "the hub at {} does not take the token: it wants {whose}, signed with its own \
             jwt_secret",
            self.url
        ))
    }
}

fn check(url: &str) -> Result<(), CliError> {
    let bad = |why: String| Err(CliError::wrong(format!("--url: {why}")));
    match reqwest::Url::parse(url) {
        Ok(base) if base.scheme() == "http" => Ok(()),
        Ok(_) => bad(format!("{} is not http: this build has no TLS", url.escape_debug())),
        Err(_) => bad(format!("{} is not a URL", url.escape_debug())),
    }
}

/// Looks up in the database what the flags leave open.
async fn complete(
    config: &Config,
    store: &dyn AccountStore,
    setting: &str,
    url: Option<String>,
    token: Option<String>,
) -> Result<RunningHub, CliError> {
    let url = match url {
        Some(url) => url,
        None => place(config, store, setting).await?,
    };
    let token = match token {
        Some(token) => token,
        None => service_token(config, store).await?,
    };
    Ok(RunningHub { url, token })
}

/// The URL of the hub that runs on the database.
async fn place(
    config: &Config,
    store: &dyn AccountStore,
    setting: &str,
) -> Result<String, CliError> {
    store.setting(setting).await?.filter(|url| !url.is_empty()).ok_or_else(|| {
        let place = &config.database_url;
        CliError::failed(format!("no hub is running on {place}; start one or give --url"))
    })
}

async fn service_token(config: &Config, store: &dyn AccountStore) -> Result<String, CliError> {
    let own =
        token::issuer(config).map_err(|error| CliError::wrong(format!("{error}; give --token")))?;
    let secret = hub_secret(own, store).await?;
    Ok(Issuer::new(&secret).named(own.auth.issuer.as_deref()).service(SystemClock.now())?)
}
