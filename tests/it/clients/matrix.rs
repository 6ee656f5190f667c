//! Third-party libraries side by side, each in all dialects: what they are shown through a kill of
//! the hub, an absence and a restart is each notification once, in order.
//!
//! `tests/clients/matrix/` has the libraries, one function each. Not among them, and why:
//! `curl_cffi` cannot be left from another thread while it reads; `sse.js` needs a page; the event
//! streams of `aiosonic` and `@sentool/…` do not notice that a connection has ended; `sseclient`
//! has the module name of `sseclient-py`.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{run, script, tools};
use crate::support::process::{Process, folder, lasting_address};
use crate::support::skip::skipped;
use crate::support::{SECRET, now_s, sign, sqlite_only};

/// How long a step may take: clients double their waits, and are many on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The first account of the seats; the sender is the one before.
const FIRST_USER: i64 = 100;

const FAMILIES_AND_V1: [&str; 5] = ["incident", "project", "inbox", "academy", "bellpull.v1"];
const OF_STREAMS: [&str; 2] = ["incident", "bellpull.v1"];

const PYTHON_SOCKETS: [&str; 15] = [
    "websockets_sync",
    "websockets_asyncio",
    "websocket_client",
    "websocket_client_app",
    "aiohttp",
    "picows",
    "tornado",
    "autobahn",
    "wsproto",
    "simple_websocket",
    "trio_websocket",
    "lomond",
    "ws4py",
    "httpx_ws",
    "aiosonic",
];

const NODE_SOCKETS: [&str; 13] = [
    "ws",
    "undici",
    "websocket",
    "websocket (W3C)",
    "isomorphic-ws",
    "faye-websocket",
    "websocket-as-promised",
    "websocket-stream",
    "reconnecting-websocket",
    "partysocket",
    "robust-websocket",
    "websocket-ts",
    "sockette",
];

const PYTHON_STREAMS: [&str; 8] = [
    "httpx_sse",
    "sseclient_py",
    "sseclient_py_urllib3",
    "requests_sse",
    "launchdarkly_eventsource",
    "aiohttp_sse_client2",
    "aiosseclient",
    "curl",
];

const NODE_STREAMS: [&str; 11] = [
    "eventsource 2",
    "eventsource 3",
    "eventsource 4",
    "undici",
    "event-source-polyfill",
    "extended-eventsource",
    "launchdarkly-eventsource",
    "reconnecting-eventsource",
    "eventsource-client",
    "@microsoft/fetch-event-source",
    "fetch-event-stream",
];

/// These come back to the URL that they began with, so what was not confirmed may come twice.
const WITHOUT_SINCE: [&str; 2] = ["websocket-ts", "sockette"];

/// It does not hand on the first frame before another one comes.
const KEEPS_THE_FIRST: [&str; 1] = ["simple_websocket"];

/// They hide the code 1012, or do not know it.
const OWN_CODES: [&str; 4] = ["ws4py", "aiosonic", "faye-websocket", "websocket-as-promised"];

/// A hub's seats: what each has said.
struct Matrix {
    hub: Option<Process>,
    address: std::net::SocketAddr,
    _folder: TempDir,
    database: std::path::PathBuf,
    seats: BTreeMap<String, Vec<Value>>,
    said: mpsc::UnboundedReceiver<Value>,
    gestures: mpsc::UnboundedSender<Value>,
    _running: Child,
}

impl Matrix {
    /// A hub, and a process that plays all libraries in these dialects.
    async fn start(file: &str, libraries: &[&str], dialects: &[&str]) -> Option<Self> {
        let (is_python, is_of_sockets) = (file.ends_with(".py"), file.starts_with("sockets"));
        let program = match is_python {
            true => tools().join("python/bin/python"),
            false => "node".into(),
        };
        let modules = tools().join("node/node_modules");
        if !is_python && !modules.join("partysocket").exists() {
            skipped("Node's libraries are not installed (tests/run.sh does)");
            return None;
        }
        let mut command = Command::new(program);
        command.arg(script(&format!("matrix/{file}")));
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("CLIENT_MODULES", modules);
        command.stderr(std::process::Stdio::null()); // of hubs that are away

        let (_folder, database) = folder();
        let address = lasting_address();
        let (sayer, said) = mpsc::unbounded_channel();
        let (gestures, done) = mpsc::unbounded_channel();
        let scheme = if is_of_sockets { "ws" } else { "http" };
        let _running = run(command, &[&format!("{scheme}://{address}")], sayer, done)?;
        let seats = BTreeMap::new();
        let mut matrix =
            Self { hub: None, address, _folder, database, seats, said, gestures, _running };
        matrix.serve();
        for library in libraries {
            for dialect in dialects {
                let user = FIRST_USER + i64::try_from(matrix.seats.len()).unwrap();
                let token = token(user, "client");
                matrix.seats.insert(format!("{library} {dialect}"), Vec::new());
                // Its account is there before its first connection.
                matrix.ask(Method::GET, "/api/auth/me/", &token, &Value::Null, 200).await;
                matrix.does(json!(["sit", library, dialect, token]));
            }
        }
        Some(matrix)
    }

    fn serve(&mut self) {
        let settings = [
            ("BELLPULL_JWT_SECRET", SECRET),
            ("BELLPULL_AUTH_AUTO_PROVISION", "true"),
            ("BELLPULL_DRAIN_WINDOW_MS", "200"),
        ];
        self.hub = Some(Process::serve_at(self.address, &self.database, &settings));
    }

    fn does(&self, gesture: Value) {
        self.gestures.send(gesture).unwrap();
    }

    /// A notification to all seats.
    async fn send(&self, title: &str) {
        let body = json!({"recipients": "all", "title": title, "message": title});
        let admin = token(FIRST_USER - 1, "admin");
        self.ask(Method::POST, "/api/notifications/", &admin, &body, 202).await;
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: &Value, wanted: u16) {
        let client = bellpull::tls::client().build().unwrap();
        let request = client.request(method, format!("http://{}{path}", self.address));
        let response = request.bearer_auth(token).json(body).send().await.unwrap();
        let status = response.status().as_u16();
        assert_eq!(status, wanted, "{path}: {}", response.text().await.unwrap());
    }

    /// Waits until each seat is so.
    async fn until(&mut self, what: &str, is_so: impl Fn(&str, &[Value]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut missing = self.seats.iter().filter(|(name, said)| !is_so(name, said));
            let Some((name, said)) = missing.next() else { return };
            let (name, last) = (name.clone(), said.last().cloned());
            let others = missing.count();
            let Ok(said) = timeout_at(deadline, self.said.recv()).await else {
                panic!("{what}: {name} and {others} others are not so; it said {last:?}");
            };
            let mut said = said.expect("they run");
            assert_eq!(said["failed"], Value::Null, "{what}: {said}");
            let of = said["of"].take();
            self.seats.get_mut(of.as_str().unwrap()).unwrap().push(said);
        }
    }

    async fn until_shown(&mut self, title: &str) {
        self.until(title, |_, said| said.iter().any(|said| shows(said, title))).await;
    }

    async fn until_ended(&mut self, what: &str, times: usize) {
        self.until(what, |_, said| ends(said).count() >= times).await;
    }

    /// Each was shown these once and in this order.
    fn check(&self, titles: &[&str]) {
        for (name, said) in &self.seats {
            let title = |said: &Value| titles.iter().copied().find(|title| shows(said, title));
            let mut shown: Vec<&str> = said.iter().filter_map(title).collect();
            if is_one_of(name, &WITHOUT_SINCE) {
                shown.dedup();
            }
            assert_eq!(shown, titles, "{name}");
        }
    }
}

fn token(user: i64, role: &str) -> String {
    let username = format!("user-of-{user}");
    sign(&json!({"user_id": user, "username": username, "role": role, "exp": now_s() + 3_600}))
}

fn is_one_of(seat: &str, libraries: &[&str]) -> bool {
    libraries.iter().any(|library| seat.starts_with(&format!("{library} ")))
}

fn shows(said: &Value, title: &str) -> bool {
    said["frame"]["type"] != "pong" && said["frame"].to_string().contains(title)
}

fn ends(said: &[Value]) -> impl Iterator<Item = &Value> {
    said.iter().filter_map(|said| said.get("closed"))
}

fn has_heard(said: &[Value], key: &str, values: &[&str]) -> bool {
    said.iter().any(|said| values.iter().any(|value| said["frame"][key] == *value))
}

const GREETINGS: [&str; 2] = ["connection_established", "welcome"];

async fn sockets(file: &str, libraries: &[&str]) {
    if sqlite_only() {
        return;
    }
    let Some(mut matrix) = Matrix::start(file, libraries, &FAMILIES_AND_V1).await else { return };
    let is_greeted = |name: &str, said: &[Value]| {
        is_one_of(name, &KEEPS_THE_FIRST) || has_heard(said, "type", &GREETINGS)
    };
    matrix.until("greeted", is_greeted).await;
    matrix.send("Title-live").await;
    matrix.until_shown("Title-live").await;
    let long = "x".repeat(60_000); // both ways, in frames of more than 16 bits of length
    matrix.does(json!(["ping", long]));
    matrix.until("a pong", |_, said| has_heard(said, "timestamp", &[&long])).await;

    matrix.hub.take().unwrap().kill();
    matrix.until_ended("after a kill", 1).await;
    matrix.serve();
    matrix.send("Title-killed").await;
    matrix.until_shown("Title-killed").await;

    matrix.does(json!(["go"]));
    matrix.until_ended("after leaving", 2).await;
    matrix.send("Title-away").await;
    matrix.does(json!(["come_back"]));
    matrix.until_shown("Title-away").await;

    assert!(matrix.hub.take().unwrap().terminate().success());
    matrix.until_ended("after a restart", 3).await;
    for (name, said) in matrix.seats.iter().filter(|(name, _)| !is_one_of(name, &OWN_CODES)) {
        assert!(ends(said).any(|code| code == 1012), "{name}");
    }
    matrix.serve();
    matrix.send("Title-restarted").await;
    matrix.until_shown("Title-restarted").await;
    matrix.does(json!(["ping", "end"]));
    matrix.until("the last pong", |_, said| has_heard(said, "timestamp", &["end"])).await;
    matrix.check(&["Title-live", "Title-killed", "Title-away", "Title-restarted"]);
}

async fn streams(file: &str, libraries: &[&str]) {
    if sqlite_only() {
        return;
    }
    let Some(mut matrix) = Matrix::start(file, libraries, &OF_STREAMS).await else { return };
    matrix.until("greeted", |_, said| has_heard(said, "type", &GREETINGS)).await;
    matrix.send("Title-live").await;
    matrix.until_shown("Title-live").await;
    matrix.hub.take().unwrap().kill();
    matrix.serve();
    matrix.send("Title-killed").await;
    matrix.until_shown("Title-killed").await;
    assert!(matrix.hub.take().unwrap().terminate().success());
    matrix.serve();
    matrix.send("Title-restarted").await;
    matrix.until_shown("Title-restarted").await;
    matrix.check(&["Title-live", "Title-killed", "Title-restarted"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_pythons_libraries() {
    sockets("sockets.py", &PYTHON_SOCKETS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_nodes_libraries() {
    sockets("sockets.mjs", &NODE_SOCKETS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_streams_of_pythons_libraries_and_curl() {
    streams("streams.py", &PYTHON_STREAMS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_streams_of_nodes_libraries() {
    streams("streams.mjs", &NODE_STREAMS).await;
}
