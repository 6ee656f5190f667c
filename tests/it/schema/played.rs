//! `schemathesis` plays every operation of the document against a hub with people in it: what the
//! document allows, what it forbids, and chains of calls that use each other's answers.

use std::collections::BTreeSet;
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

/// What must have been done at least once, not only refused: what there is furniture for, and no
/// login, nobody's notification and no ticket's step to be guessed.
const DONE: [(&str, &str); 9] = [
    ("/api/projects/", "get"),
    ("/api/projects/", "post"),
    ("/api/projects/{id}/", "get"),
    ("/api/projects/{id}/members/", "get"),
    ("/api/projects/{id}/members/", "post"),
    ("/api/projects/{id}/members/{user}/", "delete"),
    ("/api/tickets/{id}/comments/", "get"),
    ("/api/tickets/{id}/comments/", "post"),
    ("/api/notifications/", "post"),
];

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
    // Nobody guesses both a closed project and an account.
    let add = &mut document["paths"]["/api/projects/{id}/members/"]["post"];
    add["parameters"][0]["example"] = json!(2);
    add["requestBody"]["content"]["application/json"]["example"] = json!({"user": 1});
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
    let send = json!({"recipients": {"project": 2}, "title": "Soon", "message": "At ten."});
    for (path, body, wanted) in [
        ("/api/projects/", json!({"key": "WEB", "name": "Main Website"}), 201),
        ("/api/projects/2/members/", json!({"user": developer.id}), 201),
        ("/api/projects/2/members/", json!({"user": client.id}), 201),
        ("/api/tickets/1/comments/", json!({"body": "@ada, any news?"}), 201),
        ("/api/notifications/", send, 202),
    ] {
        let (status, answer) = hub.post(&root, path, body).await;
        assert_eq!(status, wanted, "{path}: {answer}");
    }
    root
}

/// The operations that answered with what was asked for, at least once. Of two paths that fit, the
/// one with more of its own words is meant: `unread` is no id.
fn answered<'d>(report: &Value, document: &'d Value) -> BTreeSet<(&'d str, &'d str)> {
    let mut found = BTreeSet::new();
    for entry in report["log"]["entries"].as_array().unwrap() {
        let (request, status) = (&entry["request"], entry["response"]["status"].as_i64());
        if !status.is_some_and(|status| (200..300).contains(&status)) {
            continue;
        }
        let url = request["url"].as_str().unwrap().splitn(4, '/').nth(3).unwrap_or_default();
        let words: Vec<&str> = url.split('?').next().unwrap().split('/').collect();
        let fits = |path: &str| {
            let wanted: Vec<&str> = path.trim_start_matches('/').split('/').collect();
            let is_word = |word: &&str| !word.starts_with('{');
            let mut both = wanted.iter().zip(&words);
            let is_it = wanted.len() == words.len()
                && both.all(|(wanted, word)| !is_word(wanted) || wanted == word);
            is_it.then(|| wanted.iter().filter(|word| is_word(word)).count())
        };
        let method = request["method"].as_str().unwrap().to_lowercase();
        let of_method = operations(document).into_iter().filter(|(_, other, _)| *other == method);
        let meant = of_method.filter_map(|(path, method, _)| Some((fits(path)?, (path, method))));
        found.extend(meant.max_by_key(|(words, _)| *words).map(|(_, operation)| operation));
    }
    found
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
    let report = folder.path().join("report.har");
    command.args(["--report", "har", "--report-har-path"]).arg(&report);
    command.args(["--no-color", "--warnings", "off"]).current_dir(folder.path());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let document = document();
    let is_played = |(path, _, _): &(&str, &str, &Value)| !LEFT_OUT.contains(path);
    let played = operations(&document).into_iter().filter(is_played).count();
    assert!(text.contains(&format!("Tested: {played}")), "{text}");
    let report = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let answered = answered(&report, &document);
    for operation in DONE {
        assert!(answered.contains(&operation), "{operation:?} was always refused");
    }
    hub.stop().await;
}
