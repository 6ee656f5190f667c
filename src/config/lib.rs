//! Settings: read once, validated at start, secrets never printed.
//!
//! [`table`] lists them all; `load` applies flags, environment, file and defaults in order of
//! precedence; `value` parses a value; `effective` shows it, without secrets; `reference` is all
//! settings as a file; `log_format` is known without them; `build` and [`delivery`] build the
//! structs that other modules take.

mod build;
mod database_url;
pub mod delivery;
mod effective;
mod injected;
mod load;
mod log_format;
pub mod outside;
mod reference;
mod source;
pub mod table;
mod value;
pub mod vapid;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bellpull_domain::node::NodeName;
use bellpull_port::retention::Retention;
use bellpull_port::slow::SlowBounds;
use ipnet::IpNet;

pub use database_url::DatabaseUrl;
pub use delivery::DeliveryConfig;
pub use effective::Effective;
pub use load::{ConfigError, FILE_ENV, Sources};
pub use log_format::is_json_asked;
pub use reference::reference;
pub use source::Source;

use bellpull_wire::Dialect;

/// All settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `listen`: the address; port 0 picks one.
    pub listen: SocketAddr,
    /// `database_url`: `sqlite://PATH`, `sqlite::memory:` for an in-memory hub, or a PostgreSQL
    /// URL, which may contain a password.
    pub database_url: DatabaseUrl,
    /// `database.check_max_mib`: a file up to this size is checked for corruption at start (256
    /// MiB; 0 disables it).
    pub database_check_max_bytes: u64,
    /// `database.connections`: to PostgreSQL, at most (16).
    pub database_connections: u32,
    /// `database.wait_s`: how long a start waits for PostgreSQL (60 s; 0: not at all).
    pub database_wait: Duration,
    /// `node`: this node's name; `None`: the host's and a random suffix.
    pub node: Option<NodeName>,
    /// `node_url`: where the other nodes reach this one, without a trailing slash; `None`: at the
    /// operators' address, or the clients'.
    pub node_url: Option<String>,
    /// `redis_url`: where this node meets the others, and counts limits with them; `None`: it is
    /// alone.
    pub redis_url: Option<Secret>,
    /// `jwt_secret`: signs HS256 tokens; generated and stored in the database if not set.
    pub jwt_secret: Option<Secret>,
    /// `dialect`: of a socket that does not name one.
    pub dialect: Dialect,
    /// `auth.*`
    pub auth: AuthConfig,
    /// `http.*`
    pub http: HttpConfig,
    /// `ws.*`
    pub ws: WsConfig,
    /// `smtp.*`, `whatsapp.*`, `sms.*`, `retry.*`
    pub delivery: DeliveryConfig,
    /// `replay.limit`: the most notifications of a session's backlog (500).
    pub replay_limit: u32,
    /// `drain.notice_ms`: how long a stopping hub serves on while its readiness says that it stops,
    /// if another node can take over (3,000).
    pub drain_notice_ms: u32,
    /// `drain.window_ms`: over how long a stopping hub spreads its clients' reconnects (10,000).
    pub drain_window_ms: u32,
    /// `retention.*`: how long records are kept.
    pub retention: Retention,
    /// `operator.listen`: the only address that serves `/api/operator/` and `/metrics`.
    pub operator_listen: Option<SocketAddr>,
    /// `tls.*`: the files for TLS; `None`: plain HTTP.
    pub tls: Option<TlsConfig>,
    /// `slow.*`: the bounds of the slow log; `None`: nothing of that kind is logged.
    pub slow: SlowBounds,
    /// `otlp.*`: where traces go; `None`: nothing is traced.
    pub otlp: Option<OtlpConfig>,
    /// `outbound.*`: how servers outside are reached.
    pub outbound: OutboundConfig,
    /// `log`: `text` or `json`; `log_filter` (`info`) selects what is logged.
    pub log_json: bool,
    /// `log_filter`
    pub log_filter: String,
    /// Every setting as an operator is shown it.
    pub effective: Vec<Effective>,
}

/// `tls.*`
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// `tls.cert`: the certificate in PEM, then those that lead to its root.
    pub cert: PathBuf,
    /// `tls.key`: its private key in PEM.
    pub key: PathBuf,
}

impl Config {
    /// The scheme of this hub's URLs.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// `outbound.*`
#[derive(Debug, Clone, Default)]
pub struct OutboundConfig {
    /// `outbound.proxy`: the proxy, which may have a password; `None`: as the environment says.
    pub proxy: Option<Secret>,
    /// `outbound.ca_file`: certificates that are trusted besides the public ones.
    pub ca_file: Option<PathBuf>,
}

/// `otlp.*`
#[derive(Debug, Clone)]
pub struct OtlpConfig {
    /// `otlp.endpoint`: the base URL of an OpenTelemetry collector.
    pub endpoint: String,
    /// `otlp.sample`: the share of requests that are traced (0.01).
    pub share: f64,
}

/// `auth.*`
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// `auth.auto_provision`: an unknown user of a valid token gets an account (false).
    pub auto_provision: bool,
    /// `auth.public_key_file`: a PEM public key (RSA, P-256, Ed25519) of another issuer.
    pub public_key_file: Option<PathBuf>,
    /// `auth.jwks_file`: the same with a JSON Web Key Set.
    pub jwks_file: Option<PathBuf>,
    /// `auth.audience`: required in a token's `aud`; `None`: not checked.
    pub audience: Option<String>,
    /// `auth.issuer`: required as a token's `iss`; `None`: not checked.
    pub issuer: Option<String>,
    /// `auth.access_ttl_s`: the lifetime of an access token (3,600).
    pub access_ttl_s: u32,
    /// `auth.service_ttl_s`: the longest lifetime of a service token (3,600).
    pub service_ttl_s: u32,
    /// `auth.refresh_ttl_s`: the lifetime of a login (604,800: a week).
    pub refresh_ttl_s: u32,
    /// `auth.claims`: whether an account follows the claims of younger tokens (true: `always`).
    pub follow_claims: bool,
    /// `auth.registration`: whether `POST /api/auth/register/` is open (where tokens come from
    /// elsewhere false, else true).
    pub registration: bool,
    /// `auth.registrations_per_min`: of all clients together, over all nodes (60; 0 means no
    /// limit); one network may use a sixth of it.
    pub registrations_per_min: u32,
    /// `auth.verify_email`: mails are only sent to verified addresses (true).
    pub verify_email: bool,
}

impl AuthConfig {
    /// Whether tokens come from elsewhere: another issuer numbers accounts too.
    #[must_use]
    pub fn has_issuer(&self) -> bool {
        self.auto_provision || self.public_key_file.is_some() || self.jwks_file.is_some()
    }
}

/// `http.*`
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// `http.allowed_origins`: exact origins (`https://app.example.com`), or `*`; besides the same
    /// host and [`Self::public_url`].
    pub allowed_origins: Vec<String>,
    /// `http.idle_s`: how long a connection may wait for its next request (75).
    pub idle_s: u32,
    /// `http.max_body_bytes`: the largest request body (1 MiB).
    pub max_body_bytes: usize,
    /// `http.max_unsent_bytes`: all answers that clients have not read yet (64 MiB).
    pub max_unsent_bytes: usize,
    /// `http.max_requests_per_user`: in progress at once (64; admins and services ten times that; 0
    /// means no limit).
    pub max_requests_per_user: u32,
    /// `http.max_connections_per_address`: HTTP only, at once (1,024; 0 means no limit). Trusted
    /// proxies are exempt.
    pub max_connections_per_address: u32,
    /// `http.public_url`: the hub's external URL, without a trailing slash.
    pub public_url: Option<String>,
    /// `http.trusted_proxies`: networks whose `X-Forwarded-For`, `Forwarded` and
    /// `X-Forwarded-Proto` are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// `http.writes_per_s`: an account's writes, on average (10; bursts of five times that; admins
    /// and service tokens ten times as much; 0 means no limit).
    pub writes_per_s: u32,
}

impl HttpConfig {
    /// The origins that are allowed besides the host that a request names: those that are listed,
    /// and that of the address at which users reach the hub. A proxy may name another host.
    #[must_use]
    pub fn origins(&self) -> Vec<String> {
        let url = self.public_url.as_deref().and_then(|url| reqwest::Url::parse(url).ok());
        let own = url.map(|url| url.origin().ascii_serialization());
        self.allowed_origins.iter().cloned().chain(own).collect()
    }
}

/// `ws.*`
#[derive(Debug, Clone)]
pub struct WsConfig {
    /// `ws.max_frame`: a client's largest message, in bytes (65,536).
    pub max_frame: usize,
    /// `ws.max_sessions_per_user`: on this node (32).
    pub max_sessions_per_user: usize,
    /// `ws.max_connections`: connections of every kind on this node (100,000).
    pub max_connections: usize,
    /// `ws.handshakes_per_s`: sockets that one address may open, on average (2,000; bursts of five
    /// times that; 0 means no limit). Behind an untrusted proxy all clients share its address.
    pub handshakes_per_s: u32,
    /// `ws.messages_per_s`: a socket's messages, on average (20; bursts of five times that).
    pub messages_per_s: u32,
    /// `ws.ping_after_s`: a socket that was silent for this long is pinged (25).
    pub ping_after_s: u32,
    /// `ws.silent_max_s`: a socket that was silent for this long is closed with 4408 (75).
    pub silent_max_s: u32,
    /// `ws.max_unsent_bytes`: all sessions' frames that clients have not read yet (64 MiB).
    pub max_unsent_bytes: usize,
}

impl Default for Config {
    /// The defaults.
    #[expect(clippy::expect_used, reason = "the table's own defaults are valid: a test reads them")]
    fn default() -> Self {
        Self::load(&Sources::default()).expect("the defaults of the settings are valid")
    }
}

/// A value that no log, no error and no `Debug` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value, for the one place that uses it.
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
