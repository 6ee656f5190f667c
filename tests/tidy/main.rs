//! What of the house rules a machine can keep.
#![allow(clippy::unwrap_used, reason = "what helps a test fails as a test does")]

mod circles;
mod security;

use std::fs;
use std::path::{Path, PathBuf};

/// A source file may be so long without its tests; the aim is 300.
const LINES_MAX: usize = 500;
/// Names that say nothing about what is inside.
const BANNED_NAMES: [&str; 7] =
    ["util", "utils", "common_util", "helpers", "misc", "types", "manager"];

/// Names that were replaced by standard terms (see docs/glossary.md).
const RETIRED_NAMES: &[&str] = &[
    "Letter",
    "Swell",
    "Ebb",
    "LastWord",
    "Hearing",
    "TemplateDesk",
    "doorstep",
    "to_the_end",
    "be_nice",
    "Tidying",
    "turn_away",
    "give_birth",
    "Fate",
    "Birth",
    "Births",
    "Crew",
    "Settler",
    "Told",
];

/// Colloquial pronouns, which name no role: a user, a client, a caller, a recipient.
const RETIRED_PRONOUNS: [&str; 4] = ["nobody", "somebody", "everybody", "whoever"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What cargo builds there is not the project's.
        if path.is_dir() && !path.ends_with("target") {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|one| one == ending) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in ["src", "actors", "tests", "benches"] {
        files(&root().join(folder), "rs", &mut found);
    }
    assert!(found.len() > 40, "the sources were not found: {}", found.len());
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).unwrap());
    found.into_iter().map(read).collect()
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{} has no module doc", path.display());
    }
}

#[test]
fn files_stay_small_and_lines_short() {
    for (path, text) in sources() {
        let lines = without_tests(&text).lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
        for (number, line) in text.lines().enumerate() {
            let width = line.chars().count();
            // A string that cannot be broken may stick out; code may not.
            let is_code = !line.contains('"') && !line.contains("http");
            assert!(width <= 100 || !is_code, "{}:{} is {width} wide", path.display(), number + 1);
        }
    }
}

/// The folders of all crates, and the name of each.
fn crates() -> Vec<(String, String)> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("members = [").unwrap();
    let (members, _) = rest.split_once(']').unwrap();
    let named = |folder: &str| {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let (_, rest) = manifest.split_once("name = \"").unwrap();
        let (name, _) = rest.split_once('"').unwrap();
        (folder.to_owned(), name.replace('-', "_"))
    };
    let mut found: Vec<_> = members.split('"').skip(1).step_by(2).map(named).collect();
    found.push(("src".to_owned(), "bellpull".to_owned()));
    assert!(found.len() > 15, "{found:?}");
    found
}

#[test]
fn modules_do_not_import_each_other_in_circles() {
    let crates = crates();
    for (folder, crate_name) in &crates {
        let root = match folder.as_str() {
            "actors" | "benches/load" => root().join(folder).join("src"),
            _ => root().join(folder),
        };
        let mut found = Vec::new();
        files(&root, "rs", &mut found);
        let read = |path: PathBuf| {
            let place = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            (place, fs::read_to_string(&path).unwrap())
        };
        let of_others = |place: &(String, String)| {
            let (first, _) = place.0.split_once('/').unwrap_or((&place.0, ""));
            folder == "src" && crates.iter().any(|(other, _)| *other == format!("src/{first}"))
        };
        let sources: Vec<_> = found.into_iter().map(read).filter(|one| !of_others(one)).collect();
        let circles = circles::circles(&sources, crate_name);
        assert!(circles.is_empty(), "{folder}: {circles:#?}");
    }
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    for (path, _) in sources() {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(!BANNED_NAMES.contains(&stem.as_str()), "{}", path.display());
    }
}

#[test]
fn names_are_standard_terms() {
    for (path, text) in sources() {
        if path.ends_with("tidy/main.rs") {
            continue;
        }
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
            assert!(!RETIRED_NAMES.contains(&word), "{} says {word}", path.display());
        }
    }
}

/// In comments, names (each word of them) and texts, and in what operators and users read.
#[test]
fn pronouns_name_a_role() {
    let mut texts = sources();
    let mut found: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
            .map(|name| root().join(name))
            .into();
    for ending in ["md", "yml"] {
        files(&root().join("docs"), ending, &mut found);
    }
    texts.extend(found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())));
    for (path, text) in texts.iter().filter(|(path, _)| !path.ends_with("tidy/main.rs")) {
        for name in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
            let retired = name.split('_').find(|word| {
                RETIRED_PRONOUNS.iter().any(|retired| word.eq_ignore_ascii_case(retired))
            });
            assert!(retired.is_none(), "{} says {name}", path.display());
        }
    }
}

/// Of the domain: its manifest keeps out runtimes, not clocks.
#[test]
fn the_domain_reads_no_clock() {
    let mut found = Vec::new();
    files(&root().join("actors/domain"), "rs", &mut found);
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        for banned in ["Timestamp::now", "Instant::now", "SystemTime::now"] {
            assert!(!text.contains(banned), "{} has {banned}", path.display());
        }
    }
}

/// What a crate may not know. The compiler keeps what a manifest says; this keeps the manifests.
#[test]
fn manifests_are_fences() {
    let only = |library: &'static str, users: &'static [&'static str]| (library, users);
    for (library, users) in [
        only("sqlx", &["src/storage", "benches/load"]),
        only("rusqlite", &["src/storage"]),
        only("redis", &["src/broker"]),
        only("lettre", &["src/delivery"]),
        only("minijinja", &["src/delivery", "src/http"]),
        only("jsonwebtoken", &["src/auth", "benches/load"]),
        only("clap", &["src", "benches/load"]),
        only("ractor", &["actors"]),
        only("hyper", &["src", "src/edge", "src/ws"]),
    ] {
        for (folder, _) in crates() {
            let manifest = root().join(&folder).join("Cargo.toml");
            let manifest = match folder.as_str() {
                "src" => root().join("Cargo.toml"),
                _ => manifest,
            };
            let manifest = fs::read_to_string(manifest).unwrap();
            let (_, rest) = manifest.split_once("\n[dependencies]\n").unwrap_or_default();
            let (own, _) = rest.split_once("\n[").unwrap_or((rest, ""));
            let depends = own.lines().any(|line| {
                line.strip_prefix(library).is_some_and(|rest| rest.starts_with(['.', ' ']))
            });
            assert!(!depends || users.contains(&folder.as_str()), "{folder} depends on {library}");
        }
    }
    let domain = fs::read_to_string(root().join("actors/domain/Cargo.toml")).unwrap();
    for banned in ["bellpull-port", "bellpull-actors", "tokio", "async-trait", "futures"] {
        assert!(!domain.contains(banned), "the domain depends on {banned}");
    }
}

/// What the load tester needs, and a server does not.
#[test]
fn a_server_can_be_built_without_the_load_tester() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("\n[dependencies]\n").unwrap();
    let (own, _) = rest.split_once("\n[").unwrap();
    assert!(own.contains("bellpull-load = { workspace = true, optional = true }"), "{own}");
    for banned in ["plotters", "mio", "hdrhistogram", "indicatif", "memchr"] {
        assert!(
            !own.lines().any(|line| line.starts_with(banned)),
            "the server depends on {banned}"
        );
    }
}

#[test]
fn routes_are_made_where_they_are_documented() {
    for (path, text) in sources() {
        let place = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        if place.starts_with("src/http/") && place != "src/http/routes.rs" {
            for banned in [".route(", ".nest(", ".route_service(", ".nest_service("] {
                assert!(!without_tests(&text).contains(banned), "{place} has {banned}");
            }
        }
    }
}

/// The document describes structs: a response that is put together otherwise could differ from it.
#[test]
fn responses_are_structs() {
    for (path, text) in sources() {
        let place = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        // Events of a stream are frames: AsyncAPI describes them.
        if place.starts_with("src/http/") && !place.starts_with("src/http/sse/") {
            for banned in ["json!", "Json<Value>"] {
                assert!(!without_tests(&text).contains(banned), "{place} has {banned}");
            }
        }
    }
}

#[test]
fn migrations_are_numbered_without_a_gap_and_paired() {
    let names = |store: &str| -> Vec<String> {
        let entries = fs::read_dir(root().join("migrations").join(store)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let sqlite = names("sqlite");
    for (n, name) in sqlite.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}_", n + 1)), "{name} is out of line");
    }
    // PostgreSQL's first file is the whole schema as of this one; from then on both have the same.
    let first = sqlite.iter().position(|name| name.starts_with("0026_")).unwrap();
    let postgres = names("postgres");
    assert_eq!(postgres[0], "0026_create_schema.sql");
    assert_eq!(sqlite[first + 1..], postgres[1..]);
}
