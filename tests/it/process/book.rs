//! The documentation: its commands work, its links lead somewhere, its contents are complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::process::{folder, run_ok};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn markdown(folder: PathBuf) -> impl Iterator<Item = PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|kind| kind == "md"))
}

/// All pages, with the files that stand beside the folder.
fn pages() -> Vec<PathBuf> {
    let root = docs().parent().unwrap().to_owned();
    let more = ["README.md", "SECURITY.md"].map(|name| root.join(name));
    markdown(docs()).chain(markdown(docs().join("deploy"))).chain(more).collect()
}

/// The documents of the code, which are not in the book.
fn of_the_code() -> impl Iterator<Item = PathBuf> {
    let root = docs().parent().unwrap().to_owned();
    let more = ["ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root.join(name));
    markdown(docs().join("decisions")).chain(more)
}

/// The blocks of a language, in their order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let mut blocks: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        if is_inside && line == "```" {
            is_inside = false;
        } else if is_inside {
            let block = blocks.last_mut().unwrap();
            block.push_str(line);
            block.push('\n');
        } else if line == fence {
            is_inside = true;
            blocks.push(String::new());
        }
    }
    blocks
}

/// Runs a page's commands as one script, on a free port of its own.
fn run_page(name: &str) {
    let text = fs::read_to_string(docs().join(name)).unwrap();
    let blocks = blocks(&text, "sh");
    assert!(!blocks.is_empty(), "{name} has no commands");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = blocks.concat().replace("127.0.0.1:8000", &format!("127.0.0.1:{port}"));
    let (folder, database) = folder();
    let binary = Path::new(env!("CARGO_BIN_EXE_bellpull")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let ended = Command::new("bash")
        .args(["-c", &format!("set -euxo pipefail\ntrap 'kill $(jobs -p) || true' EXIT\n{script}")])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder.path())
        .env("BELLPULL_LISTEN", format!("127.0.0.1:{port}"))
        .output()
        .unwrap();
    let [out, err] = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(ended.status.success(), "{name}: {err}\n{out}");
    assert!(!database.exists(), "the page uses the default database");
}

#[test]
fn the_quick_start_is_right() {
    run_page("quick-start.md");
}

#[test]
fn the_rest_page_is_right() {
    run_page("rest.md");
}

#[test]
fn the_client_guide_is_right() {
    run_page("clients.md");
}

#[test]
fn the_deployment_page_is_right() {
    run_page("deploy/README.md");
}

#[test]
fn every_page_with_commands_is_run() {
    let source = include_str!("book.rs");
    for page in pages().iter().filter(|page| page.starts_with(docs())) {
        let text = fs::read_to_string(page).unwrap();
        let name = page.strip_prefix(docs()).unwrap().display().to_string();
        let is_run = source.contains(&format!("run_page(\"{name}\")"));
        assert_eq!(is_run, !blocks(&text, "sh").is_empty(), "{name}");
    }
}

/// The fields of a schema, and those below them.
fn fields(document: &Value, schema: &Value) -> BTreeSet<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return fields(document, document.pointer(reference.trim_start_matches('#')).unwrap());
    }
    let parts = schema["oneOf"].as_array().into_iter().flatten().chain(schema.get("items"));
    let mut found: BTreeSet<String> = parts.flat_map(|part| fields(document, part)).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        found.insert(name.clone());
        found.extend(fields(document, field));
    }
    found
}

/// What a client of `bellpull.v1` may send and receive is on its socket's channel of the document.
#[test]
fn the_reference_has_every_frame_and_every_field() {
    let document = bellpull::wire::asyncapi::document().unwrap();
    let text = fs::read_to_string(docs().join("bellpull-v1.md")).unwrap();
    let has = |text: &str, name: &str| text.contains(&format!("`{name}`"));
    let (from_hub, to_hub) = text.split_once("\n## To the hub\n").unwrap();
    let row = |section: &str, name: &str| {
        let mut rows = section.lines().filter(|line| line.starts_with("| `"));
        rows.find(|row| has(row.split('|').nth(1).unwrap(), name)).map(str::to_owned)
    };
    let messages = document["channels"]["everything"]["messages"].as_object().unwrap();
    for (title, reference) in messages {
        let at = reference["$ref"].as_str().unwrap().trim_start_matches('#');
        let message = document.pointer(at).unwrap();
        let name = message["name"].as_str().unwrap();
        let section = if title.contains(".client.") { to_hub } else { from_hub };
        let row = row(section, name).unwrap_or_else(|| panic!("no row has {title}"));
        let own = message["payload"]["properties"].as_object().unwrap().keys();
        let own: BTreeSet<&str> = own.map(String::as_str).collect();
        for field in fields(&document, &message["payload"]) {
            // The first column is the type. What replies and all commands have is described apart.
            let is_apart = !own.contains(field.as_str()) || name == "reply" || field == "id";
            let place = if is_apart { &text } else { &row };
            let is_there = field == "type" || has(place, &field);
            assert!(is_there, "{title}: {field} is not in {place}");
        }
    }
    // The part of this dialect alone is on that channel as a whole.
    let part: Value =
        serde_json::from_str(include_str!("../../../src/wire/v1/asyncapi.json")).unwrap();
    for name in part["messages"].as_object().unwrap().keys() {
        assert!(messages.contains_key(&format!("bellpull.v1.{name}")), "{name}");
    }
}

/// The anchor of a heading, as it is made from its text.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    for page in pages().into_iter().chain(of_the_code()) {
        let text = fs::read_to_string(&page).unwrap();
        for rest in text.split("](").skip(1) {
            let link = rest.split(')').next().unwrap();
            let is_address = link.contains("://") || link.starts_with("mailto:");
            if is_address || link.contains(char::is_whitespace) {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(headings.any(|one| one == heading), "{}: {link}", page.display());
            }
        }
    }
}

#[test]
fn the_summary_has_every_page_once() {
    let summary = fs::read_to_string(docs().join("SUMMARY.md")).unwrap();
    let links = summary.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    let listed: Vec<&str> = links.collect();
    let unique: BTreeSet<String> = listed.iter().map(|&link| link.to_owned()).collect();
    assert_eq!(unique.len(), listed.len(), "{listed:?}");
    let own = pages().into_iter().filter_map(|page| {
        let name = page.strip_prefix(docs()).ok()?.display().to_string();
        (name != "SUMMARY.md").then_some(name)
    });
    assert_eq!(unique, own.collect());
}

#[test]
fn what_the_manifest_sets_are_settings() {
    let text = fs::read_to_string(docs().join("deploy/kubernetes.yaml")).unwrap();
    let (_folder, database) = folder();
    let settings = run_ok(&database, &["config"]);
    let is_of_name = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    let words = text.split(|letter| !is_of_name(letter));
    let named: Vec<&str> = words.filter(|word| word.starts_with("BELLPULL_")).collect();
    assert!(named.len() > 5, "{named:?}");
    for name in named {
        assert!(settings.contains(&format!("{name}]")), "{name} is no setting");
    }
}

#[test]
fn the_index_has_every_decision_with_its_title_and_date() {
    let folder = docs().join("decisions");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let rows = index.lines().filter(|line| line.starts_with("| [")).map(str::to_owned);
    let of_file = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let number = name.split('-').next().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let title = text.lines().next().unwrap().strip_prefix(&format!("# {number}: ")).unwrap();
        let date = text.lines().nth(2).unwrap().get(..10).unwrap();
        format!("| [{number}]({name}) | {date} | {title} |")
    };
    let decisions = markdown(folder).filter(|path| !path.ends_with("README.md"));
    let mut wanted: Vec<String> = decisions.map(of_file).collect();
    wanted.sort();
    assert_eq!(rows.collect::<Vec<_>>(), wanted);
}

/// Paths in backticks, in the documents that are a map of the code.
#[test]
fn the_files_that_the_map_names_exist() {
    let root = docs().parent().unwrap().to_owned();
    let top = ["src/", "actors/", "benches/", "tests/", "docs/", "migrations/"];
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/limits.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        let marked = text.split('`').skip(1).step_by(2);
        let paths = marked.filter(|name| top.iter().any(|top| name.starts_with(top)));
        for path in paths.flat_map(alternatives) {
            assert!(root.join(&path).exists(), "{page} names {path}");
        }
    }
}

/// `a/{b,c}` is `a/b` and `a/c`.
fn alternatives(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let (within, after) = rest.split_once('}').unwrap();
    within.split(',').map(|one| format!("{before}{one}{after}")).collect()
}
