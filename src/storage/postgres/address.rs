//! A database's address, as libpq reads it.
//!
//! `sqlx` keeps the brackets of an IPv6 address, refuses a user without a host beside a socket's
//! folder, and logs parameters that it does not know with their values, which may be secrets.

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::open_error::OpenError;

/// The parameters that `sqlx` reads.
const KNOWN: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
/// The longest name of an unknown parameter that is told: libpq's are shorter. What is longer may
/// be a part of a password.
const NAME_MAX: usize = 32;

/// Reads an address. No error has a part of it.
pub(super) fn parse(url: &str) -> Result<PgConnectOptions, OpenError> {
    let mut url = readable(url)?;
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    url.set_query(None);
    let mut has_root = false;
    for (name, value) in pairs {
        if !KNOWN.contains(&name.as_str()) && !name.starts_with("options[") {
            let is_name = |letter: char| letter.is_ascii_lowercase() || "_-".contains(letter);
            let is_told = name.len() <= NAME_MAX && name.chars().all(is_name);
            let name = if is_told { name.as_str() } else { "?" };
            tracing::warn!(name, "a parameter of the database's address is not known, and ignored");
            continue;
        }
        has_root |= ["sslrootcert", "ssl-root-cert", "ssl-ca"].contains(&name.as_str());
        url.query_pairs_mut().append_pair(&name, &value);
    }
    let parsed: PgConnectOptions =
        url.as_str().parse().map_err(|_| wrong("a parameter has a wrong value"))?;
    let host = parsed.get_host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let parsed = match bare.map(str::to_owned) {
        Some(bare) => parsed.host(&bare),
        None => parsed,
    };
    // As libpq does: a file of roots that was given is meant to be used.
    let is_unchecked = matches!(parsed.get_ssl_mode(), PgSslMode::Require);
    Ok(if is_unchecked && has_root { parsed.ssl_mode(PgSslMode::VerifyCa) } else { parsed })
}

/// The URL in a form that URL parsers read.
pub(super) fn readable(url: &str) -> Result<reqwest::Url, OpenError> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let has_no_host = authority.ends_with('@') || authority.contains("@:");
    let authority = match has_no_host {
        true => authority.replacen('@', "@localhost", 1),
        false => authority.to_owned(),
    };
    let url = reqwest::Url::parse(&format!("{scheme}://{authority}{path}"));
    let url = url.map_err(|error| wrong(&error.to_string()))?;
    // The rest of a password whose special characters were not written as %XX.
    let has_rest = url.fragment().is_some()
        || url.path().contains('@')
        || url.query().is_some_and(|query| query.contains('@'));
    if has_rest {
        return Err(wrong(
            "a password's special characters are written as %XX (@ is %40, # is %23)",
        ));
    }
    Ok(url)
}

fn wrong(why: &str) -> OpenError {
    OpenError::Address(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_libpq_reads_them() {
        let host = |url: &str| parse(url).unwrap().get_host().to_owned();
        assert_eq!(host("postgres://u:p@[::1]:5433/db"), "::1");
        assert_eq!(host("postgres://u:p@db.example.com/db"), "db.example.com");
        for url in ["postgres://u@/db?host=/run/pg", "postgres://u:p@:5433/db?host=/run/pg"] {
            let parsed = parse(url).unwrap();
            assert_eq!(parsed.get_socket().unwrap().to_str(), Some("/run/pg"), "{url}");
            assert_eq!(parsed.get_username(), "u");
        }
        let mode = |query: &str| {
            let mode = parse(&format!("postgres://u@h/db?{query}")).unwrap().get_ssl_mode();
            format!("{mode:?}")
        };
        assert_eq!(mode("sslmode=require"), "Require");
        assert_eq!(mode("sslmode=require&sslrootcert=/x.pem"), "VerifyCa");
        assert_eq!(mode("sslrootcert=/x.pem&sslmode=verify-full"), "VerifyFull");
        assert_eq!(mode("sslpassword=hunter2&connect_timeout=3"), "Prefer");
    }

    #[test]
    fn no_part_of_a_password_is_told() {
        for url in [
            "postgres://u:hun@ter/s#ecret@h/db",
            "postgres://u:hunter#secret@h/db",
            "postgres://u:hunter/secret@h/db",
            "postgres://u:hunter?secret@h/db",
            "postgres://u:1?secret@h/db",
            "postgres://u:hun@ter/secret@h/db",
            "postgres://u:hun@ter?secret@h/db",
            "postgres://u:p@h/db?sslmode=secret",
            "postgres://u:p@h/db?port=secret",
            "secret",
        ] {
            let text = parse(url).unwrap_err().to_string();
            assert!(!text.contains("secret") && !text.contains("hun"), "{url}: {text}");
        }
    }
}
