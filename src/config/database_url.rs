//! The database's address, which may contain a password.

use std::fmt;

/// The database's address. Shown without its password and without parameters, which may contain
/// one.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// All of it, for whatever opens the database.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for DatabaseUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.starts_with("sqlite:") {
            return f.write_str(&self.0);
        }
        let Ok(mut url) = reqwest::Url::parse(&self.0) else { return f.write_str("(database)") };
        // Refused for an address without a host, which then has no password either.
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        write!(f, "{url}")
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, wanted) in [
            ("sqlite://bellpull.db", "sqlite://bellpull.db"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("postgres://bell@db:5433/bells", "postgres://bell@db:5433/bells"),
            ("postgres://bell:hunter2@db/bells", "postgres://bell@db/bells"),
            ("postgres://db/bells?user=bell&password=hunter2", "postgres://db/bells"),
            ("postgresql://bell:hun/ter2@db/bells", "(database)"),
        ] {
            let url = DatabaseUrl::from(url.to_owned());
            assert_eq!(url.to_string(), wanted);
            assert_eq!(format!("{url:?}"), format!("\"{wanted}\""));
        }
    }
}
