//! A line that dies while it goes on accepting bytes: what it swallowed comes again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::{Socket, raise};
use crate::support::{Hub, Person};

/// A proxy between a client and the hub, which at some time swallows everything in both directions
/// and closes nothing.
struct DyingLine {
    address: SocketAddr,
    is_dead: Arc<AtomicBool>,
}

impl DyingLine {
    async fn to(hub: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = Self { address: listener.local_addr().unwrap(), is_dead: Arc::default() };
        let is_dead = Arc::clone(&line.is_dead);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from, to) = client.into_split();
                let (back, forth) = TcpStream::connect(hub).await.unwrap().into_split();
                tokio::spawn(pass(from, forth, Arc::clone(&is_dead)));
                tokio::spawn(pass(back, to, Arc::clone(&is_dead)));
            }
        });
        line
    }

    fn die(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_dead: Arc<AtomicBool>) {
    let mut bytes = [0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if !is_dead.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
    if is_dead.load(Ordering::SeqCst) {
        // Open for as long as the test runs: the end of one side does not reach the other.
        std::future::pending::<()>().await;
    }
}

async fn hub() -> Hub {
    Hub::start_with(|config| {
        (config.ws.ping_after_s, config.ws.silent_max_s) = (1, 3);
    })
    .await
}

/// Waits until the hub knows that the user has no session left.
async fn until_given_up(hub: &Hub, root: &Person, who: &Person) {
    let path = format!("user/{}", who.id);
    loop {
        let (status, tree) = hub.get(root, "/api/operator/tree/").await;
        assert_eq!(status, 200, "{tree}");
        if !tree.to_string().contains(&format!("\"{path}\"")) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dying_line_swallowed_comes_again_in_each_family() {
    let hub = hub().await;
    let (root, carl) = (hub.user("root", "super_admin").await, hub.user("carl", "client").await);
    for dialect in ["incident", "project", "inbox", "academy"] {
        let ada = hub.user(&format!("ada-{dialect}"), "admin").await;
        let line = DyingLine::to(hub.address()).await;
        let path = format!("/ws/notifications/?token={}&dialect={dialect}", ada.token);
        let mut socket = Socket::open_at(line.address, &path).await;
        assert_eq!(socket.next().await["type"], "connection_established");
        raise(&hub, &carl, "seen").await;
        assert!(socket.next().await.to_string().contains("seen"));
        socket.expect_nothing().await;
        line.die();
        raise(&hub, &carl, "LOST").await;
        until_given_up(&hub, &root, &ada).await;

        let mut again = Socket::open_at(hub.address(), &path).await;
        assert_eq!(again.next().await["type"], "connection_established");
        let mut frame = again.next().await.to_string();
        if frame.contains("seen") {
            frame = again.next().await.to_string(); // what was confirmed by nothing may come twice
        }
        assert!(frame.contains("LOST"), "{dialect}: {frame}");
        again.expect_nothing().await;
        again.close().await;
        let mut last = Socket::open_at(hub.address(), &path).await;
        assert_eq!(last.next().await["type"], "connection_established");
        last.expect_nothing().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dying_line_swallowed_comes_again_in_bellpull_v1() {
    let hub = hub().await;
    let (root, carl) = (hub.user("root", "super_admin").await, hub.user("carl", "client").await);
    for resumes in [false, true] {
        let ada = hub.user(&format!("ada-{resumes}"), "admin").await;
        let line = DyingLine::to(hub.address()).await;
        let (mut socket, welcome) = Socket::v1_at(line.address, &ada.token, "").await;
        raise(&hub, &carl, "seen").await;
        let seen = socket.next().await;
        socket.say(json!({"type": "ack", "seq": seen["seq"]}).to_string()).await;
        socket.expect_nothing().await;
        line.die();
        raise(&hub, &carl, "LOST").await;
        until_given_up(&hub, &root, &ada).await;

        let since = format!("&since={}&epoch={}", seen["seq"], welcome["epoch"].as_str().unwrap());
        let since = if resumes { since.as_str() } else { "" };
        let (mut again, _) = Socket::v1(&hub, &ada, since).await;
        let lost = again.next().await;
        assert_eq!(lost["ticket"]["title"], "LOST", "{lost}");
        again.say(json!({"type": "ack", "seq": lost["seq"]}).to_string()).await;
        again.expect_nothing().await;
        again.close().await;
        let (mut last, _) = Socket::v1(&hub, &ada, "").await;
        last.expect_nothing().await;
    }
}

/// An event stream, read until this is in it; what was read.
async fn read_until(stream: &mut reqwest::Response, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let chunk = tokio::time::timeout(super::PATIENCE, stream.chunk()).await.expect(wanted);
        text += std::str::from_utf8(&chunk.unwrap().expect("no end")).unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dying_line_swallowed_comes_again_on_event_streams() {
    let hub = hub().await;
    let carl = hub.user("carl", "client").await;
    let dialects = ["incident", "project", "inbox", "academy", "bellpull.v1"];
    // As a browser comes back, and as a client that knows nothing of positions.
    for (dialect, resumes) in dialects.into_iter().flat_map(|name| [(name, true), (name, false)]) {
        let ada = hub.user(&format!("ada-{dialect}-{resumes}"), "admin").await;
        let open = async |address: SocketAddr, last: Option<&str>| {
            let url = format!("http://{address}/api/notifications/stream/?dialect={dialect}");
            let request = bellpull::tls::client().build().unwrap().get(url);
            let request = request.bearer_auth(&ada.token);
            request.header("last-event-id", last.unwrap_or_default()).send().await.unwrap()
        };
        let line = DyingLine::to(hub.address()).await;
        let mut stream = open(line.address, None).await;
        raise(&hub, &carl, "seen").await;
        let text = read_until(&mut stream, "seen").await;
        let last = text.lines().find_map(|text| text.strip_prefix("id: ")).unwrap().to_owned();
        line.die();
        raise(&hub, &carl, "LOST").await;

        let mut again = open(hub.address(), resumes.then_some(&*last)).await;
        let text = read_until(&mut again, "LOST").await;
        assert!(!resumes || !text.contains("seen"), "{dialect}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_comes_back_before_its_dead_line_is_noticed_misses_nothing() {
    let hub = Hub::start().await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    let line = DyingLine::to(hub.address()).await;
    let path = format!("/ws/notifications/?token={}", ada.token);
    let mut socket = Socket::open_at(line.address, &path).await;
    assert_eq!(socket.next().await["type"], "connection_established");
    line.die();
    raise(&hub, &carl, "LOST").await;
    let mut again = Socket::open_at(hub.address(), &path).await;
    assert_eq!(again.next().await["type"], "connection_established");
    assert!(again.next().await.to_string().contains("LOST"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_did_not_acknowledge_comes_again_whatever_other_sessions_were_sent() {
    let hub = hub().await;
    let carl = hub.user("carl", "client").await;
    for other in ["incident", "project", "inbox", "academy", "stream", "bellpull.v1 stream"] {
        let ada = hub.user(&format!("ada-{}", other.replace(' ', "-")), "admin").await;
        let (mut socket, _) = Socket::v1(&hub, &ada, "").await;
        raise(&hub, &carl, "first").await;
        let first = socket.next().await;
        socket.say(json!({"type": "ack", "seq": first["seq"]}).to_string()).await;
        raise(&hub, &carl, "SECOND").await;
        assert_eq!(socket.next().await["ticket"]["title"], "SECOND");
        socket.expect_nothing().await;
        socket.close().await;

        if let Some(dialect) = other.strip_suffix("stream") {
            let dialect = if dialect.is_empty() { "incident" } else { dialect.trim() };
            let path = format!("/api/notifications/stream/?dialect={dialect}");
            let stream = hub.request(reqwest::Method::GET, &path).bearer_auth(&ada.token);
            let mut stream = stream.send().await.unwrap();
            let mut seen = String::new();
            while !seen.contains("SECOND") {
                seen += std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap();
            }
        } else {
            let path = format!("/ws/notifications/?token={}&dialect={other}", ada.token);
            let mut socket = Socket::open_at(hub.address(), &path).await;
            assert_eq!(socket.next().await["type"], "connection_established");
            while !socket.next().await.to_string().contains("SECOND") {}
            socket.close().await;
        }

        let (mut again, _) = Socket::v1(&hub, &ada, "").await;
        let frame = again.next().await;
        assert_eq!(frame["ticket"]["title"], "SECOND", "after {other}: {frame}");
        again.expect_nothing().await;
        again.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_confirms_nothing_and_a_close_what_was_acknowledged() {
    let hub = Hub::start().await;
    let carl = hub.user("carl", "client").await;
    for (name, is_reset) in [("ada", true), ("bea", false)] {
        let admin = hub.user(name, "admin").await;
        let path = format!("/ws/notifications/?token={}", admin.token);
        let mut socket = Socket::open_at(hub.address(), &path).await;
        assert_eq!(socket.next().await["type"], "connection_established");
        raise(&hub, &carl, "news").await;
        assert!(socket.next().await.to_string().contains("news"));
        match is_reset {
            true => socket.reset(),
            false => socket.close().await,
        }
        let mut again = Socket::open_at(hub.address(), &path).await;
        assert_eq!(again.next().await["type"], "connection_established");
        if is_reset {
            assert!(again.next().await.to_string().contains("news"));
        }
        again.expect_nothing().await;
    }
}
