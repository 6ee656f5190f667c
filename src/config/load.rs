//! The sources of values in order of precedence: flag, environment, file, default.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::injected::is_injected;
use super::source::Source;
use super::table::{SETTINGS, Setting, find, nearest};
use super::value::{Value, parse};
use bellpull_wire::Dialect;

/// The prefix of our variables; an unknown one with this prefix is refused.
const PREFIX: &str = "BELLPULL_";

/// The path of the file, unless `--config` names one.
pub const FILE_ENV: &str = "BELLPULL_CONFIG";

/// The default file, read if it exists.
pub(super) const FILE: &str = "bellpull.toml";

/// A configuration error, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// The setting, as named in its source.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The raw values. Empty: none.
#[derive(Default)]
pub struct Sources {
    /// Keys and values of the command line.
    pub flags: Vec<(&'static str, String)>,
    /// The environment variables that begin with `BELLPULL_`.
    pub env: Vec<(String, String)>,
    /// The file's name and content.
    pub file: Option<(String, String)>,
}

// Values may be secrets.
impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Sources {
    /// The sources of this process: its environment and the file.
    ///
    /// # Errors
    /// If the file cannot be read, or a variable is not UTF-8.
    pub fn of_process(
        flags: Vec<(&'static str, String)>,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let mut env = Vec::new();
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with(PREFIX) {
                let value = value.into_string().map_err(|_| error(&name, "is not UTF-8"))?;
                env.push((name, value));
            }
        }
        let named = env.iter().find(|(name, value)| name == FILE_ENV && !value.is_empty());
        let (place, path) = match (file, named) {
            (Some(path), _) => ("--config", path.to_owned()),
            (None, Some((_, path))) => (FILE_ENV, PathBuf::from(path)),
            (None, None) => ("", PathBuf::from(FILE)),
        };
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some((path.display().to_string(), text)),
            Err(e) if place.is_empty() && e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => {
                let place = if place.is_empty() { FILE } else { place };
                return Err(error(place, format!("{} cannot be read: {e}", path.display())));
            }
        };
        Ok(Self { flags, env, file })
    }
}

pub(super) fn error(place: impl Into<String>, problem: impl Into<String>) -> ConfigError {
    ConfigError { place: place.into(), problem: problem.into() }
}

/// The effective value of each key, its place, and its source.
pub(super) struct Values(HashMap<&'static str, Entry>);

struct Entry {
    value: Value,
    place: String,
    source: Source,
}

impl Values {
    pub(super) fn gather(sources: &Sources) -> Result<Self, ConfigError> {
        let mut values = Self(HashMap::with_capacity(SETTINGS.len()));
        for setting in SETTINGS {
            if setting.default.is_empty() {
                let place = setting.key.to_owned();
                let entry = Entry { value: Value::None, place, source: Source::Default };
                values.0.insert(setting.key, entry);
            } else {
                let place = setting.key.to_owned();
                values.put(setting, setting.default, place, Source::Default)?;
            }
        }
        if let Some((name, text)) = &sources.file {
            values.read_file(name, text)?;
        }
        for (name, raw) in &sources.env {
            match SETTINGS.iter().find(|setting| setting.env() == *name) {
                // Compose files and shells use an empty variable for "not set".
                Some(_) if raw.is_empty() => {}
                Some(setting) => values.put(setting, raw, name.clone(), Source::Environment)?,
                None if name == FILE_ENV => {}
                None if is_injected(name.trim_start_matches(PREFIX), raw) => {}
                None => return Err(unknown(name, name, SETTINGS.iter().map(Setting::env))),
            }
        }
        for (key, raw) in &sources.flags {
            let setting = find(key).ok_or_else(|| error(*key, "no such setting"))?;
            values.put(setting, raw, format!("--{}", setting.flag()), Source::Flag)?;
        }
        Ok(values)
    }

    fn put(
        &mut self,
        setting: &Setting,
        raw: &str,
        place: String,
        source: Source,
    ) -> Result<(), ConfigError> {
        match parse(setting, raw) {
            Ok(value) => {
                self.0.insert(setting.key, Entry { value, place, source });
                Ok(())
            }
            Err(problem) => Err(error(place, problem)),
        }
    }

    fn read_file(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = toml::from_str(text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let message = e.message().lines().collect::<Vec<_>>().join(" ");
            error(name, format!("line {line}: {message}"))
        })?;
        let mut leaves = Vec::new();
        flatten("", table, &mut leaves);
        for (key, value) in leaves {
            let place = format!("{name}: {key}");
            let Some(setting) = find(&key) else {
                return Err(unknown(&place, &key, SETTINGS.iter().map(|one| one.key.to_owned())));
            };
            let raw = plain(value).ok_or_else(|| {
                error(&place, format!("takes {}, not this", setting.value_name()))
            })?;
            self.put(setting, &raw, place, Source::File)?;
        }
        Ok(())
    }

    pub(super) fn place(&self, key: &str) -> String {
        self.0.get(key).map_or_else(|| key.to_owned(), |entry| entry.place.clone())
    }

    pub(super) fn source(&self, key: &str) -> Source {
        self.0.get(key).map_or(Source::Default, |entry| entry.source)
    }

    pub(super) fn get(&self, key: &str) -> &Value {
        self.0.get(key).map_or(&Value::None, |entry| &entry.value)
    }

    /// A key whose value has another type than its field: a defect in this file.
    pub(super) fn mismatch(&self, key: &str) -> ConfigError {
        error(self.place(key), "is not of the kind that is wanted here")
    }

    pub(super) fn address(&self, key: &str) -> Option<SocketAddr> {
        if let Value::Address(address) = self.get(key) { Some(*address) } else { None }
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        if let Value::Text(text) = self.get(key) { Some(text.clone()) } else { None }
    }

    pub(super) fn must_text(&self, key: &str) -> Result<String, ConfigError> {
        self.text(key).ok_or_else(|| self.mismatch(key))
    }

    pub(super) fn list(&self, key: &str) -> Vec<String> {
        if let Value::List(list) = self.get(key) { list.clone() } else { Vec::new() }
    }

    pub(super) fn networks(&self, key: &str) -> Vec<IpNet> {
        if let Value::Networks(networks) = self.get(key) { networks.clone() } else { Vec::new() }
    }

    pub(super) fn switch(&self, key: &str) -> Result<bool, ConfigError> {
        if let Value::Switch(on) = self.get(key) { Ok(*on) } else { Err(self.mismatch(key)) }
    }

    pub(super) fn number<T: TryFrom<u64>>(&self, key: &str) -> Result<T, ConfigError> {
        let Value::Number(number) = self.get(key) else { return Err(self.mismatch(key)) };
        T::try_from(*number).map_err(|_| self.mismatch(key))
    }

    pub(super) fn dialect(&self, key: &str) -> Result<Dialect, ConfigError> {
        Dialect::from_name(&self.must_text(key)?).ok_or_else(|| self.mismatch(key))
    }
}

fn unknown(place: &str, name: &str, known: impl Iterator<Item = String>) -> ConfigError {
    // The common prefix would make all variables look similar.
    let bare = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let known: Vec<String> = known.map(|one| bare(&one)).collect();
    let prefix = if name.starts_with(PREFIX) { PREFIX } else { "" };
    let hint = nearest(&bare(name), known.iter().map(String::as_str))
        .map_or_else(String::new, |meant| format!("; did you mean {prefix}{meant}?"));
    error(place, format!("no such setting{hint}"))
}

/// A file's tables as dotted keys.
fn flatten(prefix: &str, table: toml::Table, into: &mut Vec<(String, toml::Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, into),
            leaf @ (toml::Value::String(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)) => into.push((key, leaf)),
        }
    }
}

/// A file's value in the form of a variable.
fn plain(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(on) => Some(on.to_string()),
        toml::Value::Array(all) => {
            let texts: Option<Vec<String>> =
                all.into_iter().map(|one| one.as_str().map(str::to_owned)).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
