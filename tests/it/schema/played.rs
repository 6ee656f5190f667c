//! `schemathesis` plays every operation of the document against a hub with people in it: what the
//! document allows, what it forbids, and chains of calls that use each other's answers.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use super::{document, operations};
use crate::clients::tools;
use crate::support::skip::skipped;
use crate::support::{Hub, Person};

/// Cases an operation and phase; some thousands in all, in about a minute.
const CASES: &str = "20";

/// What is not played: streams that never end, an actor's restart (each spends the tree's budget,
/// and a spent one ends the hub, as it should), and the end of the login that plays.
const LEFT_OUT: [&str; 4] = [
    "/api/operator/events/",
    "/api/notifications/stream/",
    "/api/operator/actors/{path}/restart/",
    "/api/auth/logout/",
];

/// What is not asked of an answer. The document cannot say that a name is taken or that an id is
/// nobody's, so some requests that it allows are refused; and the hub is lenient where clients of
/// the field are sloppy (an empty filter, a `page_size` of 2^31), so some that it forbids are not.
const NOT_ASKED: &str = "positive_data_acceptance,negative_data_rejection";

/// Clients may not rely on there being no other fields, so the document does not say so. Here an
/// answer may have none that are not documented.
fn strict(mut document: Value) -> Value {
    let mut asked = Vec::new();
    for (_, _, operation) in operations(&document) {
        let contents = operation["requestBody"]["content"].as_object();
        let shapes = contents.into_iter().flatten().map(|(_, content)| &content["schema"]["$ref"]);
        asked.extend(shapes.filter_map(|name| Some(name.as_str()?.rsplit('/').next()?.to_owned())));
    }
    assert!(asked.len() > 8, "{asked:?}");
    for (name, shape) in document["components"]["schemas"].as_object_mut().unwrap() {
        if shape["type"] == "object" && !asked.contains(name) {
            let shape = shape.as_object_mut().unwrap();
            shape.entry("additionalProperties").or_insert(json!(false));
        }
    }
    document
}

/// Everything that there can be something of.
async fn furnish(hub: &Hub) -> Person {
    let root = hub.user("root", "super_admin").await;
    hub.user("admin", "admin").await;
    let developer = hub.user("ada", "developer").await;
    let client = hub.user("carl", "client").await;
    for title in ["One", "Two", "Three", "Four", "Five", "Six"] {
        hub.ticket(&client, title).await;
        hub.ticket(&root, title).await;
    }
    for (who, ticket, action) in [
        (&root, 1, "open"),
        (&root, 2, "assign"),
        (&root, 4, "assign"),
        (&developer, 4, "start_work"),
        (&developer, 4, "finish_work"),
    ] {
        let path = format!("/api/tickets/{ticket}/{action}/");
        let (status, answer) = hub.post(who, &path, json!({"developers": [developer.id]})).await;
        assert_eq!(status, 200, "{action}: {answer}");
    }
    root
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_undocumented_and_none_is_a_mistake() {
    let program = tools().join("python/bin/schemathesis");
    if !program.exists() {
        return skipped("schemathesis is not installed (tests/run.sh does)");
    }
    let hub = Hub::start().await;
    let root = furnish(&hub).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, strict(document()).to_string()).unwrap();

    let mut command = Command::new(program);
    command.arg("run").arg(&file).args(["--url", &hub.base()]);
    command.arg("--header").arg(format!("Authorization: Bearer {}", root.token));
    command.args(["--checks", "all", "--exclude-checks", NOT_ASKED, "--max-examples", CASES]);
    let left_out = LEFT_OUT.join("|").replace('{', r"\{").replace('}', r"\}");
    command.arg("--exclude-path-regex").arg(format!("^({left_out})$"));
    command.args(["--seed", "1", "--generation-database", "none", "--continue-on-failure"]);
    command.args(["--no-color", "--warnings", "off"]).current_dir(folder.path());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let document = document();
    let is_played = |(path, _, _): &(&str, &str, &Value)| !LEFT_OUT.contains(path);
    let played = operations(&document).into_iter().filter(is_played).count();
    assert!(text.contains(&format!("Tested: {played}")), "{text}");
    hub.stop().await;
}
