//! Whether log lines are to be JSON, as far as it can be told before the settings are read.
//!
//! A start that fails over a setting has no settings; its one line is read by the same collector
//! as the log.

use std::path::PathBuf;

use super::load::{FILE, FILE_ENV};

/// Whether this process is to log in JSON, by its arguments, its environment and the file, in this
/// order; what is wrong with any of them does not matter here.
#[must_use]
pub fn is_json_asked(arguments: &[String]) -> bool {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let format = option(arguments, "--log").or_else(|| variable("BELLPULL_LOG"));
    let format = format.or_else(|| {
        let path = option(arguments, "--config").or_else(|| variable(FILE_ENV));
        let path = path.map_or_else(|| PathBuf::from(FILE), PathBuf::from);
        of_file(&std::fs::read_to_string(path).ok()?)
    });
    format.is_some_and(|format| format == "json")
}

/// The value of an option: the argument behind it, or behind its `=`.
fn option(arguments: &[String], name: &str) -> Option<String> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(rest) = argument.strip_prefix(name) else { continue };
        if rest.is_empty() {
            return arguments.next().cloned();
        }
        if let Some(value) = rest.strip_prefix('=') {
            return Some(value.to_owned());
        }
    }
    None
}

/// The value of the key `log`, which is above the file's tables.
fn of_file(text: &str) -> Option<String> {
    let above = text.lines().map(str::trim).take_while(|line| !line.starts_with('['));
    let mut values = above.filter_map(|line| line.strip_prefix("log")?.trim().strip_prefix('='));
    let value = values.next()?.split('#').next().unwrap_or_default();
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_in_both_forms() {
        let found = |line: &str, name| {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            option(&arguments, name)
        };
        assert_eq!(found("serve --log json --listen x", "--log").as_deref(), Some("json"));
        assert_eq!(found("serve --log-filter json --log=text", "--log").as_deref(), Some("text"));
        assert_eq!(found("serve --log", "--log"), None);
        assert_eq!(found("serve --listen x", "--log"), None);
    }

    #[test]
    fn the_file_is_read_even_if_it_is_broken() {
        for (text, wanted) in [
            ("log = \"json\"\nlisten = ", Some("json")),
            ("# log = 'text'\nlog='json' # for the collector\n[ws]", Some("json")),
            ("log_filter = \"json\"", None),
            ("[x]\nlog = \"json\"", None),
            ("", None),
        ] {
            assert_eq!(of_file(text).as_deref(), wanted, "{text}");
        }
    }
}
