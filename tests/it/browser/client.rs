//! The client that the hub serves, in Chromium, on lines that break.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::{get, post};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use super::Browser;
use super::line::{Line, Mood};
use crate::support::process::{Process, UNLIMITED, folder, person};
use crate::support::{Hub, Person};

/// How long a browser may take to start on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a page waits for its next gesture before it asks again.
const GESTURE_MAX: Duration = Duration::from_secs(20);

/// A page with the client on it.
pub(super) struct Tab {
    said: mpsc::UnboundedReceiver<Value>,
    gestures: mpsc::UnboundedSender<Value>,
    _browser: Browser,
}

impl Tab {
    /// `None` (after saying so) where there is no browser and one may be missing.
    pub(super) async fn open(hub: &str, token: &str, options: Value) -> Option<Self> {
        let (sayer, said) = mpsc::unbounded_channel();
        let (gestures, waiting) = mpsc::unbounded_channel::<Value>();
        let log = move |body: String| {
            let _ = sayer.send(serde_json::from_str(&body).unwrap());
            std::future::ready("")
        };
        let waiting = Arc::new(Mutex::new(waiting));
        let gesture = move || {
            let waiting = Arc::clone(&waiting);
            async move {
                match timeout(GESTURE_MAX, async { waiting.lock().await.recv().await }).await {
                    Ok(Some(gesture)) => (StatusCode::OK, gesture.to_string()),
                    Ok(None) | Err(_) => (StatusCode::NO_CONTENT, String::new()),
                }
            }
        };
        let router = Router::new()
            .route("/", get(|| async { Html(include_str!("client.html")) }))
            .route("/log", post(log))
            .route("/gesture", get(gesture));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        // Nothing in it needs another spelling in a URL than these.
        let options = options.to_string().replace('"', "%22").replace(' ', "%20");
        let url = format!("http://{at}/?hub={hub}&token={token}&options={options}");
        Some(Self { said, gestures, _browser: Browser::open(&url)? })
    }

    async fn next(&mut self) -> Value {
        timeout(PATIENCE, self.said.recv()).await.expect("the page says something").unwrap()
    }

    /// The next thing said with that key; what comes before it goes to `passed`.
    pub(super) async fn next_with(&mut self, key: &str, passed: &mut Vec<Value>) -> Value {
        loop {
            let said = self.next().await;
            if !said[key].is_null() {
                return said;
            }
            passed.push(said);
        }
    }

    pub(super) async fn live(&mut self, transport: &str) {
        loop {
            let said = self.next_with("state", &mut Vec::new()).await;
            if said["state"] == "live" {
                return assert_eq!(said["transport"], transport);
            }
        }
    }

    async fn unread(&mut self, count: i64) {
        while self.next_with("unread", &mut Vec::new()).await["unread"] != count {}
    }

    pub(super) fn make(&self, gesture: Value) {
        self.gestures.send(gesture).unwrap();
    }
}

/// A hub that pages of all origins may use.
pub(super) async fn open_hub() -> Hub {
    Hub::start_with(|config| config.http.allowed_origins = vec!["*".to_owned()]).await
}

async fn people(hub: &Hub) -> (Person, Person) {
    (hub.user("john_admin", "admin").await, hub.user("jane_client", "client").await)
}

async fn raise(http: &reqwest::Client, base: &str, token: &str, title: &str) -> bool {
    let request = http.post(format!("{base}/api/tickets/")).bearer_auth(token);
    let answer = request.json(&json!({ "title": title })).send().await;
    answer.is_ok_and(|answer| answer.status().as_u16() == 201)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_killed_hubs_and_cut_lines_everything_is_shown_once_and_in_order() {
    const EACH: usize = 20;
    let (_folder, database) = folder();
    let (_, admin) = person(&database, "john_admin", "admin");
    let (_, client) = person(&database, "jane_client", "client");
    let serve = || Process::serve(&database, &[("BELLPULL_HTTP_ALLOWED_ORIGINS", "*"), UNLIMITED]);
    let mut hub = serve();
    let line = Line::to(hub.address, Mood::Good).await;
    let Some(mut tab) = Tab::open(&line.base(), &admin, json!({})).await else { return };
    tab.live("websocket").await;
    let http = bellpull::tls::client().build().unwrap();
    let mut made = 0;
    for round in 0..4 {
        for n in 0..EACH {
            let base = format!("http://{}", hub.address);
            made += usize::from(raise(&http, &base, &client, &format!("{round}.{n}")).await);
            // In the middle, so that some are under way.
            if n == EACH / 2 && round % 2 == 0 {
                hub.kill();
                hub = serve();
                line.lead(hub.address, Mood::Good);
            } else if n == EACH / 2 {
                line.lead(hub.address, Mood::Good); // what is on the line is cut
            }
        }
    }
    assert_eq!(made, 4 * EACH);
    let (mut shown, mut unread) = (Vec::new(), Value::Null);
    while shown.len() < made || unread != json!(made) {
        let said = tab.next().await;
        shown.extend(said["shown"].as_u64());
        if !said["unread"].is_null() {
            unread = said["unread"].clone();
        }
    }
    let wanted: Vec<u64> = (1..).take(made).collect();
    assert_eq!(shown, wanted);
    let count = http.get(format!("http://{}/api/notifications/unread_count/", hub.address));
    let count: Value = count.bearer_auth(&admin).send().await.unwrap().json().await.unwrap();
    assert_eq!(count["unread_count"], unread);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_socket_opens_events_are_streamed_and_resumed() {
    let hub = open_hub().await;
    let (admin, client) = people(&hub).await;
    let line = Line::to(hub.address(), Mood::NoSockets).await;
    let options = json!({"socketTries": 2});
    let Some(mut tab) = Tab::open(&line.base(), &admin.token, options).await else { return };
    tab.live("sse").await;
    hub.ticket(&client, "While it streams").await;
    assert_eq!(tab.next_with("shown", &mut Vec::new()).await["shown"], 1);
    line.lead(hub.address(), Mood::NoSockets);
    hub.ticket(&client, "While the line is cut").await;
    hub.ticket(&client, "Again").await;
    let mut passed = Vec::new();
    let second = tab.next_with("shown", &mut passed).await;
    assert_eq!(second["shown"], 2);
    assert_eq!(tab.next_with("shown", &mut passed).await["shown"], 3);
    tab.make(json!(["markRead", {"upTo": 2}]));
    tab.unread(1).await;
    let (_, counts) = hub.get(&admin, "/api/notifications/unread_count/").await;
    assert_eq!(counts["unread_count"], 1);
    // Rows that are read, too: one request, as over a socket.
    tab.make(json!(["remove", {"upTo": 2}]));
    for _ in 0..400 {
        let (_, list) = hub.get(&admin, "/api/notifications/").await;
        if list["count"] == 1 {
            return hub.stop().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("what was read is not deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_line_is_noticed_and_what_is_read_in_one_tab_is_read_in_the_other() {
    let hub = Hub::start_with(|config| {
        config.http.allowed_origins = vec!["*".to_owned()];
        (config.ws.ping_after_s, config.ws.silent_max_s) = (1, 3);
    })
    .await;
    let (admin, client) = people(&hub).await;
    let line = Line::to(hub.address(), Mood::Good).await;
    let Some(mut one) = Tab::open(&line.base(), &admin.token, json!({})).await else { return };
    let Some(mut two) = Tab::open(&hub.base(), &admin.token, json!({})).await else { return };
    one.live("websocket").await;
    two.live("websocket").await;
    hub.ticket(&client, "First").await;
    let first = one.next_with("shown", &mut Vec::new()).await;
    two.unread(1).await;
    one.make(json!(["markRead", [first["id"]]]));
    two.unread(0).await;
    line.lead(hub.address(), Mood::Stalled);
    hub.ticket(&client, "While nothing moves").await;
    let mut passed = Vec::new();
    while one.next_with("state", &mut passed).await["code"] != 4408 {}
    line.lead(hub.address(), Mood::Good);
    let second = one.next_with("shown", &mut passed).await;
    assert!(second["id"].as_i64() > first["id"].as_i64(), "{second}");
    // The hub stops: the page is told when to come back.
    hub.stop().await;
    while one.next_with("state", &mut passed).await["code"] != 1012 {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_a_backlog_that_was_cut_short_is_shown() {
    let hub = Hub::start_with(|config| {
        config.http.allowed_origins = vec!["*".to_owned()];
        config.replay_limit = 4;
    })
    .await;
    let (admin, client) = people(&hub).await;
    let other = hub.user("jack_admin", "admin").await;
    for _ in 0..10 {
        hub.ticket(&client, "While offline").await;
    }
    for (admin, transport) in [(admin, "websocket"), (other, "sse")] {
        let options = json!({"transport": transport});
        let Some(mut tab) = Tab::open(&hub.base(), &admin.token, options).await else { return };
        let mut passed = Vec::new();
        for seq in 7..=10 {
            assert_eq!(tab.next_with("shown", &mut passed).await["shown"], seq, "{transport}");
        }
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_ends_is_renewed_and_one_that_is_refused_is_replaced() {
    let hub = open_hub().await;
    let (admin, client) = people(&hub).await;
    let options = json!({"renewed": admin.token});
    let brief = Person { token: hub.token_expiring_in(&admin, 15), ..admin.clone() };
    let opened = Tab::open(&hub.base(), &brief.token, options.clone()).await;
    let Some(mut one) = opened else { return };
    let mut passed = Vec::new();
    assert_eq!(one.next_with("asked", &mut passed).await["asked"], "first");
    one.live("websocket").await;
    assert_eq!(one.next_with("asked", &mut passed).await["asked"], "expiring");
    // Past the end of the first token the same line still stands.
    while hub.get(&brief, "/api/auth/me/").await.0 == 200 {
        tokio::task::yield_now().await;
    }
    hub.ticket(&client, "After the first token's end").await;
    passed.clear();
    assert_eq!(one.next_with("shown", &mut passed).await["shown"], 1);
    assert!(passed.iter().all(|said| said["state"].is_null()), "{passed:?}");

    let Some(mut two) = Tab::open(&hub.base(), "bad", options).await else { return };
    assert_eq!(two.next_with("asked", &mut passed).await["asked"], "first");
    assert_eq!(two.next_with("asked", &mut passed).await["asked"], "refused");
    two.live("websocket").await;
    let Some(mut three) = Tab::open(&hub.base(), "bad", json!({})).await else { return };
    while three.next_with("state", &mut passed).await["state"] != "closed" {}
    assert_eq!(three.next_with("error", &mut passed).await["error"], 4401);
    hub.stop().await;
}

#[tokio::test]
async fn the_module_is_served_to_all_and_kept_by_its_tag() {
    let hub = Hub::start().await;
    for (path, kind) in
        [("/client/bellpull.js", "text/javascript"), ("/client/bellpull.d.ts", "text/plain")]
    {
        let response = hub.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-type").starts_with(kind), "{path}");
        assert_eq!(header("access-control-allow-origin"), "*");
        assert_eq!(header("cache-control"), "no-cache");
        let tag = header("etag");
        let again = hub.request(Method::GET, path).header("if-none-match", &tag);
        assert_eq!(again.send().await.unwrap().status().as_u16(), 304, "{path}");
        let other = hub.request(Method::GET, path).header("if-none-match", "\"other\"");
        assert_eq!(other.send().await.unwrap().status().as_u16(), 200, "{path}");
    }
    hub.stop().await;
}
