//! One message to 100,000 people, and what a ticket's commit has to wait for it.
//!
//! `cargo bench --bench send` makes 100,000 accounts and sends to all of them three times. It
//! prints how many rows a second the hub wrote, from the request until the last recipient's socket
//! had its frame; and the time from a ticket's request to the frame at an admin's socket, one
//! ticket after the other, first with nothing else to do and then beside the send. The hub is a
//! process of its own on SQLite with `synchronous=FULL`. A run fails unless the answer counts all
//! recipients, and every ticket's frame arrives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a bench")]

mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rig::http::Rest;
use rig::socket::Listener;
use rig::{Hub, Person, median, people};

/// What three runs are measured by.
struct Figures {
    rows_s: f64,
    idle: Histogram<u64>,
    beside: Histogram<u64>,
}

fn main() {
    // `cargo test --benches` runs this too: a short pass then, so that it cannot rot.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (recipients, runs) = if is_test { (3_000, 1) } else { (100_000, 3) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("bench.db");
        let roles = [("admin", 1), ("client", 1), ("student", recipients)];
        let everybody = people(&database, &roles).await;
        let [admin, client, students] = <[Vec<Person>; 3]>::try_from(everybody).unwrap();
        let hub = Hub::start(&database);
        let (first, last) = (&students[0], &students[recipients - 1]);
        println!(
            "{:>3} {:>9} {:>12} {:>12} {:>14} {:>14}",
            "run", "rows/s", "idle p50 ms", "idle p99 ms", "beside p50 ms", "beside p99 ms"
        );
        let mut all = Vec::new();
        for run in 1..=runs {
            let figures = measure(&hub, &admin[0], &client[0], [first, last], recipients).await;
            print(&run.to_string(), &row(&figures));
            all.push(row(&figures));
        }
        let middle: Vec<f64> =
            (0..5).map(|column| median(all.iter().map(|row| row[column]).collect())).collect();
        print("mid", &middle.try_into().unwrap());
    });
}

fn row(figures: &Figures) -> [f64; 5] {
    let ms = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
    let Figures { rows_s, idle, beside } = figures;
    [*rows_s, ms(idle, 0.5), ms(idle, 0.99), ms(beside, 0.5), ms(beside, 0.99)]
}

fn print(run: &str, [rows_s, idle_p50, idle_p99, beside_p50, beside_p99]: &[f64; 5]) {
    println!(
        "{run:>3} {rows_s:>9.0} {idle_p50:>12.2} {idle_p99:>12.2} {beside_p50:>14.2} \
         {beside_p99:>14.2}"
    );
}

async fn measure(
    hub: &Hub,
    admin: &Person,
    client: &Person,
    ends: [&Person; 2],
    recipients: usize,
) -> Figures {
    let mut watched = Vec::new();
    for (source, person) in (2..).zip(ends) {
        let mut socket = Listener::connect(hub.address, source, &person.token).await;
        until_live(&mut socket).await;
        watched.push(socket);
    }
    let idle = tickets(hub, admin, client, Until::Elapsed(Duration::from_secs(3))).await;
    let is_sent = Arc::new(AtomicBool::new(false));
    let beside = tickets(hub, admin, client, Until::Set(Arc::clone(&is_sent)));
    let sending = async {
        let mut rest = Rest::connect(hub.address).await;
        let begun = Instant::now();
        let body = r#"{"recipients":{"role":"student"},"title":"A bench","message":"To many"}"#;
        let told = rest.post(&admin.token, "/api/notifications/", body).await;
        assert_eq!(told["recipients"], recipients, "{told}");
        for socket in &mut watched {
            let frame = socket.next().await.expect("a frame");
            assert!(String::from_utf8_lossy(frame).contains("To many"));
        }
        let took = begun.elapsed();
        is_sent.store(true, Relaxed);
        took
    };
    let (beside, took) = tokio::join!(beside, sending);
    Figures { rows_s: recipients as f64 / took.as_secs_f64(), idle, beside }
}

/// When the tickets end.
enum Until {
    Elapsed(Duration),
    Set(Arc<AtomicBool>),
}

/// Raises one ticket after the other; the times from request to frame, in µs.
async fn tickets(hub: &Hub, admin: &Person, client: &Person, until: Until) -> Histogram<u64> {
    let mut socket = Listener::connect(hub.address, 1, &admin.token).await;
    until_live(&mut socket).await;
    let mut rest = Rest::connect(hub.address).await;
    let mut times = Histogram::new(3).unwrap();
    let begun = Instant::now();
    loop {
        let is_over = match &until {
            Until::Elapsed(time) => begun.elapsed() >= *time,
            Until::Set(is_set) => is_set.load(Relaxed),
        };
        if is_over {
            return times;
        }
        let asked = Instant::now();
        let (_, frame) =
            tokio::join!(rest.post(&client.token, "/api/tickets/", r#"{"title":"x"}"#), async {
                let is_it = socket.next().await.is_some();
                (is_it, asked.elapsed())
            });
        assert!(frame.0, "a frame for each ticket");
        times.record(frame.1.as_micros() as u64).unwrap();
    }
}

/// Reads the greeting and the backlog: what comes after them is live.
async fn until_live(socket: &mut Listener) {
    let patience = Duration::from_millis(200);
    assert!(socket.next().await.is_some(), "the greeting");
    while let Ok(Some(_)) = tokio::time::timeout(patience, socket.next()).await {}
}
