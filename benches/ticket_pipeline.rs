//! Ticket life cycles over REST with 40 sockets connected: transitions/s, notifications/s, and the
//! time from a request to each frame that it causes.
//!
//! `cargo bench --bench ticket_pipeline` runs concurrency 1, 8 and 32, three times each, and prints
//! every run and the medians. The hub is a process of its own on SQLite with `synchronous=FULL`; it
//! shares the machine's cores with this tool. 10 admins, 15 developers and 15 clients listen; a
//! life cycle is create, open, assign, start, finish, approve, with 35 notifications less those to
//! the acting user: 32 on average. A run fails unless every expected frame arrives, once, and each
//! socket's `seq` counts up by one.
//!
//! Beside each stands the rate of SQLite alone with the same rows, with as many transitions per
//! transaction as concurrent requests, without requests, decisions and frames.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a bench")]

mod rig;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rig::http::Rest;
use rig::socket::Listener;
use rig::{Account, Hub, accounts, median, ms, sqlite};

const ADMINS: usize = 10;
const DEVELOPERS: usize = 15;
const CLIENTS: usize = 15;

/// When each (ticket, event) was requested: the ticket is 0 until its creation is answered, so
/// creations are matched by title.
type Asked = Mutex<HashMap<(String, &'static str), Instant>>;

struct Shared {
    asked: Asked,
    times_us: Mutex<Histogram<u64>>,
    received: AtomicU64,
    wrong: AtomicU64,
}

struct Figures {
    transitions_s: f64,
    notifications_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Transitions per second of SQLite alone.
    bare_s: f64,
}

fn main() {
    // `cargo test --benches` runs this too: a short pass then, so that it keeps working.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let levels: &[(usize, usize)] =
        if is_test { &[(4, 8)] } else { &[(1, 200), (8, 800), (32, 2_000)] };
    println!(
        "{:>11} {:>3} {:>14} {:>16} {:>9} {:>9} {:>13} {:>6}",
        "concurrency",
        "run",
        "transitions/s",
        "notifications/s",
        "p50 ms",
        "p99 ms",
        "SQLite alone",
        "ratio"
    );
    for &(concurrency, lives) in levels {
        let runs = if is_test { 1 } else { 3 };
        let figures: Vec<Figures> = (1..=runs)
            .map(|run| {
                let figures = runtime.block_on(measure(concurrency, lives));
                print(concurrency, &run.to_string(), &figures);
                figures
            })
            .collect();
        let of = |pick: fn(&Figures) -> f64| median(figures.iter().map(pick).collect());
        print(
            concurrency,
            "mid",
            &Figures {
                transitions_s: of(|one| one.transitions_s),
                notifications_s: of(|one| one.notifications_s),
                p50_ms: of(|one| one.p50_ms),
                p99_ms: of(|one| one.p99_ms),
                bare_s: of(|one| one.bare_s),
            },
        );
    }
}

fn print(concurrency: usize, run: &str, figures: &Figures) {
    println!(
        "{concurrency:>11} {run:>3} {:>14.0} {:>16.0} {:>9.2} {:>9.2} {:>13.0} {:>6.2}",
        figures.transitions_s,
        figures.notifications_s,
        figures.p50_ms,
        figures.p99_ms,
        figures.bare_s,
        figures.transitions_s / figures.bare_s
    );
}

async fn measure(concurrency: usize, lives: usize) -> Figures {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("bench.db");
    let roles = [("admin", ADMINS), ("developer", DEVELOPERS), ("client", CLIENTS)];
    let all = Arc::new(accounts(&database, &roles).await);
    let alone = folder.path().join("alone.db");
    std::fs::copy(&database, &alone).unwrap();
    let ids: Vec<Vec<i64>> =
        all.iter().map(|group| group.iter().map(|account| account.id).collect()).collect();
    let bare_s = sqlite::lives(&alone, concurrency, lives, &ids[0], [ids[1][0], ids[2][0]]);
    let hub = Hub::start(&database);
    let shared = Arc::new(Shared {
        asked: Mutex::default(),
        times_us: Mutex::new(Histogram::new(3).unwrap()),
        received: AtomicU64::new(0),
        wrong: AtomicU64::new(0),
    });
    for account in all.iter().flatten() {
        let mut socket = Listener::connect(hub.address, 1, &account.token).await;
        assert!(socket.next().await.is_some(), "the greeting");
        tokio::spawn(listen(socket, Arc::clone(&shared)));
    }
    let owed = Arc::new(AtomicU64::new(0));
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let workers: Vec<_> = (0..concurrency)
        .map(|_| {
            let (all, shared) = (Arc::clone(&all), Arc::clone(&shared));
            let (owed, next, address) = (Arc::clone(&owed), Arc::clone(&next), hub.address);
            tokio::spawn(async move {
                let mut rest = Rest::connect(address).await;
                loop {
                    let n = next.fetch_add(1, Relaxed) as usize;
                    if n >= lives {
                        return;
                    }
                    owed.fetch_add(live(&mut rest, n, &all, &shared).await, Relaxed);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    drained(&shared, owed.load(Relaxed)).await;
    let took = started.elapsed().as_secs_f64();
    let times = shared.times_us.lock().unwrap();
    Figures {
        transitions_s: lives as f64 * 6.0 / took,
        notifications_s: owed.load(Relaxed) as f64 / took,
        p50_ms: ms(Duration::from_micros(times.value_at_quantile(0.5))),
        p99_ms: ms(Duration::from_micros(times.value_at_quantile(0.99))),
        bare_s,
    }
}

/// The time ends when all frames have arrived, not when all requests were acknowledged.
async fn drained(shared: &Shared, owed: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while shared.received.load(Relaxed) < owed && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(shared.received.load(Relaxed), owed, "frames are missing or doubled");
    assert_eq!(shared.wrong.load(Relaxed), 0, "sequences have gaps or steps back");
}

/// One ticket's life cycle; returns how many notifications are expected.
async fn live(rest: &mut Rest, n: usize, accounts: &[Vec<Account>], shared: &Shared) -> u64 {
    let [admins, developers, clients] = accounts else { panic!("three roles") };
    let (admin, developer, client) =
        (&admins[n % ADMINS], &developers[n % DEVELOPERS], &clients[n % CLIENTS]);
    let title = format!("bench ticket {n}");
    let ask = |event: &'static str| {
        shared.asked.lock().unwrap().insert((title.clone(), event), Instant::now());
    };
    ask("ticket_created");
    let body = format!(r#"{{"title":"{title}","priority":"HIGH","category":"BUG"}}"#);
    let ticket = rest.post(&client.token, "/api/tickets/", &body).await["id"].clone();
    let assign = format!(r#"{{"developers":[{}]}}"#, developer.id);
    let steps = [
        ("ticket_opened", "open", admin, "{}"),
        ("ticket_assigned", "assign", admin, assign.as_str()),
        ("work_started", "start_work", developer, "{}"),
        ("work_finished", "finish_work", developer, "{}"),
        ("ticket_approved", "approve", client, "{}"),
    ];
    for (event, action, who, body) in steps {
        ask(event);
        let path = format!("/api/tickets/{ticket}/{action}/");
        rest.post(&who.token, &path, body).await;
    }
    let admins = ADMINS as u64;
    admins + 1 + 1 + 1 + (1 + admins) + (admins + 1)
}

/// Receives, times and checks every frame of one socket.
async fn listen(mut socket: Listener, shared: Arc<Shared>) {
    let mut last = None;
    while let Some(frame) = socket.next().await {
        let now = Instant::now();
        let text = String::from_utf8_lossy(frame);
        let Some(event) = between(&text, "\"notification_type\":\"", "\"") else { continue };
        let title = between(&text, "\"title\":\"", "\"").unwrap_or_default().to_owned();
        let seq: i64 = between(&text, "\"seq\":", "}").and_then(|n| n.parse().ok()).unwrap();
        if last.is_some_and(|last| seq != last + 1) {
            shared.wrong.fetch_add(1, Relaxed);
        }
        last = Some(seq);
        let event = EVENTS.into_iter().find(|one| *one == event).unwrap();
        let asked = shared.asked.lock().unwrap()[&(title, event)];
        let us = (now - asked).as_micros() as u64;
        shared.times_us.lock().unwrap().record(us).unwrap();
        shared.received.fetch_add(1, Relaxed);
    }
}

const EVENTS: [&str; 6] = [
    "ticket_created",
    "ticket_opened",
    "ticket_assigned",
    "work_started",
    "work_finished",
    "ticket_approved",
];

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = text.split_once(before)?.1;
    Some(rest.split_once(after)?.0)
}
