//! One message to 100,000 users, and how long a ticket's commit waits for it.
//!
//! `cargo bench --bench send` creates 100,000 accounts and, in each of three runs, sends to all of
//! them five times. It prints how many notifications per second the hub stored, from the first
//! request until the last recipient's socket had the last frame; how many per second until each had
//! its own row, which the hub may defer; and the time from a ticket's request to the frame at an
//! admin's socket, one ticket after the other, first without other load and then beside the sends.
//! The hub is a process of its own on SQLite with `synchronous=FULL`. If `BENCH_POSTGRES` names a
//! server (`postgres://…`), the same is done there, and then the stored rows are copied into an
//! equal table by `COPY`. A run fails unless the answers count all recipients, and every ticket's
//! frame arrives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a bench")]

mod rig;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rig::http::Rest;
use rig::socket::Listener;
use rig::{Account, Hub, median};

/// The size of a run.
struct Figures {
    stored_s: f64,
    rows_s: f64,
    idle: Histogram<u64>,
    beside: Histogram<u64>,
}

fn main() {
    // `cargo test --benches` runs this too: a short pass then, so that it keeps working.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (recipients, sends, runs) = if is_test { (3_000, 1, 1) } else { (100_000, 5, 3) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bench.db");
        println!(
            "{:>10} {:>3} {:>9} {:>9} {:>12} {:>12} {:>14} {:>14}",
            "store",
            "run",
            "stored/s",
            "rows/s",
            "idle p50 ms",
            "idle p99 ms",
            "beside p50 ms",
            "beside p99 ms"
        );
        let url = format!("sqlite://{}", file.display());
        let size = Size { recipients, sends, runs };
        compare("sqlite", &url, Some(&file), size).await;
        if let Some(database) = rig::postgres::Database::create().await {
            compare("postgres", &database.url(), None, size).await;
            for run in 1..=runs {
                let rows_s = rig::postgres::copy_notifications(&database.url()).await;
                println!("{:>10} {run:>3} {:>9} {rows_s:>9.0}", "COPY", "");
            }
            database.drop_it().await;
        }
    });
}

/// How much is sent, and how often it is measured.
#[derive(Clone, Copy)]
struct Size {
    recipients: usize,
    sends: usize,
    runs: usize,
}

/// All runs on one store.
async fn compare(store: &str, url: &str, file: Option<&Path>, size: Size) {
    let Size { recipients, sends, runs } = size;
    let roles = [("admin", 1), ("client", 1), ("student", recipients)];
    let all = rig::accounts_at(url, &roles).await;
    let [admin, client, students] = <[Vec<Account>; 3]>::try_from(all).unwrap();
    let hub = Hub::start_at(url, &[]);
    let ends = [&students[0], &students[recipients - 1]];
    let mut all = Vec::new();
    for run in 1..=runs {
        let sent = Sent { ends, recipients, sends, file };
        let figures = measure(&hub, &admin[0], &client[0], sent).await;
        print(store, &run.to_string(), &row(&figures));
        all.push(row(&figures));
    }
    let middle: Vec<f64> =
        (0..6).map(|column| median(all.iter().map(|row| row[column]).collect())).collect();
    print(store, "mid", &middle.try_into().unwrap());
}

fn row(figures: &Figures) -> [f64; 6] {
    let ms = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
    let Figures { stored_s, rows_s, idle, beside } = figures;
    [*stored_s, *rows_s, ms(idle, 0.5), ms(idle, 0.99), ms(beside, 0.5), ms(beside, 0.99)]
}

fn print(store: &str, run: &str, figures: &[f64; 6]) {
    let [stored_s, rows_s, idle_p50, idle_p99, beside_p50, beside_p99] = figures;
    println!(
        "{store:>10} {run:>3} {stored_s:>9.0} {rows_s:>9.0} {idle_p50:>12.2} {idle_p99:>12.2} \
         {beside_p50:>14.2} {beside_p99:>14.2}"
    );
}

/// What is sent.
struct Sent<'a> {
    /// The first recipient and the last.
    ends: [&'a Account; 2],
    recipients: usize,
    sends: usize,
    /// The file of SQLite, which may write rows later.
    file: Option<&'a Path>,
}

async fn measure(hub: &Hub, admin: &Account, client: &Account, sent: Sent<'_>) -> Figures {
    let mut watched = Vec::new();
    for (source, account) in (2..).zip(sent.ends) {
        let mut socket = Listener::connect(hub.address, source, &account.token).await;
        until_live(&mut socket).await;
        watched.push(socket);
    }
    let mut desk = Desk::open(hub, admin, client).await;
    let idle = desk.tickets(Until::Elapsed(Duration::from_secs(3))).await;
    let is_sent = Arc::new(AtomicBool::new(false));
    let beside = desk.tickets(Until::Set(Arc::clone(&is_sent)));
    let sending = async {
        let mut rest = Rest::connect(hub.address).await;
        let begun = Instant::now();
        let body = r#"{"recipients":{"role":"student"},"title":"A bench","message":"To many"}"#;
        for _ in 0..sent.sends {
            let told = rest.post(&admin.token, "/api/notifications/", body).await;
            assert_eq!(told["recipients"], sent.recipients, "{told}");
            for socket in &mut watched {
                let frame = socket.next().await.expect("a frame");
                assert!(String::from_utf8_lossy(frame).contains("To many"));
            }
        }
        let took = begun.elapsed();
        is_sent.store(true, Relaxed);
        (begun, took)
    };
    let (beside, (begun, took)) = tokio::join!(beside, sending);
    if let Some(file) = sent.file {
        wait_for_rows(file).await;
    }
    let count = (sent.recipients * sent.sends) as f64;
    let (stored_s, rows_s) = (count / took.as_secs_f64(), count / begun.elapsed().as_secs_f64());
    Figures { stored_s, rows_s, idle, beside }
}

/// Waits until no inbox' rows are deferred.
async fn wait_for_rows(database: &Path) {
    let connection = rig::sqlite::open(database);
    let sql = "SELECT count(*) FROM deferred_births";
    let since = Instant::now();
    while connection.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap() > 0 {
        assert!(since.elapsed() < Duration::from_secs(120), "the rows do not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// When the tickets end.
enum Until {
    Elapsed(Duration),
    Set(Arc<AtomicBool>),
}

/// The creator of tickets, and the admin who is notified.
struct Desk<'a> {
    client: &'a Account,
    rest: Rest,
    socket: Listener,
}

impl<'a> Desk<'a> {
    async fn open(hub: &Hub, admin: &Account, client: &'a Account) -> Self {
        let mut socket = Listener::connect(hub.address, 1, &admin.token).await;
        until_live(&mut socket).await;
        Self { client, rest: Rest::connect(hub.address).await, socket }
    }

    /// Creates tickets one after the other, at least one; returns the times from request to frame,
    /// in µs.
    async fn tickets(&mut self, until: Until) -> Histogram<u64> {
        let Self { client, rest, socket } = self;
        let mut times = Histogram::new(3).unwrap();
        let begun = Instant::now();
        loop {
            let asked = Instant::now();
            let raise = rest.post(&client.token, "/api/tickets/", r#"{"title":"x"}"#);
            let (_, frame) = tokio::join!(raise, async {
                let is_it = socket.next().await.is_some();
                (is_it, asked.elapsed())
            });
            assert!(frame.0, "a frame for each ticket");
            times.record(frame.1.as_micros() as u64).unwrap();
            let is_over = match &until {
                Until::Elapsed(time) => begun.elapsed() >= *time,
                Until::Set(is_set) => is_set.load(Relaxed),
            };
            if is_over {
                return times;
            }
        }
    }
}

/// Reads the greeting and the backlog: frames after them are live.
async fn until_live(socket: &mut Listener) {
    let patience = Duration::from_millis(200);
    assert!(socket.next().await.is_some(), "the greeting");
    while let Ok(Some(_)) = tokio::time::timeout(patience, socket.next()).await {}
}
