//! How many round trips to PostgreSQL a request takes: a hub may be far from its database, and
//! waits for each.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::support::line::Line;
use crate::support::postgres::{Database, server};
use crate::support::skip::skipped;
use crate::support::{Hub, Person};

/// Long enough that what is sent over two connections at once is seen to be.
const DELAY: Duration = Duration::from_millis(15);
/// Connections that were idle for so long are tested before they are used.
const IDLE: Duration = Duration::from_millis(120);
/// Each request is made so often, and the median counts: the hub does other things, too.
const TIMES: usize = 7;
/// As many go before: each statement is prepared once on each connection, and these take turns.
const WARMING: usize = 48;

/// A hub that is far from its database.
struct Far {
    line: Line,
    hub: Hub,
    /// Whose accounts the hub has not read: admins all.
    strangers: Vec<Person>,
    invited: usize,
    client: Person,
    _database: Database,
}

/// How long a request took, and in how many round trips.
type Took = (usize, Duration);

impl Far {
    async fn start() -> Option<Self> {
        if server().is_none() {
            skipped("TEST_POSTGRES names no PostgreSQL server");
            return None;
        }
        let database = Database::create().await;
        let address: PgConnectOptions = database.url().parse().unwrap();
        let server = tokio::net::lookup_host((address.get_host(), address.get_port())).await;
        let line = Line::to(server.unwrap().next().unwrap()).await;
        let url = address.host("127.0.0.1").port(line.address().port()).to_url_lossy().to_string();
        let hub = Box::pin(Hub::start_with(|config| config.database_url = url.into())).await;
        let client = hub.user("client", "client").await;
        Some(Self { line, hub, strangers: Vec::new(), invited: 0, client, _database: database })
    }

    /// Makes accounts that the hub has not read.
    async fn invite(&mut self, count: usize) {
        for _ in 0..count {
            self.invited += 1;
            let name = format!("admin{}", self.invited);
            self.strangers.push(self.hub.user(&name, "admin").await);
        }
    }

    /// One that the hub has not read.
    fn stranger(&mut self) -> Person {
        self.strangers.pop().unwrap()
    }

    /// A request of a stranger, after a while in which nothing was asked.
    async fn ask(&mut self, path: &str, body: &Value) -> Took {
        tokio::time::sleep(IDLE).await;
        let who = self.stranger();
        let since = Instant::now();
        let (status, answer) = self.hub.post(&who, path, body.clone()).await;
        let until = Instant::now();
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        (self.line.round_trips(since, until), until - since)
    }

    /// How many such requests take, each of which `prepare` makes possible.
    async fn count(
        &mut self,
        what: &str,
        prepare: impl AsyncFn(&Hub, &Person) -> (String, Value),
    ) -> usize {
        self.invite(WARMING + TIMES).await;
        for _ in 0..WARMING {
            let (path, body) = prepare(&self.hub, &self.client).await;
            let who = self.stranger();
            let (status, answer) = self.hub.post(&who, &path, body).await;
            assert!((200..300).contains(&status), "{path}: {status} {answer}");
        }
        let mut counts = Vec::new();
        for _ in 0..TIMES {
            self.line.set_delay(Duration::ZERO);
            let (path, body) = prepare(&self.hub, &self.client).await;
            self.line.set_delay(DELAY);
            let (count, _) = self.ask(&path, &body).await;
            counts.push(count);
        }
        println!("{what}: {counts:?} round trips");
        counts.sort_unstable();
        counts[TIMES / 2]
    }
}

/// A ticket of the client's, at its beginning.
async fn new_ticket(hub: &Hub, client: &Person) -> i64 {
    hub.ticket(client, "It is stuck").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_takes_at_most_five_round_trips() {
    let Some(mut far) = Far::start().await else { return };
    let new = async |_: &Hub, _: &Person| {
        ("/api/tickets/".to_owned(), json!({"title": "It is stuck", "description": "again"}))
    };
    let count = far.count("a ticket", new).await;
    assert!(count <= 5, "{count} round trips");
    far.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures: the median is not always five yet"]
async fn a_step_of_a_ticket_takes_at_most_five_round_trips() {
    let Some(mut far) = Far::start().await else { return };
    let open = async |hub: &Hub, client: &Person| {
        let ticket = new_ticket(hub, client).await;
        (format!("/api/tickets/{ticket}/open/"), json!({}))
    };
    let count = far.count("a step", open).await;
    assert!(count <= 5, "{count} round trips");
    far.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_takes_at_most_five_round_trips() {
    let Some(mut far) = Far::start().await else { return };
    let comment = async |hub: &Hub, client: &Person| {
        let ticket = new_ticket(hub, client).await;
        (format!("/api/tickets/{ticket}/comments/"), json!({"body": "Thank you, @client!"}))
    };
    let count = far.count("a comment that mentions", comment).await;
    assert!(count <= 5, "{count} round trips");
    far.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_takes_at_most_five_round_trips() {
    let Some(mut far) = Far::start().await else { return };
    let send = async |_: &Hub, client: &Person| {
        let body = json!({"recipients": [client.id], "title": "News", "message": "Read this."});
        ("/api/notifications/".to_owned(), body)
    };
    let count = far.count("a notification", send).await;
    assert!(count <= 5, "{count} round trips");
    far.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures: the median is not always five yet"]
async fn a_mark_takes_at_most_five_round_trips() {
    let Some(far) = Far::start().await else { return };
    let admin = far.hub.user("reader", "admin").await;
    let mut counts = Vec::new();
    for nth in 0..WARMING + TIMES {
        far.line.set_delay(Duration::ZERO);
        far.hub.ticket(&far.client, "Read me").await;
        let (_, page) = far.hub.get(&admin, "/api/notifications/").await;
        let id = page["results"][0]["id"].as_i64().unwrap();
        if nth >= WARMING {
            far.line.set_delay(DELAY);
            // Its account is read again after two seconds.
            tokio::time::sleep(Duration::from_millis(2_100)).await;
        }
        let path = format!("/api/notifications/{id}/mark_as_read/");
        let since = Instant::now();
        let (status, _) = far.hub.post(&admin, &path, json!({})).await;
        assert_eq!(status, 200);
        counts.push(far.line.round_trips(since, Instant::now()));
    }
    counts.drain(..WARMING);
    println!("a mark: {counts:?} round trips");
    counts.sort_unstable();
    assert!(counts[TIMES / 2] <= 5, "{counts:?} round trips");
    far.hub.stop().await;
}

/// Prints how long one takes; takes a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures: by hand"]
async fn how_long_a_ticket_takes_far_from_its_database() {
    let Some(mut far) = Far::start().await else { return };
    let body = json!({"title": "It is stuck", "description": "again"});
    for one_way_ms in [0, 0, 25, 50] {
        far.line.set_delay(Duration::ZERO);
        far.invite(3 * TIMES).await;
        far.line.set_delay(Duration::from_millis(one_way_ms));
        let mut times = Vec::new();
        for _ in 0..3 * TIMES {
            times.push(far.ask("/api/tickets/", &body).await);
        }
        times.sort_unstable_by_key(|(_, took)| *took);
        let (count, p50) = times[times.len() / 2];
        println!("{one_way_ms} ms one way: p50 {p50:?}, {count} round trips");
    }
    far.hub.stop().await;
}
