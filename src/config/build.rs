//! From values to the settings of each subsystem, and the checks across settings.

use std::path::PathBuf;
use std::time::Duration;

use bellpull_domain::node::NodeName;
use bellpull_port::retention::Retention;
use bellpull_port::slow::SlowBounds;
use jiff::SignedDuration;

use super::effective;
use super::load::{ConfigError, Sources, Values, error};
use super::value::Value;
use super::{
    AuthConfig, Config, DeliveryConfig, HttpConfig, OtlpConfig, OutboundConfig, Secret, TlsConfig,
    WsConfig,
};

impl Config {
    /// Applies the sources in order of precedence and checks every value, even overridden ones.
    ///
    /// # Errors
    /// The first error, and where.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let values = Values::gather(sources)?;
        let mut config = Self::build(&values)?;
        if config.ws.silent_max_s <= config.ws.ping_after_s {
            let problem = "must be greater than ws.ping_after_s";
            return Err(error(values.place("ws.silent_max_s"), problem));
        }
        if config.auth.public_key_file.is_some() && config.auth.jwks_file.is_some() {
            let problem = "cannot be set together with auth.public_key_file";
            return Err(error(values.place("auth.jwks_file"), problem));
        }
        // Another issuer admits users: the hub makes none beside it unless it is told to.
        let registration = values.get("auth.registration");
        config.auth.registration =
            if let Value::Switch(on) = registration { *on } else { !config.auth.has_issuer() };
        Ok(config)
    }

    fn build(values: &Values) -> Result<Self, ConfigError> {
        Ok(Self {
            listen: values.address("listen").ok_or_else(|| values.mismatch("listen"))?,
            database_url: values.must_text("database_url")?.into(),
            database_check_max_bytes: values.number::<u64>("database.check_max_mib")? << 20,
            database_connections: values.number("database.connections")?,
            database_wait: Duration::from_secs(values.number("database.wait_s")?),
            node: node(values)?,
            node_url: values.text("node_url"),
            redis_url: values.text("redis_url").map(Secret::new),
            jwt_secret: values.text("jwt_secret").map(Secret::new),
            dialect: values.dialect("dialect")?,
            auth: AuthConfig {
                auto_provision: values.switch("auth.auto_provision")?,
                public_key_file: values.text("auth.public_key_file").map(PathBuf::from),
                jwks_file: values.text("auth.jwks_file").map(PathBuf::from),
                audience: values.text("auth.audience"),
                issuer: values.text("auth.issuer"),
                access_ttl_s: values.number("auth.access_ttl_s")?,
                service_ttl_s: values.number("auth.service_ttl_s")?,
                refresh_ttl_s: values.number("auth.refresh_ttl_s")?,
                follow_claims: values.must_text("auth.claims")? == "always",
                registration: true,
                registrations_per_min: values.number("auth.registrations_per_min")?,
                verify_email: values.switch("auth.verify_email")?,
            },
            http: HttpConfig {
                allowed_origins: values.list("http.allowed_origins"),
                idle_s: values.number("http.idle_s")?,
                max_body_bytes: values.number("http.max_body_bytes")?,
                max_unsent_bytes: values.number("http.max_unsent_bytes")?,
                max_requests_per_user: values.number("http.max_requests_per_user")?,
                max_connections_per_address: values.number("http.max_connections_per_address")?,
                public_url: values.text("http.public_url"),
                trusted_proxies: values.networks("http.trusted_proxies"),
                writes_per_s: values.number("http.writes_per_s")?,
            },
            ws: WsConfig {
                max_frame: values.number("ws.max_frame")?,
                max_sessions_per_user: values.number("ws.max_sessions_per_user")?,
                max_connections: values.number("ws.max_connections")?,
                handshakes_per_s: values.number("ws.handshakes_per_s")?,
                messages_per_s: values.number("ws.messages_per_s")?,
                ping_after_s: values.number("ws.ping_after_s")?,
                silent_max_s: values.number("ws.silent_max_s")?,
                max_unsent_bytes: values.number("ws.max_unsent_bytes")?,
            },
            delivery: DeliveryConfig::build(values)?,
            replay_limit: values.number("replay.limit")?,
            drain_notice_ms: values.number("drain.notice_ms")?,
            drain_window_ms: values.number("drain.window_ms")?,
            retention: Retention {
                tombstones: days(values.number("retention.deleted_days")?),
                deliveries: days(values.number("retention.deliveries_days")?),
                audit: days(values.number("retention.audit_days")?),
                logins: days(values.number("retention.logins_days")?),
                keys: SignedDuration::from_hours(values.number("retention.idempotency_hours")?),
            },
            tls: tls(values)?,
            slow: slow(values)?,
            otlp: otlp(values)?,
            outbound: OutboundConfig {
                proxy: values.text("outbound.proxy").map(Secret::new),
                ca_file: values.text("outbound.ca_file").map(PathBuf::from),
            },
            operator_listen: values.address("operator.listen"),
            effective: effective::all(values),
            log_json: values.must_text("log")? == "json",
            log_filter: values.must_text("log_filter")?,
        })
    }
}

/// The certificate and its key, which come together.
fn tls(values: &Values) -> Result<Option<TlsConfig>, ConfigError> {
    let file = |key| values.text(key).map(PathBuf::from);
    match (file("tls.cert"), file("tls.key")) {
        (Some(cert), Some(key)) => Ok(Some(TlsConfig { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(error(values.place("tls.cert"), "needs tls.key as well")),
        (None, Some(_)) => Err(error(values.place("tls.key"), "needs tls.cert as well")),
    }
}

/// The bounds of the slow log.
fn slow(values: &Values) -> Result<SlowBounds, ConfigError> {
    let bound = |key| -> Result<Option<Duration>, ConfigError> {
        let ms: u32 = values.number(key)?;
        Ok((ms > 0).then(|| Duration::from_millis(u64::from(ms))))
    };
    Ok(SlowBounds {
        request: bound("slow.request_ms")?,
        commit: bound("slow.commit_ms")?,
        frame: bound("slow.frame_ms")?,
    })
}

/// Where traces go.
fn otlp(values: &Values) -> Result<Option<OtlpConfig>, ConfigError> {
    let share = values.must_text("otlp.sample")?;
    let share = share.parse().map_err(|_| values.mismatch("otlp.sample"))?;
    Ok(values.text("otlp.endpoint").map(|endpoint| OtlpConfig { endpoint, share }))
}

/// The node's name.
fn node(values: &Values) -> Result<Option<NodeName>, ConfigError> {
    let Some(text) = values.text("node") else { return Ok(None) };
    let problem = "must be 1 to 80 letters, digits, dots, hyphens and underscores";
    NodeName::parse(&text).map(Some).ok_or_else(|| error(values.place("node"), problem))
}

/// A number of days; 0 means for ever.
fn days(count: i64) -> Option<SignedDuration> {
    (count > 0).then(|| SignedDuration::from_hours(count.saturating_mul(24)))
}
