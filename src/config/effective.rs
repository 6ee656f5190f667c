//! The settings in force, and where each comes from. Secrets are not shown.

use serde::Serialize;
use utoipa::ToSchema;

use super::DatabaseUrl;
use super::load::Values;
use super::source::Source;
use super::table::{Kind, SETTINGS};
use super::value::Value;

/// Shown in the place of a secret.
const HIDDEN: &str = "(secret)";

/// A setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Setting)]
pub struct Effective {
    /// Its key in `bellpull.toml`.
    pub key: &'static str,
    /// As it would be written; `None`: not set. A secret is `(secret)`.
    #[schema(required)]
    pub value: Option<String>,
    /// What it is if nothing sets it; `None`: not set.
    #[schema(required)]
    pub default: Option<&'static str>,
    /// Where it comes from.
    pub source: Source,
    /// The option, the variable, or the file and key.
    pub place: String,
    /// What it does.
    pub about: &'static str,
}

/// All settings, in the order of their table.
pub(super) fn all(values: &Values) -> Vec<Effective> {
    let of = |setting: &'static super::table::Setting| Effective {
        key: setting.key,
        value: shown(setting.kind, values.get(setting.key)),
        default: Some(setting.default).filter(|default| !default.is_empty()),
        source: values.source(setting.key),
        place: values.place(setting.key),
        about: setting.about,
    };
    SETTINGS.iter().map(of).collect()
}

fn shown(kind: Kind, value: &Value) -> Option<String> {
    Some(match (kind, value) {
        (_, Value::None) => return None,
        (Kind::Secret, _) => HIDDEN.to_owned(),
        // Either may have a password.
        (Kind::Database | Kind::Redis, Value::Text(url)) => {
            DatabaseUrl::from(url.clone()).to_string()
        }
        (_, Value::Text(text)) => text.clone(),
        (_, Value::Address(address)) => address.to_string(),
        (_, Value::Switch(on)) => on.to_string(),
        (_, Value::Number(number)) => number.to_string(),
        (_, Value::List(all)) => all.join(","),
        (_, Value::Networks(all)) => {
            all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::{Config, Sources};

    #[test]
    fn each_source_is_named_and_no_secret_shown() {
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let sources = Sources {
            flags: vec![("listen", "127.0.0.1:9".to_owned())],
            env: vec![
                own("BELLPULL_JWT_SECRET", "hunter2"),
                own("BELLPULL_REDIS_URL", "redis://me:hunter2@redis:6379"),
                own("BELLPULL_DATABASE_URL", "postgres://me:hunter2@db/hub"),
            ],
            file: Some(own("hub.toml", "[smtp]\nurl = 'smtp://u:hunter2@mail'\nfrom = 'a@b.c'")),
        };
        let config = Config::load(&sources).unwrap();
        let of = |key: &str| {
            let found = config.effective.iter().find(|one| one.key == key).unwrap();
            let value = found.value.clone();
            (value.unwrap_or_default(), found.source.name(), found.place.clone())
        };
        let wanted =
            |value: &str, source, place: &str| (value.to_owned(), source, place.to_owned());
        assert_eq!(of("listen"), wanted("127.0.0.1:9", "flag", "--listen"));
        assert_eq!(of("smtp.from"), wanted("a@b.c", "file", "hub.toml: smtp.from"));
        assert_eq!(of("smtp.url"), wanted("(secret)", "file", "hub.toml: smtp.url"));
        assert_eq!(of("replay.limit"), wanted("500", "default", "replay.limit"));
        assert_eq!(of("operator.listen"), wanted("", "default", "operator.listen"));
        let place = "BELLPULL_REDIS_URL";
        assert_eq!(of("redis_url"), wanted("redis://me@redis:6379", "environment", place));
        assert!(!format!("{:?}", config.effective).contains("hunter2"));
    }
}
