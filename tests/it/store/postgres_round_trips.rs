//! How many round trips to PostgreSQL a request takes: a hub may be far from its database, and
//! waits for each. Those that it makes on its own account meanwhile are told by their statements.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::support::line::{Line, Trip};
use crate::support::postgres::{Database, server};
use crate::support::skip::skipped;
use crate::support::{Hub, Person};

/// Long enough that what is sent over two connections at once is seen to be.
const DELAY: Duration = Duration::from_millis(15);
/// Connections that were idle for so long are tested before they are used.
const IDLE: Duration = Duration::from_millis(120);
/// Each request is made so often, and the median counts: an account may have been read just now.
const TIMES: usize = 7;
/// As many go before: what the hub remembers, it knows then.
const WARMING: usize = 3;
/// In what the hub asks on its own account, whatever is requested: heartbeats, comparisons with the
/// store, figures, and deliveries.
const BACKGROUND: [&str; 9] = [
    "UPDATE nodes",
    "FROM nodes",
    "SELECT c.now, l.id",
    "SELECT c.now, w.project_id",
    "FROM settings WHERE name",
    "WHERE name = 'templates'",
    "pg_database_size",
    "FROM deliveries",
    "READ ONLY",
];

/// A hub that is far from its database.
struct Far {
    line: Line,
    hub: Hub,
    /// Whose accounts the hub has not read: admins all.
    strangers: Vec<Person>,
    invited: usize,
    client: Person,
    database: Database,
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
        Some(Self { line, hub, strangers: Vec::new(), invited: 0, client, database })
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

    /// A request, after a while in which nothing was asked.
    async fn ask(&self, who: &Person, path: &str, body: &Value) -> Took {
        tokio::time::sleep(IDLE).await;
        let since = Instant::now();
        let (status, answer) = self.hub.post(who, path, body.clone()).await;
        let until = Instant::now();
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        (round_trips(&self.line, since, until), until - since)
    }

    /// How many such requests take, each of which `prepare` makes possible.
    async fn count(
        &mut self,
        what: &str,
        prepare: impl AsyncFn(&Hub, &Person, &Person) -> (String, Value),
    ) -> usize {
        self.invite(WARMING + TIMES).await;
        for _ in 0..WARMING {
            let who = self.stranger();
            let (path, body) = prepare(&self.hub, &self.client, &who).await;
            let (status, answer) = self.hub.post(&who, &path, body).await;
            assert!((200..300).contains(&status), "{path}: {status} {answer}");
        }
        let mut counts = Vec::new();
        for _ in 0..TIMES {
            self.line.set_delay(Duration::ZERO);
            let who = self.stranger();
            let (path, body) = prepare(&self.hub, &self.client, &who).await;
            self.line.set_delay(DELAY);
            let (count, _) = self.ask(&who, &path, &body).await;
            counts.push(count);
        }
        println!("{what}: {counts:?} round trips");
        counts.sort_unstable();
        counts[TIMES / 2]
    }
}

/// How many round trips one after the other a request made between these times: of those over
/// several connections at once one counts.
fn round_trips(line: &Line, since: Instant, until: Instant) -> usize {
    let mut trips = requested(line, since, until);
    trips.sort_by_key(|trip| trip.answered);
    let mut count = 0;
    let mut last = since;
    for trip in trips {
        if trip.sent >= last {
            count += 1;
            last = trip.answered;
        }
    }
    count
}

/// The round trips of whatever took a connection between these times for more than the background.
fn requested(line: &Line, since: Instant, until: Instant) -> Vec<Trip> {
    // Over each connection what took it: at times a test of it, statements, and a last test, which
    // nothing waits for.
    let mut uses: HashMap<_, Vec<Vec<Trip>>> = HashMap::new();
    for trip in line.trips() {
        let of_one = uses.entry(trip.connection).or_default();
        let is_test = trip.statements.is_empty() && !trip.prepares;
        match of_one.last_mut() {
            Some(last) if last.iter().any(|trip| !trip.statements.is_empty()) && is_test => {
                of_one.push(Vec::new());
            }
            Some(last) => last.push(trip),
            None => of_one.push(vec![trip]),
        }
    }
    let is_background = |sql: &str| BACKGROUND.iter().any(|part| sql.contains(part));
    let is_requested = |of: &Vec<Trip>| {
        let mut statements = of.iter().flat_map(|trip| &trip.statements);
        of.first().is_some_and(|trip| trip.sent >= since)
            && !statements.any(|sql| is_background(sql))
    };
    let of_request = uses.into_values().flatten().filter(is_requested).flatten();
    of_request.filter(|trip| trip.answered <= until && !trip.prepares).collect()
}

/// A ticket of the client's, at its beginning.
async fn new_ticket(hub: &Hub, client: &Person) -> i64 {
    hub.ticket(client, "It is stuck").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_takes_at_most_five_round_trips() {
    let Some(mut far) = Far::start().await else { return };
    let new = async |_: &Hub, _: &Person, _: &Person| {
        ("/api/tickets/".to_owned(), json!({"title": "It is stuck", "description": "again"}))
    };
    let count = far.count("a ticket", new).await;
    assert!(count <= 5, "{count} round trips");
    far.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_of_a_ticket_takes_at_most_five_round_trips() {
    let Some(mut far) = Far::start().await else { return };
    let open = async |hub: &Hub, client: &Person, _: &Person| {
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
    let comment = async |hub: &Hub, client: &Person, _: &Person| {
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
    let send = async |_: &Hub, client: &Person, _: &Person| {
        let body = json!({"recipients": [client.id], "title": "News", "message": "Read this."});
        ("/api/notifications/".to_owned(), body)
    };
    let count = far.count("a notification", send).await;
    assert!(count <= 5, "{count} round trips");
    far.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_takes_at_most_five_round_trips() {
    let Some(mut far) = Far::start().await else { return };
    let url = far.database.url();
    let mark = async |hub: &Hub, client: &Person, who: &Person| {
        new_ticket(hub, client).await;
        // The hub is to read who asks only now.
        let mut database = PgConnection::connect(&url).await.unwrap();
        let sql = "SELECT max(id) FROM notifications WHERE recipient_id = $1";
        let query = sqlx::query_scalar(sql).bind(who.id);
        let newest: i64 = query.fetch_one(&mut database).await.unwrap();
        (format!("/api/notifications/{newest}/mark_as_read/"), json!({}))
    };
    let count = far.count("a mark", mark).await;
    assert!(count <= 5, "{count} round trips");
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
            let who = far.stranger();
            times.push(far.ask(&who, "/api/tickets/", &body).await);
        }
        times.sort_unstable_by_key(|(_, took)| *took);
        let (count, p50) = times[times.len() / 2];
        println!("{one_way_ms} ms one way: p50 {p50:?}, {count} round trips");
    }
    far.hub.stop().await;
}
