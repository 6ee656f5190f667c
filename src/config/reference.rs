//! All settings as a commented `bellpull.toml`.

use std::fmt::Write;

use super::table::{Kind, SETTINGS, Setting};

/// The width of a comment.
const WIDTH: usize = 96;

const HEAD: &str = "\
# Bellpull's settings, each with its default. A flag counts before its variable, a variable before
# this file, this file before the default. `bellpull config --effective` shows what is in force.
";

/// Every setting with what it does, its other names and its default, commented out.
#[must_use]
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    // Keys without a table come first, or they would belong to the table before them.
    let (plain, tables): (Vec<_>, Vec<_>) =
        SETTINGS.iter().partition(|setting| !setting.key.contains('.'));
    for setting in plain {
        entry(&mut text, setting.key, setting);
    }
    let mut names: Vec<&str> = Vec::new();
    for (table, _) in tables.iter().filter_map(|setting| setting.key.split_once('.')) {
        if !names.contains(&table) {
            names.push(table);
        }
    }
    for name in names {
        let _ = write!(text, "\n[{name}]\n");
        let of = tables.iter().filter_map(|one| Some((one.key.split_once('.')?, one)));
        for ((_, key), setting) in of.filter(|((table, _), _)| *table == name) {
            entry(&mut text, key, setting);
        }
    }
    text
}

fn entry(text: &mut String, key: &str, setting: &Setting) {
    text.push('\n');
    let mut line = String::from("#");
    for word in setting.help().split_whitespace() {
        if line.chars().count() + word.chars().count() + 1 > WIDTH {
            let _ = writeln!(text, "{line}");
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
    let value = match (setting.default, setting.kind) {
        ("", _) => String::new(),
        (bare, Kind::Number { .. } | Kind::Switch | Kind::Share) => format!(" {bare}"),
        (other, _) => format!(" {other:?}"),
    };
    let _ = writeln!(text, "#{key} ={value}");
}

#[cfg(test)]
mod tests {
    use crate::{Config, Sources};

    use super::*;

    #[test]
    fn what_it_shows_are_the_defaults() {
        let text = reference();
        let is_set = |line: &str| line.starts_with('#') && !line.starts_with("# ");
        let uncommented: Vec<&str> = text
            .lines()
            .map(|line| if is_set(line) && !line.ends_with('=') { &line[1..] } else { line })
            .collect();
        assert_eq!(text.lines().filter(|line| is_set(line)).count(), SETTINGS.len());
        let file = Some(("x.toml".to_owned(), uncommented.join("\n")));
        let loaded = Config::load(&Sources { file, ..Sources::default() }).unwrap();
        let default = Config::default();
        for (loaded, default) in loaded.effective.iter().zip(&default.effective) {
            assert_eq!((loaded.key, &loaded.value), (default.key, &default.value));
        }
        assert!(text.lines().all(|line| line.len() <= 100));
    }
}
