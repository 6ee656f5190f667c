//! The machine's clock is set, by hours and both ways, while the hub runs: nothing is lost, sent
//! twice, or left until the clock would be right again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bellpull_load::cluster::{Shift, WallClock};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

use crate::support::process::{Process, UNLIMITED, command, folder, person};
use crate::support::skip::skipped;

const PATIENCE: Duration = Duration::from_secs(60);
const HOURS: Duration = Duration::from_secs(3 * 3_600);

/// A hub whose clock the test sets.
struct Place {
    folder: tempfile::TempDir,
    database: PathBuf,
    clock: WallClock,
}

impl Place {
    /// `None`, told, where the clock cannot be shifted.
    fn new() -> Option<Self> {
        let (folder, database) = folder();
        match WallClock::new(folder.path()) {
            Ok(clock) => Some(Self { folder, database, clock }),
            Err(error) => {
                skipped(&error.to_string());
                None
            }
        }
    }

    /// An account, with a token that is good at all times of the test: it is issued by a clock that
    /// is behind.
    fn join(&self, name: &str, role: &str) -> Caller {
        let (id, _) = person(&self.database, name, role);
        self.clock.set(Shift::Behind(HOURS * 2)).unwrap();
        let mut token = command(&self.database);
        token.args(["token", "--user", name, "--ttl", "86400"]).envs(self.clock.settings());
        let token = token.output().unwrap();
        assert!(token.status.success(), "{token:?}");
        self.clock.set(Shift::None).unwrap();
        Caller { id, token: String::from_utf8(token.stdout).unwrap().trim().to_owned() }
    }

    fn serve(&self) -> Process {
        let own = self.clock.settings();
        let own = own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let hooks = ("BELLPULL_WEBHOOK_ALLOW_PRIVATE", "true");
        let settings = [UNLIMITED, hooks, ("BELLPULL_RETRY_BASE_MS", "50")];
        let settings: Vec<(&str, &str)> = own.chain(settings).collect();
        Process::serve_logged(&self.database, &settings, &self.folder.path().join("log"))
    }

    /// Sets the hub's clock, and waits until the hub goes by it.
    async fn set(&self, shift: Shift, hub: &Process, by: &Caller) {
        self.clock.set(shift).unwrap();
        let wanted_s: i64 = match shift {
            Shift::None => 0,
            Shift::Ahead(by) => by.as_secs() as i64,
            Shift::Behind(by) => -(by.as_secs() as i64),
        };
        until("the hub goes by the new time", async || {
            let ticket =
                by.post(hub.address, "/api/tickets/", json!({"title": "What time?"})).await;
            let at: Timestamp = ticket["created_at"].as_str().unwrap().parse().unwrap();
            let off = at.duration_since(Timestamp::now()).as_secs() - wanted_s;
            off.abs() < 300
        })
        .await;
    }
}

struct Caller {
    id: i64,
    token: String,
}

impl Caller {
    async fn ask(&self, at: SocketAddr, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
        let request = client.request(method, format!("http://{at}{path}"));
        let response = request.bearer_auth(&self.token).json(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
    }

    async fn get(&self, at: SocketAddr, path: &str) -> Value {
        let (status, answer) = self.ask(at, Method::GET, path, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn post(&self, at: SocketAddr, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(at, Method::POST, path, &body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// How many rows of the inbox have this title.
    async fn titled(&self, at: SocketAddr, title: &str) -> usize {
        let page = self.get(at, "/api/notifications/?page_size=100").await;
        page["results"].as_array().unwrap().iter().filter(|row| row["title"] == title).count()
    }
}

async fn until<F: AsyncFnMut() -> bool>(what: &str, mut is_so: F) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A server that answers its first call once it is told to, and others at once; its calls, by their
/// keys.
#[derive(Clone)]
struct Provider {
    calls: Arc<Mutex<BTreeMap<String, usize>>>,
    answers: watch::Receiver<bool>,
}

impl Provider {
    async fn start() -> (Self, watch::Sender<bool>, String) {
        let (answer, answers) = watch::channel(false);
        let provider = Self { calls: Arc::default(), answers };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let routes = Router::new().route("/hook", post(call)).with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (provider, answer, url)
    }

    fn calls(&self) -> BTreeMap<String, usize> {
        self.calls.lock().unwrap().clone()
    }
}

async fn call(State(mut provider): State<Provider>, headers: HeaderMap) -> StatusCode {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let is_first = {
        let mut calls = provider.calls.lock().unwrap();
        let is_first = calls.is_empty();
        *calls.entry(key).or_default() += 1;
        is_first
    };
    if is_first {
        // The test may have failed meanwhile.
        let _ = provider.answers.wait_for(|answers| *answers).await;
    }
    StatusCode::NO_CONTENT
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_in_progress_is_made_once_whatever_the_clock_does() {
    let Some(place) = Place::new() else { return };
    let hub = place.serve();
    let (ada, carl) = (place.join("ada", "admin"), place.join("carl", "client"));
    for shift in [Shift::Ahead(HOURS), Shift::None, Shift::Behind(HOURS), Shift::None] {
        let (provider, answer, url) = Provider::start().await;
        let hook = ada.post(hub.address, "/api/webhooks/", json!({ "url": url })).await;
        carl.post(hub.address, "/api/tickets/", json!({"title": "In progress"})).await;
        until("it is called", async || !provider.calls().is_empty()).await;
        // Each ticket that asks for the time makes the channel look for what is due.
        place.set(shift, &hub, &carl).await;
        let last = carl.post(hub.address, "/api/tickets/", json!({"title": "Another"})).await;
        answer.send(true).unwrap();
        until("all are sent", async || {
            let path = "/api/deliveries/?channel=WEBHOOK&status=QUEUED&page_size=1";
            ada.get(hub.address, path).await["count"] == 0
        })
        .await;
        let calls = provider.calls();
        assert!(calls.values().all(|count| *count == 1), "{shift:?}: {calls:?}, ticket {last}");
        let path = format!("/api/webhooks/{}/", hook["id"]);
        assert_eq!(ada.ask(hub.address, Method::DELETE, &path, &Value::Null).await.0, 204);
    }
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_notification_comes_once_when_its_time_has_come_by_the_clock() {
    let Some(place) = Place::new() else { return };
    let mut hub = place.serve();
    let (ada, carl) = (place.join("ada", "admin"), place.join("carl", "client"));
    let due_at = Timestamp::now() + SignedDuration::from_hours(2);
    let send = json!({"recipients": [carl.id], "title": "Soon", "message": "In two hours.",
        "send_at": due_at});
    ada.post(hub.address, "/api/notifications/", send).await;
    place.set(Shift::Behind(HOURS), &hub, &carl).await;
    assert_eq!(carl.titled(hub.address, "Soon").await, 0);
    place.set(Shift::Ahead(HOURS), &hub, &carl).await;
    until("it has come", async || carl.titled(hub.address, "Soon").await == 1).await;
    // The clock is right again; the process is another one.
    hub.kill();
    place.clock.set(Shift::None).unwrap();
    hub = place.serve();
    let told = json!({"recipients": [carl.id], "title": "Now", "message": "Later by the clock."});
    ada.post(hub.address, "/api/notifications/", told).await;
    until("what is sent now comes now", async || carl.titled(hub.address, "Now").await == 1).await;
    assert_eq!(carl.titled(hub.address, "Soon").await, 1);
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_ends_with_its_token_by_the_clock_and_another_is_opened_when_it_is_right() {
    let Some(place) = Place::new() else { return };
    let hub = place.serve();
    let (_, token) = person(&place.database, "carl", "client"); // good for an hour
    let url = format!("ws://{}/ws/notifications/?token={}", hub.address, token);
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    socket.next().await.unwrap().unwrap();
    place.clock.set(Shift::Ahead(HOURS)).unwrap();
    let ended = async |socket: &mut tokio_tungstenite::WebSocketStream<_>| loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("an end in time") {
            Some(Ok(Message::Close(Some(close)))) => return u16::from(close.code),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ended(&mut socket).await, 4401);
    tokio_tungstenite::connect_async(&url).await.expect_err("the token has expired");
    place.clock.set(Shift::None).unwrap();
    until("the token is good again", async || {
        let Ok((mut socket, _)) = tokio_tungstenite::connect_async(&url).await else {
            return false;
        };
        matches!(socket.next().await, Some(Ok(Message::Text(_))))
    })
    .await;
    assert!(hub.terminate().success());
}
