//! Server-sent events: the same session as over a socket, told in another way.

use std::time::Duration;

use bellpull_domain::ids::{Seq, UserId};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{Hub, Person};

const PATIENCE: Duration = Duration::from_secs(20);
const PATH: &str = "/api/notifications/stream/";

/// A stream that is read event by event.
struct Events {
    response: Response,
    rest: String,
    /// As the greeting of `bellpull.v1` or the first position says.
    epoch: Option<String>,
}

/// One event.
#[derive(Debug, PartialEq)]
struct StreamEvent {
    /// Its number; the epoch of all is the greeting's.
    id: Option<i64>,
    event: Option<String>,
    data: Value,
}

impl Events {
    async fn open(hub: &Hub, who: &Person, last: Option<i64>) -> Self {
        let last = last.map(|last| last.to_string());
        Self::ask(hub, who, PATH, last.as_deref()).await
    }

    async fn ask(hub: &Hub, who: &Person, path: &str, last: Option<&str>) -> Self {
        let mut request = hub.request(Method::GET, path).bearer_auth(&who.token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        Self { response, rest: String::new(), epoch: None }
    }

    /// The next event with data; `None` at the end.
    async fn next(&mut self) -> Option<StreamEvent> {
        loop {
            while let Some((event, rest)) = self.rest.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.rest = rest;
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.and_then(|line| line.strip_prefix(": ")).map(str::to_owned)
                };
                if let Some(data) = field("data") {
                    let data: Value = serde_json::from_str(&data).unwrap();
                    let id = field("id").map(|id| {
                        let (epoch, seq) = id.split_once(':').expect("an epoch");
                        let own = self.epoch.get_or_insert_with(|| epoch.to_owned());
                        assert_eq!(epoch, own);
                        seq.parse().unwrap()
                    });
                    if let Some(epoch) = data["epoch"].as_str() {
                        self.epoch = Some(epoch.to_owned());
                    }
                    return Some(StreamEvent { id, event: field("event"), data });
                }
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("an event");
            self.rest.push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
        }
    }

    async fn next_seq(&mut self) -> i64 {
        let told = self.next().await.expect("an event");
        assert_eq!(told.data["type"], "notification", "{told:?}");
        assert_eq!(told.id, told.data["seq"].as_i64());
        told.id.expect("a position")
    }

    /// The last event: its code.
    async fn closed(&mut self) -> Value {
        loop {
            let told = self.next().await.expect("a reason before the end");
            if told.event.as_deref() == Some("close") {
                assert_eq!(self.next().await, None);
                return told.data;
            }
        }
    }
}

#[tokio::test]
async fn a_stream_greets_tells_what_happens_and_resumes_without_gap_or_double() {
    let hub = Hub::start().await;
    let (admin, client) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    let mut events = Events::open(&hub, &admin, None).await;
    let header = |name: &str| events.response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-store, no-transform");
    assert_eq!(header("x-accel-buffering"), "no");
    let welcome = events.next().await.unwrap();
    assert_eq!((welcome.id, &welcome.data["type"]), (None, &json!("welcome")));
    for seq in 1..=3 {
        hub.ticket(&client, "live").await;
        assert_eq!(events.next_seq().await, seq);
    }
    drop(events);
    hub.ticket(&client, "away").await;
    // While it resumes, new ones stream in.
    let raising = async {
        for _ in 0..30 {
            hub.ticket(&client, "meanwhile").await;
        }
    };
    let reading = async {
        let mut events = Events::open(&hub, &admin, Some(2)).await;
        assert_eq!(events.next().await.unwrap().data["resumed"], true);
        for seq in 3..=34 {
            assert_eq!(events.next_seq().await, seq);
        }
    };
    tokio::join!(raising, reading);
    // Once the hub knows that it has ended in order, there is nothing to tell again.
    while hub.store().head(UserId(admin.id)).await.unwrap().delivered_seq < Seq(34) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut events = Events::open(&hub, &admin, None).await;
    assert_eq!(events.next().await.unwrap().data["last_seq"], 34);
    hub.ticket(&client, "next").await;
    assert_eq!(events.next_seq().await, 35);
    hub.stop().await;
    assert_eq!(events.closed().await["code"], 1012);
}

#[tokio::test]
async fn a_position_is_given_only_where_nothing_is_missed_behind_it() {
    let hub = Hub::start().await;
    let (admin, client) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    for title in ["one", "two", "three"] {
        hub.ticket(&client, title).await;
    }
    let (_, list) = hub.get(&admin, "/api/notifications/").await;
    let first = &list["results"][2]["id"];
    let path = format!("/api/notifications/{first}/mark_as_read/");
    assert_eq!(hub.post(&admin, &path, json!({})).await.0, 200);
    // The first of them has changed since, so it comes last. A browser whose line breaks before
    // it must come back to before its birth.
    let mut events = Events::open(&hub, &admin, Some(0)).await;
    assert_eq!(events.next().await.unwrap().data["type"], "welcome");
    for (seq, id) in [(2, None), (3, None), (4, Some(4))] {
        let told = events.next().await.unwrap();
        assert_eq!((&told.data["type"], &told.data["seq"]), (&json!("notification"), &json!(seq)));
        assert_eq!(told.id, id, "{told:?}");
    }
    assert_eq!(events.rest, "");
    hub.ticket(&client, "four").await;
    assert_eq!(events.next_seq().await, 5);
}

#[tokio::test]
async fn who_comes_back_resumes_even_if_it_first_wanted_only_what_is_to_come() {
    let hub = Hub::start().await;
    let (admin, client) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    for title in ["one", "two"] {
        hub.ticket(&client, title).await;
    }
    // A browser asks for the same URL again, with the last position in a header.
    for dialect in ["bellpull.v1", "incident"] {
        let path = format!("{PATH}?replay=none&dialect={dialect}");
        let mut events = Events::ask(&hub, &admin, &path, Some("1")).await;
        events.next().await.unwrap();
        assert_eq!(events.next().await.unwrap().id, Some(2), "{dialect}");
    }
}

/// The last `id:` says of which epoch it is, also where it is a parameter.
#[tokio::test]
async fn a_position_of_another_epoch_is_not_taken_for_one_of_this() {
    let hub = Hub::start().await;
    let (admin, client) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    for title in ["one", "two", "three"] {
        hub.ticket(&client, title).await;
    }
    let mut first = Events::open(&hub, &admin, None).await;
    first.next().await.unwrap();
    for seq in 1..=3 {
        assert_eq!(first.next_seq().await, seq);
    }
    let epoch = first.epoch.clone().unwrap();
    drop(first);
    let own = format!("{epoch}:2");
    let ways = |last: &str, dialect: &str| {
        let header = (format!("{PATH}?dialect={dialect}"), Some(last.to_owned()));
        let by = |name| (format!("{PATH}?dialect={dialect}&{name}={last}"), None);
        [header, by("lastEventId"), by("Last-Event-ID")]
    };
    for (path, last) in ways(&own, "bellpull.v1") {
        let mut events = Events::ask(&hub, &admin, &path, last.as_deref()).await;
        assert_eq!(events.next().await.unwrap().data["resumed"], true, "{path}");
        assert_eq!(events.next_seq().await, 3, "{path}");
    }
    for (path, last) in ways("0123456789abcdef:2", "bellpull.v1") {
        let mut events = Events::ask(&hub, &admin, &path, last.as_deref()).await;
        assert_eq!(events.next().await.unwrap().data["resumed"], false, "{path}");
        assert_eq!(events.next().await.unwrap().data["type"], "reset", "{path}");
    }
    for (path, last) in ways(&own, "incident") {
        let mut events = Events::ask(&hub, &admin, &path, last.as_deref()).await;
        events.next().await.unwrap();
        assert_eq!(events.next().await.unwrap().id, Some(3), "{path}");
    }
    // All of it was shown here, so nothing comes again; nor is what is new taken for known.
    for (path, last) in ways("0123456789abcdef:9", "incident") {
        let mut events = Events::ask(&hub, &admin, &path, last.as_deref()).await;
        events.next().await.unwrap();
        hub.ticket(&client, "new").await;
        assert!(events.next().await.unwrap().id.is_some_and(|id| id > 3), "{path}");
    }
    hub.stop().await;
}

#[tokio::test]
async fn streams_are_opened_no_faster_than_sockets() {
    let hub = Hub::start_with(|config| config.ws.handshakes_per_s = 1).await;
    let ada = hub.user("ada", "admin").await;
    let mut refused = None;
    for _ in 0..20 {
        let request = hub.request(Method::GET, PATH).bearer_auth(&ada.token);
        let response = request.send().await.unwrap();
        if response.status().as_u16() != 200 {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("too fast at last");
    assert_eq!(refused.status().as_u16(), 429);
    let wait: u32 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_mark_is_told_and_another_store_s_position_is_reset() {
    let hub = Hub::start().await;
    let (admin, client) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    hub.ticket(&client, "one").await;
    let mut events = Events::open(&hub, &admin, Some(9)).await;
    assert_eq!(events.next().await.unwrap().data["resumed"], false);
    assert_eq!(events.next().await.unwrap().data["type"], "reset");
    assert_eq!(events.next_seq().await, 1);
    hub.post(&admin, "/api/notifications/mark_all_as_read/", json!({})).await;
    let told = events.next().await.unwrap();
    assert_eq!((told.id, &told.data["type"]), (Some(2), &json!("inbox")));
    assert_eq!(told.data["unread_count"], 0);
    hub.stop().await;
}

#[tokio::test]
async fn logging_out_ends_it_and_a_client_that_goes_leaves_no_session() {
    let hub = Hub::start().await;
    hub.request(Method::POST, "/api/auth/register/")
        .json(
            &json!({"username": "dora", "email": "dora@example.com", "password": "correct horse"}),
        )
        .send()
        .await
        .unwrap();
    let login = hub
        .request(Method::POST, "/api/auth/login/")
        .json(&json!({"username": "dora", "password": "correct horse"}));
    let login: Value = login.send().await.unwrap().json().await.unwrap();
    let token = login["access"].as_str().unwrap().to_owned();
    let dora = Person { id: login["user"]["id"].as_i64().unwrap(), username: "dora".into(), token };
    let mut events = Events::open(&hub, &dora, None).await;
    events.next().await.unwrap();
    let leaver = Events::open(&hub, &dora, None).await;
    assert_eq!(hub.sessions(), 2);
    drop(leaver);
    let gone = async {
        while hub.sessions() > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the session ends with its client");
    hub.post(&dora, "/api/auth/logout/", json!({"refresh": login["refresh"]})).await;
    assert_eq!(events.closed().await["code"], 4401);
    hub.stop().await;
}

#[tokio::test]
async fn who_may_not_and_what_will_not_do() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let status = async |method: Method, query: &str, last: Option<&str>, token: bool| {
        let mut request = hub.request(method, &format!("{PATH}{query}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        if token {
            request = request.bearer_auth(&ada.token);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(Method::GET, "", None, false).await, 401);
    assert_eq!(status(Method::GET, "?token=bad", None, false).await, 401);
    assert_eq!(status(Method::GET, "?ticket=bad", None, false).await, 401);
    assert_eq!(status(Method::POST, "", None, true).await, 405);
    assert_eq!(status(Method::GET, "?since=-1", None, true).await, 400);
    assert_eq!(status(Method::GET, "?dialect=none", None, true).await, 400);
    for bad in ["x", ":", "e1:", "e1:x", "e1:-1", "e1:1:1", ":x"] {
        assert_eq!(status(Method::GET, "", Some(bad), true).await, 400, "{bad}");
        let query = format!("?lastEventId={bad}");
        assert_eq!(status(Method::GET, &query, None, true).await, 400, "{bad}");
    }
    assert_eq!(status(Method::HEAD, "", None, true).await, 200);
    assert_eq!(status(Method::HEAD, "", None, false).await, 401);
    assert_eq!(hub.sessions(), 0, "a HEAD opens no session");
    let (_, ticket) = hub.post(&ada, "/api/auth/ws-ticket/", json!({})).await;
    let query = format!("?ticket={}", ticket["ticket"].as_str().unwrap());
    assert_eq!(status(Method::GET, &query, None, false).await, 200);
    assert_eq!(status(Method::GET, &query, None, false).await, 401, "a ticket is good once");
    hub.stop().await;
}

/// A client whose kernel has little room, and which reads nothing.
async fn open_and_read_nothing(hub: &Hub, who: &Person) -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2_304).unwrap();
    let address = hub.address();
    let token = who.token.clone();
    tokio::task::spawn_blocking(move || {
        use std::io::Write;
        socket.connect(&address.into()).unwrap();
        let head = format!("GET {PATH}?dialect=incident HTTP/1.1\r\nHost: x\r\n");
        write!(&socket, "{head}Authorization: Bearer {token}\r\n\r\n").unwrap();
        socket
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stream_s_client_has_not_taken_when_it_breaks_off_comes_again() {
    let hub = Hub::start().await;
    let (root, ada) = (hub.user("root", "super_admin").await, hub.user("ada", "client").await);
    let socket = open_and_read_nothing(&hub, &ada).await;
    let path = format!("user/{}", ada.id);
    let sessions = async || {
        let (_, tree) = hub.get(&root, "/api/operator/tree/").await;
        tree.to_string().matches(&format!("\"{path}\"")).count()
    };
    while sessions().await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let titles: Vec<String> = (1..=4).map(|n| format!("Number {n}")).collect();
    for title in &titles {
        let body = json!({"recipients": [ada.id], "title": title, "message": "x".repeat(3_000)});
        assert_eq!(hub.post(&root, "/api/notifications/", body).await.0, 202);
    }
    // All of it is with the kernel by then; most of it never leaves.
    tokio::time::sleep(Duration::from_millis(500)).await;
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
    while sessions().await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut again = Events::ask(&hub, &ada, &format!("{PATH}?dialect=incident"), None).await;
    assert_eq!(again.next().await.unwrap().data["type"], "connection_established");
    let last = again.next().await.expect("an event").data.to_string();
    assert!(titles.iter().any(|title| last.contains(title)), "{last}");
}
