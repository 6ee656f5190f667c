//! The binary with webhooks: servers that check what they are sent by an implementation of their
//! own, and that answer well and badly.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Name, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::scripted::Scripted;
use super::{Colleague, until};
use crate::clients::tools;
use crate::support::now_s;
use crate::support::process::{Process, folder};
use crate::support::skip::skipped;

const HOOKS: &str = "/api/webhooks/";

/// A call as it came.
#[derive(Clone)]
struct Call {
    name: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A user's server: its requests, by the last segment of the path, and its answers.
#[derive(Clone, Default)]
struct Receiver {
    calls: Arc<Mutex<Vec<Call>>>,
    /// The status of its answers; 0: 204.
    answer: Arc<AtomicU16>,
}

async fn call(
    State(receiver): State<Receiver>,
    Name(name): Name<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let kind = name.clone();
    receiver.calls.lock().unwrap().push(Call { name, headers, body });
    match kind.as_str() {
        "hang" => std::future::pending().await,
        "moved" => Redirect::temporary("/hook/elsewhere").into_response(),
        "endless" => "x".repeat(32 * 1024 * 1024).into_response(),
        _ => {
            let status = StatusCode::from_u16(receiver.answer.load(Relaxed));
            status.unwrap_or(StatusCode::NO_CONTENT).into_response()
        }
    }
}

impl Receiver {
    /// Its address.
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let routes = Router::new().route("/hook/{name}", post(call)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }

    fn calls(&self, name: &str) -> Vec<Call> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| call.name == name).cloned().collect()
    }
}

/// What Python's hmac says of a call; `None`, told, where there is no Python.
async fn verify(secret: &str, call: &Call) -> Option<Value> {
    let python = tools().join("python/bin/python");
    if !python.exists() {
        skipped("Python is not installed (tests/run.sh does)");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/hook_verify.py");
    let mut command = Command::new(python);
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let said = json!({
        "secret": secret,
        "signature": call.header("x-bellpull-signature"),
        "body": STANDARD.encode(&call.body),
    });
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(format!("{said}\n").as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn serve(database: &Path, allow_private: &str) -> Process {
    Process::serve(
        database,
        &[
            ("BELLPULL_WEBHOOK_ALLOW_PRIVATE", allow_private),
            ("BELLPULL_RETRY_BASE_MS", "50"),
            ("BELLPULL_RETRY_ATTEMPTS", "4"),
        ],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_called_signed_and_called_again_with_the_same_words() {
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let (_folder, database) = folder();
    let hub = serve(&database, "true");
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "");
    let bob = Colleague::join(&database, "bob", "admin", "");
    let hook =
        |name: &str, project: Value| json!({"url": format!("{url}/{name}"), "project": project});
    let mine = ada.post(at, HOOKS, hook("mine", json!(null))).await;
    let team = ada.post(at, HOOKS, hook("team", json!(1))).await;
    receiver.answer.store(500, Relaxed);
    let ticket = carl.raise(at, "Große <Panne>").await;
    until("all were tried twice", async || {
        receiver.calls("mine").len() >= 2 && receiver.calls("team").len() >= 2
    })
    .await;
    receiver.answer.store(0, Relaxed);
    until("both are sent", async || ada.count(at, "WEBHOOK", "SENT").await == 2).await;
    let (of_mine, of_team) = (receiver.calls("mine"), receiver.calls("team"));
    for (calls, made) in [(&of_mine, &mine), (&of_team, &team)] {
        let key = calls[0].header("idempotency-key");
        assert_eq!(calls[0].json()["id"], key);
        for call in calls {
            assert_eq!(call.body, calls[0].body, "the same bytes");
            assert_eq!(call.header("idempotency-key"), key);
            assert_eq!(call.header("content-type"), "application/json");
            let Some(seen) = verify(made["secret"].as_str().unwrap(), call).await else { return };
            assert_eq!((&seen["good"], &seen["count"]), (&json!(true), &json!(1)));
            assert!((seen["time"].as_i64().unwrap() - now_s()).abs() < 120, "{seen}");
            let other = verify("whsec_another", call).await.unwrap();
            assert_eq!(other["good"], false);
        }
    }
    assert_ne!(of_mine[0].header("idempotency-key"), of_team[0].header("idempotency-key"));
    let (to_me, to_team) = (of_mine[0].json(), of_team[0].json());
    assert_eq!((&to_me["recipient"], &to_me["project"]), (&json!(ada.id), &json!(null)));
    assert_eq!((&to_team["recipient"], &to_team["project"]), (&json!(null), &json!(1)));
    assert!(to_me["notification"].is_i64() && to_team["notification"].is_null());
    for said in [&to_me, &to_team] {
        assert_eq!(said["event"], "ticket_created");
        assert_eq!(said["ticket"]["id"], ticket);
        assert_eq!(said["ticket"]["status"], "NEW");
        assert!(said["message"].as_str().unwrap().contains("Große <Panne>"), "{said}");
    }

    // Only Ada could be notified, and she is the acting user: the team's webhook is called all the
    // same.
    ada.post(at, &format!("/api/tickets/{ticket}/comments/"), json!({"body": "@bob?"})).await;
    bob.post(at, &format!("/api/tickets/{ticket}/open/"), json!({})).await;
    until("the team hears of it", async || {
        receiver.calls("team").iter().any(|call| call.json()["event"] == "ticket_opened")
    })
    .await;
    assert!(receiver.calls("team").iter().all(|call| call.json()["event"] != "mentioned"));
    let id = to_me["notification"].as_i64().unwrap();
    let why = ada.get(at, &format!("/api/notifications/{id}/explain/")).await;
    let ways = why["channels"].as_array().unwrap();
    let way = ways.iter().find(|way| way["channel"] == "WEBHOOK").unwrap();
    assert_eq!(way["status"], "SENT");
    assert!(way["attempts"].as_array().unwrap().len() >= 2, "{way}");

    // Another secret, and a test: both sign.
    let path = format!("{HOOKS}{}/", mine["id"]);
    let turned = ada.post(at, &format!("{path}rotate-secret/"), json!({})).await;
    assert_ne!(turned["secret"], mine["secret"]);
    let tried = ada.post(at, &format!("{path}test/"), json!({})).await;
    assert_eq!((&tried["ok"], &tried["status"]), (&json!(true), &json!(204)));
    let ping = receiver.calls("mine").pop().unwrap();
    assert_eq!(ping.json()["event"], "ping");
    for made in [&mine, &turned] {
        let seen = verify(made["secret"].as_str().unwrap(), &ping).await.unwrap();
        assert_eq!((&seen["good"], &seen["count"]), (&json!(true), &json!(2)));
    }

    // It wants no more.
    receiver.answer.store(410, Relaxed);
    carl.raise(at, "Two").await;
    until("it is switched off", async || ada.get(at, &path).await["is_active"] == false).await;
    let off = ada.get(at, &path).await;
    assert!(off["off_reason"].as_str().unwrap().contains("410"), "{off}");
    let told = "/api/notifications/?event=webhook_disabled";
    // Of hers, and of the project's.
    until("its owner is told", async || ada.get(at, told).await["count"] == 2).await;
    let told = ada.get(at, told).await["results"][0].clone();
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("127.0.0.1") && message.contains("410"), "{message}");
    assert!(!message.contains("/mine"), "a path may be a secret: {message}");
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_servers_are_no_trouble_for_good_ones() {
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let other = Receiver::default();
    let elsewhere = other.start().await;
    let (_folder, database) = folder();
    let hub = serve(&database, "true");
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "");
    for name in ["hang", "moved", "endless"] {
        ada.post(at, HOOKS, json!({"url": format!("{url}/{name}")})).await;
    }
    let fine = json!({"url": format!("{elsewhere}/fine"), "project": 1});
    ada.post(at, HOOKS, fine).await;
    for n in 0..10 {
        carl.raise(at, &format!("Ticket {n}")).await;
    }
    // At the host that hangs four wait for their answer: none waits for them.
    until("the good one heard all", async || other.calls("fine").len() == 10).await;
    until("four hang", async || receiver.calls("hang").len() >= 2).await;
    until("a redirect ends it", async || ada.count(at, "WEBHOOK", "FAILED").await >= 1).await;
    assert!(receiver.calls("elsewhere").is_empty(), "no redirect is followed");
    until("a long answer is one", async || ada.count(at, "WEBHOOK", "SENT").await > 10).await;
    let root = Colleague::join(&database, "root", "super_admin", "");
    let webhook = root.channel(at, "webhook").await;
    assert_eq!(webhook["observed"]["circuit"], "closed", "{webhook}");
    drop(hub);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operators_own_network_is_not_called() {
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let port: u16 = url.split(':').nth(2).unwrap().split('/').next().unwrap().parse().unwrap();
    let (_folder, database) = folder();
    let hub = serve(&database, "false");
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "");
    for bad in [
        format!("https://127.0.0.1:{port}/hook/x"),
        format!("https://[::1]:{port}/hook/x"),
        format!("https://[::ffff:127.0.0.1]:{port}/hook/x"),
        format!("https://2130706433:{port}/hook/x"),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        format!("http://localhost:{port}/hook/x"),
    ] {
        let (status, answer) = ada.ask(at, Method::POST, HOOKS, &json!({"url": bad})).await;
        assert_eq!(status, 400, "{bad}: {answer}");
        assert!(answer["url"][0].is_string(), "{bad}: {answer}");
    }
    // Where a name leads is known only when it is called.
    let named = json!({"url": format!("https://localhost:{port}/hook/x")});
    let hook = ada.post(at, HOOKS, named).await;
    carl.raise(at, "One").await;
    until("it has failed", async || ada.count(at, "WEBHOOK", "FAILED").await == 1).await;
    let newest = ada.newest(at, "WEBHOOK").await;
    assert!(newest["error"].as_str().unwrap().contains("public internet"), "{newest}");
    assert_eq!(newest["attempts"], 4, "as often as one whose name is unknown");
    let tried = ada.post(at, &format!("{HOOKS}{}/test/", hook["id"]), json!({})).await;
    assert_eq!((&tried["ok"], &tried["status"]), (&json!(false), &json!(null)));
    assert!(tried["error"].as_str().unwrap().contains("public internet"), "{tried}");
    assert!(receiver.calls("x").is_empty());
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_lost_the_right_is_told_nothing_that_waited() {
    let (receiver, mails) = (Receiver::default(), Scripted::default());
    let (url, smtp) = (receiver.start().await, mails.start().await);
    let (_folder, database) = folder();
    let settings = [
        ("BELLPULL_WEBHOOK_ALLOW_PRIVATE", "true"),
        ("BELLPULL_RETRY_BASE_MS", "50"),
        ("BELLPULL_RETRY_ATTEMPTS", "100"),
        ("BELLPULL_SMTP_URL", &smtp),
        ("BELLPULL_SMTP_FROM", "desk@example.com"),
    ];
    let hub = Process::serve(&database, &settings);
    let at = hub.address;
    let root = Colleague::join(&database, "root", "super_admin", "");
    let dora = Colleague::join(&database, "dora", "developer", "");
    let steps = json!({"steps": [{"channel": "SYSTEM", "after_s": 0},
        {"channel": "EMAIL", "after_s": 3}]});
    let path = "/api/escalations/ticket_assigned/";
    assert_eq!(root.ask(at, Method::PUT, path, &steps).await.0, 200);
    dora.post(at, HOOKS, json!({"url": format!("{url}/mine")})).await;
    let closed = json!({"key": "SEC", "name": "Secret"});
    let project = root.post(at, "/api/projects/", closed).await["id"].clone();
    let members = format!("/api/projects/{project}/members/");
    root.post(at, &members, json!({"user": dora.id})).await;
    let ticket = json!({"title": "Theirs", "project": project});
    let ticket = root.post(at, "/api/tickets/", ticket).await["id"].clone();
    receiver.answer.store(503, Relaxed);
    let assign = json!({"developers": [dora.id]});
    root.post(at, &format!("/api/tickets/{ticket}/assign/"), assign).await;
    until("it was tried", async || !receiver.calls("mine").is_empty()).await;
    let gone = format!("{members}{}/", dora.id);
    assert!(root.ask(at, Method::DELETE, &gone, &json!({})).await.0 < 300);
    for channel in ["WEBHOOK", "EMAIL"] {
        let path = format!("/api/deliveries/?channel={channel}&status=SUPPRESSED");
        let held_back = async || root.get(at, &path).await["count"].as_i64() >= Some(1);
        until(&format!("{channel} is held back"), held_back).await;
        let all = root.get(at, &path).await["results"].as_array().unwrap().clone();
        let rules: Vec<&Value> = all.iter().map(|one| &one["rule"]).collect();
        assert!(
            rules.iter().all(|rule| ["not_visible", "moved_on"].contains(&rule.as_str().unwrap())),
            "{rules:?}"
        );
    }
    let tried = receiver.calls("mine").len();
    receiver.answer.store(0, Relaxed);
    until("none waits", async || root.count(at, "WEBHOOK", "QUEUED").await == 0).await;
    let later = receiver.calls("mine").split_off(tried);
    assert!(later.iter().all(|call| call.json()["event"] != "ticket_assigned"));
    assert!(mails.taken().is_empty());
    assert!(hub.terminate().success());
}
