//! The packages of `clients/`, as they are published, against a real hub: programs of
//! `tests/packages/` in their own languages.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::clients::tools;
use crate::support::skip::skipped;
use crate::support::{Hub, SECRET, many, now_s, sign};

/// Rows of a user with a long inbox.
const MANY: i64 = 1_000;

/// `None` (after saying so) where what the packages are built with is missing and may be.
fn modules() -> Option<PathBuf> {
    let modules = tools().join("node/node_modules");
    if modules.join("puppeteer-core").exists() {
        return Some(modules);
    }
    skipped("the tools of the packages' tests are not installed (tests/run.sh does)");
    None
}

fn python() -> PathBuf {
    tools().join("python/bin/python")
}

/// The program passes.
async fn passes(mut command: Command) {
    command.current_dir(env!("CARGO_MANIFEST_DIR")).kill_on_drop(true);
    command.env("PYTHONPATH", "clients/python").env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}

/// The program passes, which is told of a hub with eight users and of the tools.
async fn passes_with_hub(mut command: Command) {
    let Some(modules) = modules() else { return };
    let hub = Hub::start_with(|config| {
        config.http.allowed_origins = vec!["*".to_owned()];
        config.http.writes_per_s = 0;
    })
    .await;
    let admin = hub.user("boss", "admin").await.token;
    let mut people = Vec::new();
    for n in 0..8 {
        let person = hub.user(&format!("person_{n}"), "client").await;
        people.push(json!({"id": person.id, "username": person.username, "token": person.token}));
    }
    let mut long = people.pop().unwrap();
    hub.execute(&many::inbox(long["id"].as_i64().unwrap(), MANY)).await;
    long["rows"] = json!(MANY);
    let at = json!({"base": hub.base(), "service": service(), "secret": SECRET, "admin": admin,
        "people": people, "many": long});
    command.env("HUB", at.to_string()).env("CLIENT_MODULES", modules);
    passes(command).await;
}

/// A back end's token.
fn service() -> String {
    let claims: Value = json!({"user_id": 0, "token_type": "service", "service": "tests",
        "iat": now_s(), "exp": now_s() + 3600, "bellpull": true});
    sign(&claims)
}

fn program(name: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_javascript_client() {
    passes_with_hub(program("node", &["tests/packages/client.mjs"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_react_package() {
    passes_with_hub(program("node", &["tests/packages/react.mjs"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_package() {
    passes_with_hub(program(python(), &["tests/packages/python_client.py"])).await;
}

#[tokio::test]
async fn the_python_package_has_right_types() {
    let Some(modules) = modules() else { return };
    let python = python();
    let config = "--config-file=clients/python/pyproject.toml";
    let mypy =
        ["-m", "mypy", "--strict", "--cache-dir=/dev/null", config, "clients/python/bellpull"];
    passes(program(&python, &mypy)).await;
    let python = format!("--pythonpath={}", python.display());
    let pyright = modules.join(".bin/pyright");
    passes(program(pyright, &[&python, "clients/python/bellpull"])).await;
}
