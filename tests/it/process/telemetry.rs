//! What the hub says of itself: no secret in any log line, and metrics that Prometheus reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use super::Caller;
use crate::support::process::{Process, folder};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_and_no_message_is_in_any_log_line() {
    for format in ["json", "text"] {
        let (folder, database) = folder();
        let log = folder.path().join("log");
        let settings = [
            ("BELLPULL_LOG", format),
            ("BELLPULL_LOG_FILTER", "trace"),
            ("BELLPULL_JWT_SECRET", "the-secret-of-all-secrets"),
        ];
        let hub = Process::serve_logged(&database, &settings, &log);
        // The tokens of the command line are signed with what the hub has only in its environment.
        let mut secrets = vec!["the-secret-of-all-secrets".to_owned(), "correct horse".to_owned()];
        crate::support::process::person(&database, "ada", "admin");
        let unknown = Caller { id: 0, token: "not.a.token".to_owned(), at: hub.address };
        let login = json!({"username": "ada", "password": "correct horse"});
        let (status, login) = unknown.post("/api/auth/login/", login).await;
        assert_eq!(status, 200, "{login}");
        let wrong = json!({"username": "ada", "password": "a wrong guess"});
        assert_eq!(unknown.post("/api/auth/login/", wrong).await.0, 401);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let access = text(&login["access"]);
        let ada = Caller { id: 1, token: access.clone(), at: hub.address };
        let register = json!({"username": "carl", "password": "carls own word",
            "email": "carl@example.com", "role": "client"});
        assert_eq!(unknown.post("/api/auth/register/", register).await.0, 201);
        let login_of_carl = json!({"username": "carl", "password": "carls own word"});
        let (_, carl) = unknown.post("/api/auth/login/", login_of_carl).await;
        let carl = Caller { id: 2, token: text(&carl["access"]), at: hub.address };
        let mut socket = ada.socket("").await;
        let body = json!({"title": "Quixotic zebra", "description": "Jabberwock vortex"});
        let (status, ticket) = carl.post("/api/tickets/", body).await;
        assert_eq!(status, 201, "{ticket}");
        while !socket.next().await.to_string().contains("Quixotic zebra") {}
        socket.expect_nothing().await;
        assert_eq!(unknown.get("/api/tickets/?token=stray-token-in-a-query").await.0, 401);
        assert_eq!(ada.restart("user/1").await, 403);
        let one_time = opened_by_a_ticket(&ada).await;
        secrets.push(one_time);
        let refresh = json!({ "refresh": text(&login["refresh"]) });
        let (status, fresh) = ada.post("/api/auth/refresh/", refresh.clone()).await;
        assert_eq!(status, 200, "{fresh}");
        secrets.extend([text(&login["refresh"]), access, carl.token, text(&fresh["access"])]);
        ada.post("/api/auth/logout/", refresh).await;
        assert!(hub.terminate().success());
        secrets.extend(
            [
                "a wrong guess",
                "carls own word",
                "Quixotic zebra",
                "Jabberwock vortex",
                "not.a.token",
            ]
            .map(str::to_owned),
        );
        secrets.push("stray-token-in-a-query".to_owned());

        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.contains("TRACE"), "{text}");
        for line in text.lines() {
            if format == "json" {
                let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
                assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
            }
            for secret in &secrets {
                assert!(!line.contains(secret.as_str()), "{secret} is in: {line}");
                // A signature alone would do harm too, and a token cut in two is one all the same.
                let tail = secret.rsplit('.').next().unwrap();
                assert!(tail.len() < 30 || !line.contains(tail), "{secret} is in: {line}");
            }
        }
    }
}

/// A socket of each kind is opened and closed: by a ticket, and by a token in the header that
/// browsers can set. The ticket.
async fn opened_by_a_ticket(who: &Caller) -> String {
    let (status, issued) = who.post("/api/auth/ws-ticket/", json!({})).await;
    assert_eq!(status, 200, "{issued}");
    let ticket = issued["ticket"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        // The second time it is refused: that may be logged, the ticket may not.
        let url = format!("ws://{}/ws/?ticket={ticket}", who.at);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        futures_util::SinkExt::close(&mut socket).await.unwrap();
    }
    let mut request =
        tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(format!(
            "ws://{}/ws/",
            who.at
        ))
        .unwrap();
    let pair = format!("bellpull.v1, bearer.{}", who.token).parse().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", pair);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    futures_util::SinkExt::close(&mut socket).await.unwrap();
    ticket
}

/// What needs an admin's right is in the log with who, what and the outcome, and without content.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_admin_changes_is_in_the_log() {
    let (folder, database) = folder();
    let log = folder.path().join("log");
    let settings = [("BELLPULL_LOG", "json"), ("BELLPULL_LOG_FILTER", "info")];
    let hub = Process::serve_logged(&database, &settings, &log);
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let carl = Caller::join(&database, hub.address, "carl", "client");
    let user = format!("/api/users/{}/", carl.id);
    let change = json!({"full_name": "Quixotic Zebra"});
    assert_eq!(ada.ask(Method::PATCH, &user, &change).await.0, 200);
    assert_eq!(ada.ask(Method::DELETE, "/api/scheduled/4711/", &json!({})).await.0, 404);
    assert_eq!(carl.ask(Method::PATCH, &user, &change).await.0, 403);
    let hook = json!({"url": "https://hooks.example.com/jabberwock", "project": 1});
    assert_eq!(ada.post("/api/webhooks/", hook).await.0, 201);
    assert_eq!(ada.get(&user).await.0, 200);
    assert!(hub.terminate().success());
    let text = std::fs::read_to_string(&log).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let acts: Vec<Value> = lines.filter(|line| line["target"] == "bellpull::audit").collect();
    let found: Vec<_> = acts
        .iter()
        .map(|line| {
            assert_eq!((&line["user"], &line["username"]), (&json!(ada.id), &json!("ada")));
            assert_eq!(line["role"], "admin", "{line}");
            (line["method"].clone(), line["path"].clone(), line["status"].clone())
        })
        .collect();
    let wanted = [
        (json!("PATCH"), json!(user), json!(200)),
        (json!("DELETE"), json!("/api/scheduled/4711/"), json!(404)),
        (json!("POST"), json!("/api/webhooks/"), json!(201)),
    ];
    assert_eq!(found, wanted, "{text}");
    assert!(!text.contains("Quixotic") && !text.contains("jabberwock"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_what_prometheus_reads() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let mut socket = ada.socket("").await;
    ada.raise("Own").await;
    socket.expect_nothing().await;
    let odd = json!({"username": "no\"body\\\n", "password": "x"});
    assert_eq!(ada.post("/api/auth/login/", odd).await.0, 401);
    let (status, text) = ada.get("/metrics").await;
    assert_eq!(status, 200);
    let text = text.as_str().expect("a text");
    let mut kinds = BTreeMap::new();
    let mut helped = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect(line);
            assert!(!help.is_empty() && helped.insert(name), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect(line);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kinds.insert(name, kind).is_none(), "{line}");
        } else {
            let name = sample(line);
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .filter(|base| kinds.get(base) == Some(&"histogram"))
                .unwrap_or(name);
            assert!(kinds.contains_key(base), "no type: {line}");
            assert!(helped.contains(base), "no help: {line}");
        }
    }
    for (name, kind) in [
        ("bellpull_sessions", "gauge"),
        ("bellpull_actors", "gauge"),
        ("bellpull_http_requests_total", "counter"),
        ("bellpull_http_request_seconds", "histogram"),
        ("bellpull_logins_total", "counter"),
    ] {
        assert_eq!(kinds.get(name), Some(&kind), "{text}");
    }
    assert!(text.lines().any(|line| line == "bellpull_sessions 1"), "{text}");
    assert!(hub.terminate().success());
}

/// The metrics that a source counts, by their names.
fn counted(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            counted(&path, found);
            continue;
        }
        // Beside the source are the web app and its build.
        if path.extension().is_none_or(|kind| kind != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for call in text.split("metrics::").skip(1) {
            let Some((kind, rest)) = call.split_once("!(") else { continue };
            let name = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
            if ["counter", "gauge", "histogram"].contains(&kind) {
                found.extend(name.map(str::to_owned));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_hub_shows_every_metric_that_there_is() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let unknown = Caller { id: 0, token: String::new(), at: hub.address };
    let (status, text) = unknown.get("/metrics").await;
    assert_eq!(status, 200);
    let text = text.as_str().expect("a text");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    counted(&root.join("src"), &mut names);
    counted(&root.join("actors"), &mut names);
    assert!(names.len() > 20, "the sources were not found: {names:?}");
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| {
            let has_help = text.contains(&format!("# HELP {name} "));
            let sample = |line: &str| {
                let rest = line.strip_prefix(name.as_str());
                rest.is_some_and(|rest| rest.starts_with([' ', '{']) || rest.starts_with("_count"))
            };
            !has_help || !text.lines().any(sample)
        })
        .collect();
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), names.len());
    for line in [
        "bellpull_actor_failures_total{kind=\"ticket\"} 0",
        "bellpull_attempts_total{channel=\"EMAIL\",outcome=\"failed\"} 0",
        "bellpull_ended_logins_forgotten_total 0",
        "bellpull_logins_total{outcome=\"refused\"} 0",
        "bellpull_socket_closes_total{code=\"4401\"} 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
    }
    assert!(hub.terminate().success());
}

/// The name of a sample, which must be one by the grammar of the text format.
fn sample(line: &str) -> &str {
    let is_name = |name: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        !name.is_empty()
            && name.chars().all(word)
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let (name, mut rest) = line.split_at(line.find(['{', ' ']).expect(line));
    assert!(is_name(name), "{line}");
    if let Some(labels) = rest.strip_prefix('{') {
        rest = labels;
        while !rest.starts_with('}') {
            let (label, value) = rest.split_once("=\"").expect(line);
            assert!(is_name(label), "{line}");
            let mut escaped = false;
            let end = value.find(|c| {
                let is_end = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                is_end
            });
            rest = &value[end.expect(line) + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect(line);
    assert!(value.parse::<f64>().is_ok() || ["+Inf", "-Inf", "NaN"].contains(&value), "{line}");
    name
}
