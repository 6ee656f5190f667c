//! The one table of settings: flags, environment variables, the file's keys, the help, and the
//! check for unknown names are generated from it.

use bellpull_wire::Dialect;

/// A setting: its name in each source, its type, and its default.
#[derive(Debug)]
pub struct Setting {
    /// The key in `bellpull.toml`; a dot separates tables.
    pub key: &'static str,
    /// The flag without its dashes; empty if it is derived from the key.
    flag: &'static str,
    /// As it would be written; empty for "not set".
    pub default: &'static str,
    /// Its type.
    pub kind: Kind,
    /// One sentence.
    pub about: &'static str,
}

/// The type of a setting.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// An IP address and a port.
    Address,
    /// `sqlite://PATH`, `sqlite::memory:` or a PostgreSQL URL.
    Database,
    /// A Redis URL.
    Redis,
    /// Any text, not empty; never shown.
    Secret,
    /// Any text.
    Text,
    /// An absolute HTTP URL without a query.
    Url,
    /// The same without a path.
    Site,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// A path.
    File,
    /// A whole number within bounds.
    Number {
        /// The unit, in the plural.
        unit: &'static str,
        /// The minimum.
        min: u64,
        /// The maximum.
        max: u64,
    },
    /// A share, from 0 to 1.
    Share,
    /// Origins, separated by commas.
    Origins,
    /// Addresses and networks, separated by commas.
    Networks,
    /// Log directives.
    Filter,
}

impl Setting {
    /// The flag without its dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        if self.flag.is_empty() { self.key.replace(['.', '_'], "-") } else { self.flag.to_owned() }
    }

    /// The environment variable.
    #[must_use]
    pub fn env(&self) -> String {
        format!("BELLPULL_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// The placeholder of the value in the help.
    #[must_use]
    pub fn value_name(&self) -> &'static str {
        match self.kind {
            Kind::Address => "IP:PORT",
            Kind::Database | Kind::Redis | Kind::Url | Kind::Site => "URL",
            Kind::Secret => "SECRET",
            Kind::Text => "TEXT",
            Kind::Choice(_) => "NAME",
            Kind::Switch => "true|false",
            Kind::File => "FILE",
            Kind::Number { .. } => "N",
            Kind::Share => "SHARE",
            Kind::Origins => "ORIGINS",
            Kind::Networks => "NETWORKS",
            Kind::Filter => "DIRECTIVES",
        }
    }

    /// The help: the sentence, the other names, the range and the default with its unit.
    #[must_use]
    pub fn help(&self) -> String {
        let range = match self.kind {
            Kind::Number { unit, min, max } => format!(", {min} to {max} {unit}"),
            Kind::Choice(words) => format!(", one of: {}", words.join(", ")),
            Kind::Share => ", 0 to 1".to_owned(),
            Kind::Address
            | Kind::Database
            | Kind::Redis
            | Kind::Secret
            | Kind::Text
            | Kind::Url
            | Kind::Site
            | Kind::Switch
            | Kind::File
            | Kind::Origins
            | Kind::Networks
            | Kind::Filter => String::new(),
        };
        let default = match (self.default, self.kind) {
            ("", _) => "none".to_owned(),
            (number, Kind::Number { unit, .. }) => format!("{number} {unit}"),
            (text, _) => text.to_owned(),
        };
        format!(
            "{}{range} [env: {}] [key: {}] [default: {default}]",
            self.about,
            self.env(),
            self.key
        )
    }
}

const fn setting(
    key: &'static str,
    flag: &'static str,
    default: &'static str,
    kind: Kind,
    about: &'static str,
) -> Setting {
    Setting { key, flag, default, kind, about }
}

const fn number(unit: &'static str, min: u64, max: u64) -> Kind {
    Kind::Number { unit, min, max }
}

/// A year: no token of ours lives longer.
const YEAR_S: u64 = 365 * 24 * 3600;

/// A page is warned when a third of a token's life is left. With less than ten seconds for that, a
/// slow connection or a background tab would lose its socket at each renewal.
const ACCESS_TTL_MIN_S: u64 = 30;

/// The commands' own requests carry a token of a minute.
const SERVICE_TTL_MIN_S: u64 = 60;

/// All settings.
#[rustfmt::skip]
pub static SETTINGS: &[Setting] = &[
    setting("listen", "", "127.0.0.1:8000", Kind::Address,
        "Where to listen; port 0 picks a free one, printed as the first line"),
    setting("database_url", "database", "sqlite://bellpull.db", Kind::Database,
        "Where everything is kept: sqlite://PATH, sqlite::memory: for an in-memory hub, or \
         postgres://USER:PASSWORD@HOST:PORT/DATABASE, with ?sslmode=verify-full for a server with \
         a certificate. Better in the environment if it has a password: a command line is visible \
         to others"),
    setting("database.check_max_mib", "", "256", number("MiB", 0, 1_048_576),
        "The largest file that is looked through for damage when the hub starts, which takes some \
         seconds a GiB; 0: none, and a damaged log is read up to the damage"),
    setting("database.connections", "", "16", number("connections", 4, 1_000),
        "The connections to PostgreSQL that this node has at most. All nodes together, and what else \
         uses the server, must stay below its max_connections"),
    setting("database.wait_s", "", "60", number("seconds", 0, 3_600),
        "How long `serve` waits at its start for a PostgreSQL that does not accept connections yet; \
         0: not at all"),
    setting("redis_url", "redis", "", Kind::Redis,
        "The Redis, Valkey or Redis Cluster on which the nodes of one PostgreSQL database notify each \
         other and count limits together: redis://USER:PASSWORD@HOST:PORT, rediss:// with TLS, \
         redis-cluster://HOST:PORT. Better in the environment if it has a password"),
    setting("node", "", "", Kind::Text,
        "This node's name, unique among those on the database; not set: the host's name and a \
         random suffix"),
    setting("node_url", "", "", Kind::Url,
        "Where the other nodes reach this one; not set: at its own address, as seen from the \
         database's network"),
    setting("jwt_secret", "", "", Kind::Secret,
        "Signs and checks HS256 tokens; not set: made once and kept in the database. Better in \
         the environment than on a command line, which others can read"),
    setting("dialect", "", "incident", Kind::Choice(&Dialect::NAMES),
        "The dialect of a socket that names none"),
    setting("auth.auto_provision", "", "false", Kind::Switch,
        "Whether an unknown user of a valid token becomes a user, from the token's claims"),
    setting("auth.public_key_file", "", "", Kind::File,
        "A PEM public key (RSA: RS256, P-256: ES256, Ed25519: EdDSA): tokens are issued elsewhere"),
    setting("auth.jwks_file", "", "", Kind::File,
        "A JSON Web Key Set: tokens are issued elsewhere"),
    setting("auth.audience", "", "", Kind::Text,
        "What a token's `aud` must contain; not set: `aud` is not looked at"),
    setting("auth.issuer", "", "", Kind::Text,
        "What a token's `iss` must be, and what the hub's own tokens carry; not set: `iss` is not \
         looked at"),
    setting("auth.access_ttl_s", "", "3600", number("seconds", ACCESS_TTL_MIN_S, YEAR_S),
        "How long an access token lives; an open page renews it when a third of that is left, a \
        minute at most"),
    setting("auth.refresh_ttl_s", "", "604800", number("seconds", 1, YEAR_S),
        "How long a login lives"),
    setting("auth.service_ttl_s", "", "3600", number("seconds", SERVICE_TTL_MIN_S, YEAR_S),
        "How long a service token may live at most, which a back end signs with jwt_secret or \
         `bellpull token --service` prints; one that would live longer is refused"),
    setting("auth.claims", "", "always", Kind::Choice(&["always", "first"]),
        "When role, username, e-mail address and full name follow the claims of a token that \
         another issuer signed: always, if it is younger than the one they came from, or at an \
         account's first token only"),
    setting("auth.registration", "", "", Kind::Switch,
        "Whether anybody may register; not set: true, and false where tokens come from elsewhere \
         (auth.auto_provision, auth.public_key_file, auth.jwks_file)"),
    setting("auth.registrations_per_min", "", "60", number("registrations a minute", 0, 100_000),
        "How many may register, all clients together (over all nodes while Redis is there), of which \
         one network may use a sixth; past it 429; 0: no limit"),
    setting("auth.verify_email", "", "true", Kind::Switch,
        "Whether mails leave only for verified addresses: new users confirm the address \
         by a link; accounts made by an operator, an admin or a foreign token count as verified"),
    setting("http.allowed_origins", "", "", Kind::Origins,
        "Exact origins (https://app.example.com), separated by commas, or *, besides the hub's own host \
         and http.public_url"),
    setting("http.idle_s", "", "75", number("seconds", 10, 3600),
        "How long a connection may wait for its next request. Longer than a proxy before the hub \
         keeps its own (nginx and AWS 60 s), or it sends requests into a connection that closes"),
    setting("http.max_body_bytes", "", "1048576", number("bytes", 1024, 67_108_864),
        "The largest request body"),
    setting("http.max_unsent_bytes", "", "67108864", number("bytes", 1_048_576, 1_099_511_627_776),
        "What all answers together may take that clients have not read yet; past it requests wait, \
         then they are answered 503"),
    setting("http.max_requests_per_user", "", "64", number("requests", 0, 1_000_000),
        "The requests of one user that are under way at once on this node, ten times as many for \
         admins and service tokens; past it 429; 0: no limit"),
    setting("http.max_connections_per_address", "", "1024", number("connections", 0, 10_000_000),
        "The HTTP connections, WebSockets not counted, that one address may have at once on this \
         node; past it 429; 0: no limit"),
    setting("http.public_url", "", "", Kind::Site,
        "Where users reach this hub (https://hub.example.com, without a path), for links in e-mails and between pages; not set: no \
         List-Unsubscribe, and links in e-mails lead to the address that the hub listens on, or \
         nowhere"),
    setting("http.trusted_proxies", "", "", Kind::Networks,
        "Addresses and networks (10.0.0.0/8) of proxies, separated by commas, whose X-Forwarded-For, \
         Forwarded and X-Forwarded-Proto count; not set: a client is the peer of its connection"),
    setting("http.writes_per_s", "", "10", number("writes a second", 0, 100_000),
        "What one account may write on average on this node, over REST and sockets together; bursts \
         of five times that; admins and service tokens ten times as much; 0: no limit"),
    setting("ws.max_frame", "", "65536", number("bytes", 125, 16_777_216),
        "The largest message of a client's"),
    setting("ws.max_sessions_per_user", "", "32", number("sockets", 1, 10_000),
        "The sockets that one user may have on this node"),
    setting("ws.max_connections", "", "100000", number("connections", 1, 10_000_000),
        "The connections of every kind that this node takes at once"),
    setting("ws.handshakes_per_s", "", "2000", number("handshakes a second", 0, 1_000_000),
        "The sockets that one address may open on average on this node; bursts of five times that; \
         0: no limit. Behind a proxy that http.trusted_proxies does not name all clients have its \
         address"),
    setting("ws.messages_per_s", "", "20", number("messages a second", 1, 100_000),
        "What one socket may send on average; bursts of five times that"),
    setting("ws.ping_after_s", "", "25", number("seconds", 1, 3600),
        "A socket that was silent so long is pinged"),
    setting("ws.silent_max_s", "", "75", number("seconds", 2, 7200),
        "A socket that was silent so long is closed"),
    setting("ws.max_unsent_bytes", "", "67108864", number("bytes", 1_048_576, 1_099_511_627_776),
        "What all sockets and event streams together may hold that clients have not read yet; past \
         it slow readers are closed with 4413, and resume"),
    setting("replay.limit", "", "500", number("notifications", 1, 10_000),
        "The most that a socket is sent of its backlog"),
    setting("drain.notice_ms", "", "3000", number("milliseconds", 0, 600_000),
        "How long a node that is told to stop serves on, while /readyz/ says that it stops and each \
         answer ends its connection: a load balancer's health check must notice within it. Not \
         waited for where no other node is up"),
    setting("drain.window_ms", "", "10000", number("milliseconds", 0, 600_000),
        "Over how long a stopping hub spreads its clients' return"),
    setting("retry.base_ms", "", "14000", number("milliseconds", 1, 3_600_000),
        "The wait before a delivery's second attempt; doubled before each further one"),
    setting("retry.attempts", "", "8", number("attempts", 1, 100),
        "After so many attempts a delivery has failed"),
    setting("delivery.in_flight", "", "16", number("deliveries", 1, 1_000),
        "How many deliveries a channel has with its provider at once; of e-mail, connections"),
    setting("digest.timezone", "", "", Kind::Text,
        "The time zone of daily digests (Europe/Berlin) for users who begin to get them and have \
         named none; not set: UTC"),
    setting("smtp.url", "", "", Kind::Secret,
        "E-mail: smtp://user:password@host:587?tls=required, or smtps://; not set: off"),
    setting("smtp.from", "", "", Kind::Text,
        "E-mail: the sender, such as Desk <desk@example.com>"),
    setting("smtp.hello", "", "", Kind::Text,
        "E-mail: the name by which the hub greets the server, fully qualified (hub.example.com) or \
         an address ([192.0.2.1]); not set: the host's name if it is fully qualified, else the \
         address that the connection comes from"),
    setting("smtp.ca_file", "", "", Kind::File,
        "E-mail: PEM certificates that are trusted beside those of browsers: a server of one's own"),
    setting("smtp.per_s", "", "0", number("e-mails a second", 0, 100_000),
        "E-mail: the most that begin in a second; 0: no limit"),
    setting("whatsapp.token", "", "", Kind::Secret,
        "WhatsApp: the access token of the Cloud API; not set: off"),
    setting("whatsapp.phone_number_id", "", "", Kind::Text,
        "WhatsApp: the id of the number that messages come from"),
    setting("whatsapp.api_url", "", "https://graph.facebook.com/v23.0", Kind::Url,
        "WhatsApp: where the Cloud API is, with its version"),
    setting("whatsapp.app_secret", "", "", Kind::Secret,
        "WhatsApp: signs what the provider reports to /hooks/whatsapp/; not set: reports are refused"),
    setting("whatsapp.verify_token", "", "", Kind::Secret,
        "WhatsApp: what the provider proves itself with when /hooks/whatsapp/ is entered there"),
    setting("whatsapp.template", "", "", Kind::Text,
        "WhatsApp: an approved template with two parameters, the title and the text; not set: text \
         messages, which reach only who wrote within 24 hours"),
    setting("whatsapp.template_language", "", "en", Kind::Text,
        "WhatsApp: the language in which that template is approved"),
    setting("whatsapp.per_s", "", "80", number("messages a second", 0, 100_000),
        "WhatsApp: the most that begin in a second; 0: no limit"),
    setting("sms.api_url", "", "https://api.twilio.com/2010-04-01", Kind::Url,
        "SMS: where Twilio's API is, or one like it"),
    setting("sms.account", "", "", Kind::Text,
        "SMS: the account's SID; not set: off"),
    setting("sms.token", "", "", Kind::Secret,
        "SMS: the account's token"),
    setting("sms.from", "", "", Kind::Text,
        "SMS: the number that messages come from, or a messaging service's SID"),
    setting("sms.per_s", "", "0", number("messages a second", 0, 100_000),
        "SMS: the most that begin in a second; 0: no limit"),
    setting("vapid.private_key", "", "", Kind::Secret,
        "Web push: the hub's own P-256 private key, 32 bytes in base64url; not set: off"),
    setting("vapid.subject", "", "", Kind::Text,
        "Web push: the contact for push services: mailto:… or https://…"),
    setting("vapid.per_s", "", "0", number("pushes a second", 0, 100_000),
        "Web push: the most that begin in a second; 0: no limit"),
    setting("webhook.allow_private", "", "false", Kind::Switch,
        "Whether addresses that users give (push services, webhooks) may be private ones, and \
         without TLS: for tests and closed networks"),
    setting("retention.deleted_days", "", "30", number("days", 0, 36_500),
        "How long a notification that its owner deleted leaves a trace for clients that were away; \
         0: for ever. Who comes back later begins anew. One that went out stays as long as its \
         deliveries do"),
    setting("retention.deliveries_days", "", "90", number("days", 0, 36_500),
        "How long a delivery that has come to an end is kept, with its attempts and what it said; \
         0: for ever, and with it what its recipient has deleted. One that is queued always is"),
    setting("retention.audit_days", "", "365", number("days", 0, 36_500),
        "How long the audit log keeps what admins and operators changed; 0: for ever"),
    setting("retention.logins_days", "", "30", number("days", 0, 36_500),
        "How long a login is kept after its last token has expired; 0: for ever"),
    setting("retention.idempotency_hours", "", "24", number("hours", 24, 8_760),
        "How long a repeated Idempotency-Key is given the first answer again"),
    setting("operator.listen", "", "", Kind::Address,
        "Where /api/operator/ and /metrics are served alone; not set: with the rest"),
    setting("tls.cert", "", "", Kind::File,
        "TLS without a proxy: the certificate in PEM, followed by those that lead to its root; read \
         anew when it changes; not set: plain HTTP"),
    setting("tls.key", "", "", Kind::File,
        "The certificate's private key in PEM; read anew when it changes"),
    setting("slow.request_ms", "", "1000", number("milliseconds", 0, 60_000),
        "Slow log: requests that take longer are listed for operators; 0: none"),
    setting("slow.commit_ms", "", "500", number("milliseconds", 0, 60_000),
        "Slow log: groups of writes that take longer, from the queue to the commit; 0: none"),
    setting("slow.frame_ms", "", "500", number("milliseconds", 0, 60_000),
        "Slow log: notifications that take longer from their announcement to the write to the \
         sockets; 0: none"),
    setting("outbound.proxy", "", "", Kind::Secret,
        "The HTTP proxy through which providers, push services, webhooks and the collector of \
         traces are reached; not set: HTTPS_PROXY and HTTP_PROXY count. Not for what NO_PROXY \
         names. Mail servers are reached directly"),
    setting("outbound.ca_file", "", "", Kind::File,
        "PEM certificates that are trusted besides those of browsers, for all that leaves the hub; \
         so are those of SSL_CERT_FILE"),
    setting("otlp.endpoint", "", "", Kind::Url,
        "Tracing: an OpenTelemetry collector's base URL for OTLP over HTTP, such as \
         http://127.0.0.1:4318; not set: off"),
    setting("otlp.sample", "", "0.01", Kind::Share,
        "Tracing: the share of requests that are traced; those with a sampled traceparent always \
         are"),
    setting("log", "", "text", Kind::Choice(&["text", "json"]),
        "How log lines are written, on stderr"),
    setting("log_filter", "", "info", Kind::Filter,
        "What is logged: a level, or directives such as info,bellpull=debug"),
];

/// The settings of every command that opens the database.
pub const STORE_KEYS: &[&str] = &["database_url", "jwt_secret", "log", "log_filter"];

/// The setting with that key.
#[must_use]
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The name that is most similar to `given`, if one is similar enough.
pub fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Two thirds alike: more likely a typo than another word.
    let score = |name: &str| strsim::normalized_damerau_levenshtein(given, name);
    let best = known.map(|name| (score(name), name)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.66).then_some(best.1)
}
