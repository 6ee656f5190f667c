//! SECURITY.md names the tests that hold what it promises: they exist.

use std::path::Path;

use super::{root, sources};

/// The words of a text that are marked as code.
fn marked(text: &str) -> impl Iterator<Item = &str> {
    // Every second piece between two marks.
    text.split('`').skip(1).step_by(2)
}

/// Whether a name is `file::test`, as SECURITY.md names tests.
fn test_name(name: &str) -> Option<(&str, &str)> {
    let is_word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    // A test's name is a sentence; a log's target is not.
    let (file, test) = name.split_once("::")?;
    (is_word(file) && is_word(test) && test.contains('_')).then_some((file, test))
}

/// The name of a module by its file.
fn module(path: &Path) -> Option<&str> {
    let stem = path.file_stem()?.to_str()?;
    if stem == "mod" { path.parent()?.file_name()?.to_str() } else { Some(stem) }
}

#[test]
fn the_tests_that_security_md_names_exist() {
    let text = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let sources = sources();
    let mut seen = 0;
    for (file, test) in marked(&text).filter_map(test_name) {
        seen += 1;
        let definition = format!("fn {test}(");
        let is_there = sources
            .iter()
            .any(|(path, source)| module(path) == Some(file) && source.contains(&definition));
        assert!(is_there, "SECURITY.md names {file}::{test}, which is not there");
    }
    assert!(seen > 40, "only {seen} tests were found in SECURITY.md");
}

#[test]
fn each_of_the_twenty_points_names_what_holds_it() {
    let text = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let (_, points) = text.split_once("## Twenty points").unwrap();
    for point in 1..=20 {
        let row = points.lines().find(|line| line.starts_with(&format!("| {point} |")));
        let held = row.and_then(|row| row.trim_end_matches(" |").rsplit_once(" | "));
        let (_, held) = held.unwrap_or_default();
        assert!(held.contains('`'), "no test holds point {point}");
    }
}

#[test]
fn the_files_that_security_md_names_exist() {
    let text = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let is_file = |name: &&str| {
        let folders = ["tests/", "src/", "actors/", "benches/"];
        folders.iter().any(|folder| name.starts_with(folder)) || name.ends_with(".md")
    };
    for name in marked(&text).filter(is_file) {
        assert!(root().join(name).exists(), "SECURITY.md names {name}, which is not there");
    }
}
