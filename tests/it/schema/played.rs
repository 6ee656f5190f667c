//! `schemathesis` plays every operation of the document against a hub with people in it: what the
//! document allows, what it forbids, and chains of calls that use each other's answers.

use std::collections::BTreeSet;
use std::process::Stdio;

use bellpull_domain::ticket::{Right, WORKFLOW};
use serde_json::{Value, json};
use tokio::process::Command;

use super::furnished::Furnished;
use super::{document, operations};
use crate::clients::tools;
use crate::support::Person;
use crate::support::skip::skipped;

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
/// hub's rules, so some requests that it allows are rejected; and the hub is lenient where clients
/// of the field are sloppy (an empty filter, a `page_size` of 2^31), so some that it forbids are
/// not.
const NOT_ASKED: &str = "positive_data_acceptance,negative_data_rejection";

/// What is always refused: browsers are not told here, for that would call their push services;
/// what a provider reports, the provider signs; no user has a socket here; this hub sends no mails,
/// and this client has no password. All others must have been done at least once.
const NEVER_DONE: [(&str, &str); 11] = [
    ("/api/auth/email/resend/", "post"),
    ("/api/auth/password/", "post"),
    ("/api/auth/password/reset/", "post"),
    ("/api/operator/users/{user}/sessions/{session}/close/", "post"),
    ("/api/push/key/", "get"),
    ("/api/push/subscriptions/", "delete"),
    ("/api/push/subscriptions/", "post"),
    ("/api/push/test/", "post"),
    ("/hooks/sms/", "post"),
    ("/hooks/whatsapp/", "get"),
    ("/hooks/whatsapp/", "post"),
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
    document
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

/// Whose token a call is made with: what only a developer may do is a developer's.
fn tokens(furnished: &Furnished) -> String {
    let header =
        |who: &Person| format!("headers = {{ Authorization = \"Bearer {}\" }}\n", who.token);
    let (root, developer) = (header(&furnished.root), header(&furnished.developer));
    let steps = WORKFLOW.iter().filter(|rule| rule.by == Right::AssignedDeveloper);
    let names: Vec<&str> = steps.map(|rule| rule.name).collect();
    let names = names.join("|");
    format!("{root}[[operations]]\ninclude-path-regex = '/({names})/$'\n{developer}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_undocumented_and_none_is_a_mistake() {
    let program = tools().join("python/bin/schemathesis");
    if !program.exists() {
        return skipped("schemathesis is not installed (tests/run.sh does)");
    }
    let furnished = Furnished::gather().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    let mut played = strict(document());
    furnished.point_out(&mut played);
    std::fs::write(&file, played.to_string()).unwrap();
    std::fs::write(folder.path().join("schemathesis.toml"), tokens(&furnished)).unwrap();

    let mut command = Command::new(program);
    command.arg("run").arg(&file).args(["--url", &furnished.hub.base()]);
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
    let count = operations(&document).into_iter().filter(is_played).count();
    assert!(text.contains(&format!("Tested: {count}")), "{text}");
    let report = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let answered = answered(&report, &document);
    let all = operations(&document).into_iter().filter(is_played);
    let all = all.map(|(path, method, _)| (path, method));
    let never: Vec<_> = all.filter(|operation| !answered.contains(operation)).collect();
    assert_eq!(never, NEVER_DONE, "what was always refused");
    furnished.hub.stop().await;
}
