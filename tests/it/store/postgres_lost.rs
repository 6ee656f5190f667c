//! Connections to PostgreSQL that are lost silently, or that wait for others: nothing hangs, and
//! what a caller is told is true.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bellpull::storage::StoreOptions;
use bellpull::storage::postgres::PostgresStore;
use bellpull_domain::user::User;
use bellpull_port::audit::AuditFilter;
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{AccountStore, AuditStore, StoreError, TicketStore};
use futures_util::future::join_all;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Executor};
use tokio::time::timeout;

use super::audit::entry;
use super::people::{creation, default_project, first, new_user, people, person, raise};
use crate::support::line::Line;
use crate::support::postgres::{Database, server};
use crate::support::skip::skipped;
use crate::support::{Hub, Person, answer};

/// A node's turn to write.
const TURN: &str = "BEGIN; SELECT pg_advisory_xact_lock(730583, 0)";

/// Whether there is a server; if not, says so.
fn can_run() -> bool {
    if server().is_none() {
        skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    server().is_some()
}

async fn open(url: &str) -> Arc<PostgresStore> {
    let options = StoreOptions { exclusive: true, connections: 4, ..StoreOptions::default() };
    Arc::new(PostgresStore::open(url, options).await.unwrap())
}

/// A line to the database's server, and the database's URL by it.
async fn line_to(database: &Database) -> (Line, String) {
    let address: PgConnectOptions = database.url().parse().unwrap();
    let server = tokio::net::lookup_host((address.get_host(), address.get_port())).await.unwrap();
    let line = Line::to(server.into_iter().next().unwrap()).await;
    let url = address.host("127.0.0.1").port(line.address().port());
    (line, url.to_url_lossy().to_string())
}

/// Raises a ticket every 100 ms, whatever becomes of the others; whether one was accepted, and how
/// long that took from `since`.
async fn first_success(hub: &Hub, client: &Person, since: Instant) -> Duration {
    let (accepted, mut first) = tokio::sync::mpsc::unbounded_channel();
    let mut every = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            Some(took) = first.recv() => return took,
            _ = every.tick() => {}
        }
        assert!(since.elapsed() < Duration::from_secs(60), "nothing was accepted for a minute");
        let request = hub.request(reqwest::Method::POST, "/api/tickets/");
        let request = request.bearer_auth(&client.token).json(&json!({"title": "Does it work?"}));
        let accepted = accepted.clone();
        tokio::spawn(async move {
            let answered = timeout(Duration::from_secs(30), answer(request)).await;
            if matches!(answered, Ok((201, _))) {
                let _ = accepted.send(since.elapsed());
            }
        });
    }
}

/// All connections of a busy hub are silenced in this way, three times.
async fn silenced(silence: fn(&Line)) {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let (line, url) = line_to(&database).await;
    let hub = Box::pin(Hub::start_with(|config| config.database_url = url.into())).await;
    let client = hub.user("client", "client").await;
    for _ in 0..3 {
        // Writers, reads of accounts and leases are under way.
        first_success(&hub, &client, Instant::now()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let since = Instant::now();
        silence(&line);
        let took = first_success(&hub, &client, since).await;
        assert!(took <= Duration::from_secs(10), "first success after {took:?}");
        let ready = async {
            while answer(hub.request(reqwest::Method::GET, "/readyz/")).await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(Duration::from_secs(10), ready).await.expect("the hub is ready again");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_whose_connections_fall_silent_goes_on() {
    silenced(Line::silence).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_gets_no_answers_any_more_goes_on() {
    silenced(Line::silence_answers).await;
}

/// An entry that arrived, but whose answer did not, is written once.
#[tokio::test]
async fn an_entry_of_the_audit_log_whose_answer_is_lost_is_there_once() {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let (line, url) = line_to(&database).await;
    // A single connection: it knows the statement.
    let options = StoreOptions { exclusive: true, connections: 1, ..StoreOptions::default() };
    let store = PostgresStore::open(&url, options).await.unwrap();
    store.add_audit(entry(10, 1, "first")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    line.silence_answers();
    store.add_audit(entry(20, 1, "second")).await.unwrap();
    let entries = store.audit(AuditFilter::default(), first(9)).await.unwrap();
    let actions: Vec<&str> = entries.rows.iter().map(|row| &*row.entry.action).collect();
    assert_eq!(actions, ["second", "first"]);
}

/// A commit that is held back, over connections that stay open: its transaction waits at the
/// server, with all of its locks.
#[tokio::test]
async fn a_commit_that_falls_silent_is_written_once() {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let (line, url) = line_to(&database).await;
    let store = open(&url).await;
    let client = person(&*store, "client", "client").await;
    people(&*store, 2, "admin").await;
    raise(&*store, "First", &client).await;
    line.hold_commit();
    let since = Instant::now();
    let (held, next) = tokio::join!(try_raise(&store, "Held", &client), async {
        line.commit_held().await;
        let mut tries = 0;
        while try_raise(&store, "Next", &client).await.is_err() {
            tries += 1;
            assert!(tries < 20);
        }
        since.elapsed()
    });
    assert!(next <= Duration::from_secs(12), "first success after {next:?}");
    let page = store.tickets(&TicketFilter::default(), first(50)).await.unwrap();
    let count = |title: &str| page.rows.iter().filter(|ticket| ticket.title == title).count();
    assert_eq!(count("Held"), usize::from(held.is_ok()), "{held:?}");
    assert_eq!(count("Next"), 1);
}

async fn try_raise(store: &PostgresStore, title: &str, by: &User) -> Result<(), StoreError> {
    let id = store.reserve_ticket_id().await?;
    store.commit(creation(id, &default_project(), title, by)).await.map(drop)
}

/// Callers wait 8 s, the queue included. What has waited for others until then is not written any
/// more: its caller would be told that it was not.
#[tokio::test]
async fn a_group_is_given_up_while_its_callers_still_wait() {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let store = open(&database.url()).await;
    let client = person(&*store, "client", "client").await;
    people(&*store, 2, "admin").await;
    let mut other = database.connect().await;
    other.execute("BEGIN; SELECT 1 FROM inboxes FOR UPDATE").await.unwrap();
    let raised = (0..3).map(|nth: u64| {
        let (store, client) = (Arc::clone(&store), client.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(500 * nth)).await;
            let queued = Instant::now();
            let raised = try_raise(&store, "Late?", &client).await;
            (raised, queued.elapsed())
        })
    });
    let raised: Vec<_> = raised.collect();
    tokio::time::sleep(Duration::from_millis(8_500)).await;
    other.execute("COMMIT").await.unwrap();
    let mut accepted: i64 = 0;
    for raised in join_all(raised).await {
        let (raised, took) = raised.unwrap();
        accepted += i64::from(raised.is_ok());
        assert!(took < Duration::from_millis(7_900), "told after {took:?}: {raised:?}");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let page = store.tickets(&TicketFilter::default(), first(50)).await.unwrap();
    assert_eq!(page.count, accepted, "what was written was told");
}

/// A node that is frozen in its turn to write keeps no other from the names of accounts.
#[tokio::test]
async fn a_frozen_turn_holds_up_no_registration_and_no_ticket() {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let store = open(&database.url()).await;
    let client = person(&*store, "client", "client").await;
    let mut frozen = database.connect().await;
    frozen.execute(TURN).await.unwrap();
    let both = async {
        tokio::join!(
            store.create_user(new_user("ann", "client"), None),
            raise(&*store, "Now", &client)
        )
    };
    let (created, _) = timeout(Duration::from_secs(3), both).await.expect("neither waits");
    created.unwrap();
}

/// A column's type is changed under a running store: its connections have plans of before.
#[tokio::test]
async fn a_changed_column_fails_no_caller() {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let store = open(&database.url()).await;
    let client = person(&*store, "client", "client").await;
    for length in [300, 301, 302] {
        for nth in 0..20 {
            let found = store.user(client.id).await.unwrap();
            assert!(found.is_some(), "{nth}");
            raise(&*store, "Before", &client).await;
        }
        let users = format!("ALTER TABLE users ALTER COLUMN full_name TYPE varchar({length})");
        database.execute(&users).await;
        let tickets = format!("ALTER TABLE tickets ALTER COLUMN title TYPE varchar({length})");
        database.execute(&tickets).await;
        for nth in 0..20 {
            let these = [client.id];
            let (found, listed) = tokio::join!(store.user(client.id), store.users(&these));
            assert!(found.is_ok() && listed.is_ok(), "{nth}: {found:?} {listed:?}");
            try_raise(&store, "After", &client).await.unwrap();
        }
    }
}
