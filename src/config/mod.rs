//! Settings: read once, validated at start, secrets never printed.
//!
//! [`table`] lists them all; `load` puts flags, environment, file and defaults in their order;
//! `value` says what is wrong with a value; `build` and [`delivery`] make what others are given.

mod build;
pub mod delivery;
mod load;
pub mod table;
mod value;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use bellpull_actors::tidying::Retention;
use ipnet::IpNet;

pub use delivery::DeliveryConfig;
pub use load::{ConfigError, Sources};

use crate::wire::Dialect;

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// `listen`: where to listen; port 0 picks one.
    pub listen: SocketAddr,
    /// `database_url`: `sqlite://PATH`, or `sqlite::memory:` for a hub that forgets.
    pub database_url: String,
    /// `database.check_max_mib`: a file of at most so many bytes is looked through for damage when
    /// the hub starts (256 MiB; 0: none).
    pub database_check_max_bytes: u64,
    /// `jwt_secret`: signs HS256 tokens; generated and kept in the database where it is not set.
    pub jwt_secret: Option<Secret>,
    /// `dialect`: of a socket that names none.
    pub dialect: Dialect,
    /// `auth.*`
    pub auth: AuthConfig,
    /// `http.*`
    pub http: HttpConfig,
    /// `ws.*`
    pub ws: WsConfig,
    /// `smtp.*`, `whatsapp.*`, `sms.*`, `retry.*`
    pub delivery: DeliveryConfig,
    /// `replay.limit`: the most notifications that a session is sent of its backlog (500).
    pub replay_limit: u32,
    /// `drain.window_ms`: over how long a stopping hub spreads its clients' return (10,000).
    pub drain_window_ms: u32,
    /// `retention.*`: for how long things are kept.
    pub retention: Retention,
    /// `operator.listen`: where `/api/operator/` and `/metrics` are served alone.
    pub operator_listen: Option<SocketAddr>,
    /// `log`: `text` or `json`; what is logged at all is `log_filter` (`info`).
    pub log_json: bool,
    /// `log_filter`
    pub log_filter: String,
}

/// `auth.*`
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// `auth.auto_provision`: an unknown user of a valid token becomes a user (false).
    pub auto_provision: bool,
    /// `auth.public_key_file`: a PEM public key (RSA, P-256, Ed25519): tokens come from elsewhere.
    pub public_key_file: Option<PathBuf>,
    /// `auth.jwks_file`: the same with a JSON Web Key Set.
    pub jwks_file: Option<PathBuf>,
    /// `auth.audience`: what a token's `aud` must contain; `None`: it is not looked at.
    pub audience: Option<String>,
    /// `auth.issuer`: what a token's `iss` must be; `None`: it is not looked at.
    pub issuer: Option<String>,
    /// `auth.access_ttl_s`: how long an access token lives (3,600).
    pub access_ttl_s: u32,
    /// `auth.refresh_ttl_s`: how long a login lives (604,800: a week).
    pub refresh_ttl_s: u32,
    /// `auth.registration`: whether `POST /api/auth/register/` is open (true).
    pub registration: bool,
    /// `auth.registrations_per_min`: how many may register, all together (60; 0: no limit); one
    /// network a sixth of them.
    pub registrations_per_min: u32,
    /// `auth.verify_email`: mails leave only for addresses that are verified (true).
    pub verify_email: bool,
}

/// `http.*`
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// `http.allowed_origins`: exact origins (`https://app.example.com`), or `*`; empty: same host.
    pub allowed_origins: Vec<String>,
    /// `http.max_body_bytes`: the largest request body (1 MiB).
    pub max_body_bytes: usize,
    /// `http.max_unsent_bytes`: of all answers that clients have not read yet (64 MiB).
    pub max_unsent_bytes: usize,
    /// `http.max_requests_per_user`: in progress at once (64; admins and services ten times that; 0:
    /// no limit).
    pub max_requests_per_user: u32,
    /// `http.max_connections_per_address`: HTTP alone, at once (1,024; 0: no limit). Trusted proxies
    /// are exempt.
    pub max_connections_per_address: u32,
    /// `http.public_url`: where users reach this hub, without a slash at its end.
    pub public_url: Option<String>,
    /// `http.trusted_proxies`: whose `X-Forwarded-For`, `Forwarded` and `X-Forwarded-Proto` count.
    pub trusted_proxies: Vec<IpNet>,
    /// `http.writes_per_s`: what an account may write, on average (10; bursts of five times that;
    /// admins and service tokens ten times as much; 0: no limit).
    pub writes_per_s: u32,
}

/// `ws.*`
#[derive(Debug, Clone)]
pub struct WsConfig {
    /// `ws.max_frame`: the largest message of a client's, in bytes (65,536).
    pub max_frame: usize,
    /// `ws.max_sessions_per_user`: on this node (32).
    pub max_sessions_per_user: usize,
    /// `ws.max_connections`: connections of every kind that this node takes at once (100,000).
    pub max_connections: usize,
    /// `ws.handshakes_per_s`: sockets that one address may open, on average (2,000; bursts of five
    /// times that; 0: no limit). Behind a proxy that is not trusted all clients have its address.
    pub handshakes_per_s: u32,
    /// `ws.messages_per_s`: what one socket may send, on average (20; bursts of five times that).
    pub messages_per_s: u32,
    /// `ws.ping_after_s`: a socket that was silent so long is pinged (25).
    pub ping_after_s: u32,
    /// `ws.silent_max_s`: a socket that was silent so long is closed with 4408 (75).
    pub silent_max_s: u32,
    /// `ws.max_unsent_bytes`: of all sessions that take less than they are sent (64 MiB).
    pub max_unsent_bytes: usize,
}

impl Default for Config {
    /// What a hub has of which nothing is set.
    #[expect(clippy::expect_used, reason = "the table's own defaults are valid: a test reads them")]
    fn default() -> Self {
        Self::load(&Sources::default()).expect("the defaults of the settings are valid")
    }
}

/// A value that no log, no error and no `Debug` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a value.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself: for the one place that uses it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}
