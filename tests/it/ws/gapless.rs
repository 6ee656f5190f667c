//! From any point of a long backlog, while new notifications stream in: never a gap, a double or a
//! step back.

use futures_util::future::join_all;

use super::{Socket, raise};
use crate::support::{Hub, Person};

/// As long as a backlog is sent whole.
const BACKLOG: i64 = 500;
/// Points of it; the ends among them.
const POINTS: i64 = 24;
/// So many are open at once.
const TOGETHER: usize = 8;
/// A socket is followed until so many of what was born since it was asked for have come.
const LIVE: i64 = 20;

async fn head(hub: &Hub, person: &Person) -> i64 {
    let path = "/api/notifications/?page_size=1";
    let (status, page) = hub.get(person, path).await;
    assert_eq!(status, 200, "{page}");
    page["results"][0]["seq"].as_i64().unwrap_or_default()
}

/// Opens a socket behind that number, and follows it.
async fn follow(hub: &Hub, person: &Person, path: &str, since: i64) {
    let until = head(hub, person).await + LIVE;
    let query = format!("?token={}&since={since}", person.token);
    let mut socket = Socket::open_at(hub.address(), &format!("{path}{query}")).await;
    let greeting = socket.next().await;
    assert!(matches!(greeting["type"].as_str(), Some("welcome" | "connection_established")));
    let mut at = since;
    while at < until {
        let frame = socket.next().await;
        if frame["type"] == "backlog_truncated" {
            assert_eq!(at, since, "{path} after {since}: not the first: {frame}");
            at += frame["skipped"].as_i64().unwrap();
            assert!(at > since && until - at >= BACKLOG, "{path} after {since}: {frame}");
        } else {
            assert_eq!(frame["seq"], at + 1, "{path} after {since}: {frame}");
            at += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_any_point_of_a_backlog_while_new_ones_stream_in() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let mut clients = Vec::new();
    for n in 0..10 {
        clients.push(hub.user(&format!("client{n}"), "client").await);
    }
    join_all(clients.iter().map(|client| async {
        for n in 0..BACKLOG / 10 {
            raise(&hub, client, &n.to_string()).await;
        }
    }))
    .await;
    assert_eq!(head(&hub, &ada).await, BACKLOG);

    let streaming = join_all(clients.iter().take(2).map(|client| async {
        loop {
            raise(&hub, client, "Live").await;
        }
    }));
    let following = async {
        let points = (0..POINTS).map(|n| BACKLOG * n / (POINTS - 1));
        let wanted: Vec<(&str, i64)> = points
            .flat_map(|since| ["/ws/", "/ws/notifications/"].map(|path| (path, since)))
            .collect();
        for some in wanted.chunks(TOGETHER) {
            join_all(some.iter().map(|(path, since)| follow(&hub, &ada, path, *since))).await;
        }
    };
    tokio::select! {
        _ = streaming => unreachable!("it streams for ever"),
        () = following => {}
    }
}
