//! Parses the value of one setting.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::table::{Kind, Setting};

/// A parsed value.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Not set.
    None,
    /// An address.
    Address(SocketAddr),
    /// A text, a path, a URL, a word.
    Text(String),
    /// On or off.
    Switch(bool),
    /// A number.
    Number(u64),
    /// A list.
    List(Vec<String>),
    /// Networks; an address is a network of one host.
    Networks(Vec<IpNet>),
}

/// Parses a value.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with the setting's name; it repeats
/// the value unless that is a secret.
pub(super) fn parse(setting: &Setting, raw: &str) -> Result<Value, String> {
    let text = || Value::Text(raw.to_owned());
    match setting.kind {
        Kind::Address => address(raw).map(Value::Address),
        Kind::Database => database(raw).map(|()| text()),
        Kind::Redis => redis(raw).map(|()| text()),
        Kind::Secret | Kind::Text | Kind::File if raw.is_empty() => {
            Err("must not be empty".to_owned())
        }
        Kind::Secret | Kind::Text | Kind::File => Ok(text()),
        Kind::Url => url(raw).map(Value::Text),
        Kind::Site => site(raw).map(Value::Text),
        Kind::Choice(words) if words.contains(&raw) => Ok(text()),
        Kind::Choice(words) => Err(format!("{} is not one of: {}", shown(raw), words.join(", "))),
        Kind::Switch => match raw {
            "true" => Ok(Value::Switch(true)),
            "false" => Ok(Value::Switch(false)),
            _ => Err(format!("{} is neither true nor false", shown(raw))),
        },
        Kind::Number { unit, min, max } => raw
            .parse::<u64>()
            .ok()
            .filter(|number| {
                raw.bytes().all(|b| b.is_ascii_digit()) && (min..=max).contains(number)
            })
            .map(Value::Number)
            .ok_or_else(|| format!("{} is not a number of {unit} from {min} to {max}", shown(raw))),
        Kind::Share => match raw.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(text()),
            _ => Err(format!("{} is not a share from 0 to 1", shown(raw))),
        },
        Kind::Origins => origins(raw).map(Value::List),
        Kind::Networks => items(raw).map(network).collect::<Result<_, _>>().map(Value::Networks),
        Kind::Filter => match raw.parse::<tracing_subscriber::filter::Targets>() {
            Ok(_) if !raw.trim().is_empty() => Ok(text()),
            _ => Err(format!(
                "{} is neither a level nor directives such as info,bellpull=debug",
                shown(raw)
            )),
        },
    }
}

/// A value as shown in an error: one line of bounded length.
fn shown(raw: &str) -> String {
    let clean: String = raw.chars().take(60).flat_map(char::escape_debug).collect();
    let more = if raw.chars().count() > 60 { "…" } else { "" };
    if raw.is_empty() { "an empty value".to_owned() } else { format!("{clean}{more}") }
}

fn address(raw: &str) -> Result<SocketAddr, String> {
    // A socket is bound to an address, not to a name; `localhost` is the one exception.
    let numeric = raw.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    numeric
        .as_deref()
        .unwrap_or(raw)
        .parse()
        .map_err(|_| format!("{} is not an address and port such as 127.0.0.1:8000", shown(raw)))
}

/// It may contain a password: no more than its scheme is repeated.
fn database(raw: &str) -> Result<(), String> {
    if raw.starts_with("postgres://") || raw.starts_with("postgresql://") {
        return postgres(raw);
    }
    let path = raw.strip_prefix("sqlite://").or_else(|| raw.strip_prefix("sqlite:"));
    if path.is_some_and(|path| !path.is_empty()) {
        return Ok(());
    }
    let scheme = raw.split_once("://").map_or("this", |(scheme, _)| scheme);
    Err(format!(
        "{} is neither sqlite://PATH nor sqlite::memory: nor {POSTGRES_URL}",
        shown(scheme)
    ))
}

/// How the address of a PostgreSQL database is written.
const POSTGRES_URL: &str = "postgres://USER:PASSWORD@HOST:PORT/DATABASE";

fn postgres(raw: &str) -> Result<(), String> {
    let Ok(url) = reqwest::Url::parse(raw) else {
        return Err(format!(
            "not a URL such as {POSTGRES_URL}; in a password write % and two hexadecimal digits \
             for each of /?#@:% and a space"
        ));
    };
    let names = |key: &str| url.query_pairs().any(|(name, value)| name == key && !value.is_empty());
    if url.path().trim_start_matches('/').is_empty() && !names("dbname") {
        return Err(format!("names no database: write {POSTGRES_URL}"));
    }
    Ok(())
}

/// How the address of a Redis is written.
const REDIS_URL: &str = "redis://USER:PASSWORD@HOST:PORT";

/// It may contain a password: nothing of it is repeated.
fn redis(raw: &str) -> Result<(), String> {
    const SCHEMES: [&str; 4] = ["redis", "rediss", "redis-cluster", "rediss-cluster"];
    match reqwest::Url::parse(raw) {
        Ok(url) if SCHEMES.contains(&url.scheme()) && url.has_host() => Ok(()),
        Ok(_) | Err(_) => Err(format!(
            "not a URL such as {REDIS_URL}, with rediss:// for TLS and redis-cluster:// for a \
             cluster; in a password write % and two hexadecimal digits for each of /?#@:% and a \
             space"
        )),
    }
}

/// A base URL, without a trailing slash.
fn url(raw: &str) -> Result<String, String> {
    // What stands before an @ may be a password.
    let told = raw.rsplit_once('@').map_or(raw, |(_, rest)| rest);
    let wrong = || format!("{} is not a URL such as https://hub.example.com", shown(told));
    let parsed = reqwest::Url::parse(raw).map_err(|_| wrong())?;
    let is_http = matches!(parsed.scheme(), "http" | "https") && parsed.has_host();
    let has_more = parsed.query().is_some() || parsed.fragment().is_some();
    let has_login = !parsed.username().is_empty() || parsed.password().is_some();
    if !is_http || has_more || has_login {
        return Err(if has_login {
            "must have no user and no password".to_owned()
        } else {
            wrong()
        });
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}

/// A URL without a path: the console, its files and the clients name all paths from the root.
fn site(raw: &str) -> Result<String, String> {
    let url = url(raw)?;
    let (_, rest) = url.split_once("://").unwrap_or_default();
    match rest.split_once('/') {
        None => Ok(url),
        Some((host, path)) => Err(format!(
            "must have no path (/{}): a hub is at the root of a host, such as https://{}",
            shown(path),
            shown(host)
        )),
    }
}

fn origins(raw: &str) -> Result<Vec<String>, String> {
    items(raw).map(origin).collect()
}

/// The comma-separated items.
fn items(raw: &str) -> impl Iterator<Item = &str> {
    raw.split(',').map(str::trim).filter(|one| !one.is_empty())
}

/// An address, or a network such as `10.0.0.0/8`; an IPv4 address in IPv6 notation is converted.
fn network(raw: &str) -> Result<IpNet, String> {
    let address = raw.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    let network = address.or_else(|_| raw.parse::<IpNet>());
    network.map_err(|_| format!("{} is not an address or a network such as 10.0.0.0/8", shown(raw)))
}

/// An origin as browsers send it: lower case, without a path, without the scheme's default port.
fn origin(raw: &str) -> Result<String, String> {
    if raw == "*" {
        return Ok(raw.to_owned());
    }
    let wrong =
        || format!("{} is not an origin such as https://app.example.com, nor *", shown(raw));
    let lower = raw.to_ascii_lowercase();
    let (scheme, host) = lower.split_once("://").ok_or_else(wrong)?;
    let plain = |c: char| !c.is_whitespace() && !"/?#@*\\".contains(c);
    if scheme.is_empty() || host.is_empty() || !host.chars().all(plain) {
        return Err(wrong());
    }
    let own_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let host = if own_port.is_empty() { host } else { host.strip_suffix(own_port).unwrap_or(host) };
    Ok(format!("{scheme}://{host}"))
}
