//! The binary with a push service, and a browser's other end that opens what comes there by an
//! implementation of its own.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::{Colleague, PATIENCE, until};
use crate::clients::tools;
use crate::support::process::{Process, folder};
use crate::support::skip::skipped;

const SUBSCRIPTIONS: &str = "/api/push/subscriptions/";
const TEST: &str = "/api/push/test/";

/// The key pair of RFC 8291's example.
const PRIVATE_KEY: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
const PUBLIC_KEY: &str =
    "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";

/// A push service: what it was sent, and how it answers.
#[derive(Clone, Default)]
struct Service {
    taken: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    /// The status of its answers; 0: 201.
    answer: Arc<AtomicU16>,
}

async fn push(State(service): State<Service>, headers: HeaderMap, body: Bytes) -> StatusCode {
    service.taken.lock().unwrap().push((headers, body));
    StatusCode::from_u16(service.answer.load(Relaxed)).unwrap_or(StatusCode::CREATED)
}

impl Service {
    /// Its address.
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/push/{browser}", post(push)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }

    fn count(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

/// A browser, in a process of its own that ends with the test.
struct Opener {
    keys: Value,
    pushes: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Opener {
    /// `None`, told, where it is not installed.
    async fn start() -> Option<Self> {
        let python = tools().join("python/bin/python");
        let is_there = std::process::Command::new(&python)
            .args(["-c", "import http_ece"])
            .stderr(Stdio::null())
            .status();
        if !is_there.is_ok_and(|status| status.success()) {
            skipped("http_ece is not installed (tests/run.sh does)");
            return None;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/push_open.py");
        let mut command = Command::new(python);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let pushes = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let keys = Self::line(&mut lines).await;
        Some(Self { keys, pushes, lines, _child: child })
    }

    async fn line(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("a line in time").unwrap();
        serde_json::from_str(&line.expect("a line")).unwrap()
    }

    /// What a push says, and what its sender has signed.
    async fn open(&mut self, (headers, body): &(HeaderMap, Bytes)) -> Value {
        let authorization = headers["authorization"].to_str().unwrap();
        let push = json!({ "body": STANDARD.encode(body), "authorization": authorization });
        self.pushes.write_all(format!("{push}\n").as_bytes()).await.unwrap();
        Self::line(&mut self.lines).await
    }

    /// What a page would post.
    fn subscription(&self, endpoint: &str) -> Value {
        json!({ "endpoint": endpoint, "expirationTime": null, "keys": self.keys })
    }
}

fn serve(database: &Path, allow_private: &str) -> Process {
    Process::serve(
        database,
        &[
            ("BELLPULL_VAPID_PRIVATE_KEY", PRIVATE_KEY),
            ("BELLPULL_VAPID_SUBJECT", "mailto:desk@example.com"),
            ("BELLPULL_WEBHOOK_ALLOW_PRIVATE", allow_private),
            ("BELLPULL_HTTP_PUBLIC_URL", "https://desk.example"),
            ("BELLPULL_RETRY_BASE_MS", "50"),
        ],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_is_opened_by_its_browser_and_one_that_is_gone_is_forgotten() {
    let Some(mut browser) = Opener::start().await else { return };
    let service = Service::default();
    let url = service.start().await;
    let (_folder, database) = folder();
    let hub = serve(&database, "true");
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "");
    assert_eq!(ada.get(at, "/api/push/key/").await["key"], PUBLIC_KEY);
    carl.raise(at, "Before").await;
    for name in ["laptop", "phone"] {
        let body = browser.subscription(&format!("{url}/push/{name}"));
        ada.post(at, SUBSCRIPTIONS, body).await;
    }
    carl.raise(at, "Große <Panne>").await;
    until("both are sent", async || ada.count(at, "PUSH", "SENT").await == 2).await;
    let taken = service.taken.lock().unwrap().clone();
    assert_eq!(taken.len(), 2);
    for push in &taken {
        assert_eq!(push.0["content-encoding"], "aes128gcm");
        assert_eq!(push.0["ttl"], "86400");
        assert_eq!(push.0["urgency"], "normal");
        let opened = browser.open(push).await;
        let text = &opened["text"];
        assert_eq!(text["title"], "New Ticket Created");
        assert!(text["body"].as_str().unwrap().contains("Große <Panne>"), "{text}");
        assert_eq!(text["event"], "ticket_created");
        let link = text["url"].as_str().unwrap();
        assert!(link.starts_with("https://desk.example/tickets/"), "{link}");
        let signed = &opened["signed"];
        assert_eq!((&signed["head"]["alg"], &signed["key"]), (&json!("ES256"), &json!(PUBLIC_KEY)));
        assert_eq!(signed["claims"]["aud"], url);
        assert_eq!(signed["claims"]["sub"], "mailto:desk@example.com");
        assert!(signed["claims"]["exp"].as_i64().unwrap() > crate::support::now_s());
    }
    let topic = |push: &(HeaderMap, Bytes)| push.0["topic"].clone();
    assert_ne!(topic(&taken[0]), topic(&taken[1]));

    // Not now: again, with the same topic. Then: gone, and never again.
    service.answer.store(503, Relaxed);
    carl.raise(at, "Two").await;
    until("both were tried again", async || service.count() >= 6).await;
    service.answer.store(410, Relaxed);
    until("both have failed", async || ada.count(at, "PUSH", "FAILED").await == 2).await;
    let newest = ada.newest(at, "PUSH").await;
    assert!(newest["error"].as_str().unwrap().starts_with("HTTP 410"), "{newest}");
    service.answer.store(0, Relaxed);
    let before = service.count();
    carl.raise(at, "Three").await;
    let inbox = ada.get(at, "/api/notifications/?page_size=1").await;
    assert_eq!(inbox["results"][0]["deliveries"], json!([]), "there is no browser any more");
    let again = browser.subscription(&format!("{url}/push/phone"));
    ada.post(at, SUBSCRIPTIONS, again).await;
    carl.raise(at, "Four").await;
    until("it is sent", async || ada.count(at, "PUSH", "SENT").await == 3).await;
    assert_eq!(service.count(), before + 1);

    // A test is sent at once, and says what the push service answers.
    let phone = json!({ "endpoint": format!("{url}/push/phone") });
    let told = ada.post(at, TEST, phone.clone()).await;
    assert_eq!(
        (&told["ok"], &told["status"], &told["error"]),
        (&json!(true), &json!(201), &Value::Null)
    );
    let sent = service.taken.lock().unwrap().last().unwrap().clone();
    assert_eq!((sent.0["ttl"].as_bytes(), sent.0.get("topic")), (&b"60"[..], None));
    assert_eq!(browser.open(&sent).await["text"]["title"], "Bellpull");
    service.answer.store(403, Relaxed);
    let told = ada.post(at, TEST, phone.clone()).await;
    assert_eq!((&told["ok"], &told["status"]), (&json!(false), &json!(403)), "{told}");
    assert_eq!(told["error"], "HTTP 403");
    assert_eq!(carl.ask(at, Method::POST, TEST, &phone).await.0, 404, "not his");
    assert_eq!(ada.ask(at, Method::POST, TEST, &json!({})).await.0, 400);

    assert_eq!(carl.ask(at, Method::DELETE, SUBSCRIPTIONS, &phone).await.0, 404, "not his");
    assert_eq!(ada.ask(at, Method::DELETE, SUBSCRIPTIONS, &phone).await.0, 204);
    assert_eq!(ada.ask(at, Method::DELETE, SUBSCRIPTIONS, &phone).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_subscription_is_refused_with_what_is_wrong() {
    let (_folder, database) = folder();
    let hub = serve(&database, "false");
    let at = hub.address;
    let ada = Colleague::join(&database, "ada", "admin", "");
    // Any point of the curve will do for a browser's key.
    let keys = json!({ "p256dh": PUBLIC_KEY, "auth": "BTBZMqHH6r4Tts7J_aSIgg" });
    for (endpoint, keys, field) in [
        (json!("https://127.0.0.1/push"), &keys, "endpoint"),
        (json!("https://2130706433/push"), &keys, "endpoint"),
        (json!("https://[::1]/push"), &keys, "endpoint"),
        (json!("http://push.example/push"), &keys, "endpoint"),
        (json!("https://u:p@push.example/push"), &keys, "endpoint"),
        (json!("push"), &keys, "endpoint"),
        (json!(null), &keys, "endpoint"),
        (json!("https://push.example/a"), &json!(null), "keys"),
        (json!("https://push.example/a"), &json!([]), "keys"),
        (json!("https://push.example/a"), &json!({"auth": "AAAA"}), "keys"),
        (json!("https://push.example/a"), &json!({"p256dh": PUBLIC_KEY, "auth": 1}), "keys"),
    ] {
        let body = json!({ "endpoint": endpoint, "keys": keys });
        let (status, answer) = ada.ask(at, Method::POST, SUBSCRIPTIONS, &body).await;
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(answer[field][0].is_string(), "{body}: {answer}");
    }
    let (_folder, database) = folder();
    let off = Process::serve(&database, &[]);
    let ada = Colleague::join(&database, "ada", "admin", "");
    let body = json!({ "endpoint": "https://push.example/a", "keys": keys });
    for (method, path) in
        [(Method::GET, "/api/push/key/"), (Method::POST, SUBSCRIPTIONS), (Method::POST, TEST)]
    {
        let (status, answer) = ada.ask(off.address, method, path, &body).await;
        assert_eq!((status, &answer["code"]), (403, &json!("disabled")), "{path}");
    }
}
