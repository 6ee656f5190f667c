//! Two hundred users reconnect at once, each with a backlog of a hundred, beside SQLite alone
//! reading the same rows.
//!
//! `cargo bench --bench replay`. The time runs from the first connection until the last frame of
//! the last backlog: handshake, token, account and inbox, an actor, and a hundred frames on each
//! socket. The baseline reads the same rows of the same file on one connection in this process,
//! each with its message, with one statement per inbox, and discards them. `bellpull load replay`
//! is the same for ten thousand, with latencies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench")]
#![allow(clippy::cast_precision_loss, reason = "figures")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a bench")]

mod rig;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bellpull_load::rest::Rest;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rig::crowd::Crowd;
use rig::{Hub, accounts, sqlite};
use rusqlite::Connection;

const ROWS: &str = "SELECT n.seq, n.id, n.read_at, m.event, m.kind, m.title, m.body, \
    m.action_url, m.metadata, m.ticket, m.sender_id, m.priority, m.created_at \
    FROM notifications n JOIN messages m ON m.id = n.message_id \
    WHERE n.recipient_id = ? AND n.seq > 0 AND n.deleted_at IS NULL ORDER BY n.seq LIMIT 500";

fn replay(criterion: &mut Criterion) {
    // `cargo test --benches` runs this too: a short pass then, so that it keeps working.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (users, backlog) = if is_test { (10, 5) } else { (200, 100) };
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("bench.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let all = runtime.block_on(accounts(&database, &[("admin", 1), ("student", users)]));
    let hub = Hub::start(&database);
    store(&hub, &all[0][0].token, users, backlog);
    let mut group =
        criterion.benchmark_group(format!("replay, {users} users, {backlog} notifications each"));
    group.throughput(Throughput::Elements(u64::try_from(users * backlog).unwrap()));
    group.sample_size(20).measurement_time(Duration::from_secs(10));
    let connection = sqlite::open(&database);
    wait_for_rows(&connection, users * backlog);
    group.bench_function("baseline: SQLite alone", |bencher| {
        bencher.iter(|| {
            let rows: usize = all[1].iter().map(|account| read(&connection, account.id)).sum();
            assert_eq!(rows, users * backlog);
        });
    });
    let path =
        |account: &rig::Account| format!("/ws/notifications/?since=0&token={}", account.token);
    let paths: Vec<String> = all[1].iter().map(path).collect();
    group.bench_function("hub", |bencher| {
        bencher.iter(|| {
            let mut crowd = Crowd::connect(hub.address, paths.iter().map(String::as_str));
            crowd.receive(backlog);
        });
    });
    group.finish();
}

/// Sends all of it; with so few recipients, the response says that it is stored.
fn store(hub: &Hub, sender: &str, users: usize, backlog: usize) {
    let host = hub.address.to_string();
    let mut rest = Rest::connect(hub.address, &host, Duration::from_secs(60)).unwrap();
    let headers =
        [format!("Authorization: Bearer {sender}"), "Content-Type: application/json".to_owned()];
    let message = "x".repeat(270);
    let body =
        format!(r#"{{"recipients":{{"role":"student"}},"title":"A bench","message":"{message}"}}"#);
    for _ in 0..backlog {
        let answer = rest.ask("POST", "/api/notifications/", &headers, &body).unwrap();
        assert!(answer.is_success(), "{}", answer.text());
        assert!(answer.text().contains(&format!("\"recipients\":{users}")), "{}", answer.text());
    }
}

/// Waits until all rows of the inboxes are written: they may be deferred.
#[expect(clippy::disallowed_methods, reason = "no runtime: it may block")]
fn wait_for_rows(connection: &Connection, wanted: usize) {
    let since = Instant::now();
    let sql = "SELECT count(*) FROM notifications";
    let wanted = i64::try_from(wanted).unwrap();
    while connection.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap() < wanted {
        assert!(since.elapsed() < Duration::from_secs(60), "the rows do not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Reads one inbox, every column of every row.
fn read(connection: &Connection, user: i64) -> usize {
    let mut statement = connection.prepare_cached(ROWS).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query((user,)).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        for column in 0..columns {
            black_box(row.get_ref(column).unwrap());
        }
        count += 1;
    }
    count
}

criterion_group!(benches, replay);
criterion_main!(benches);
