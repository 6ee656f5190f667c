//! Ten thousand idle users: how fast they connect, and the hub's memory for each.
//!
//! `cargo bench --bench connect` runs three times and prints every run and the medians. Each user
//! is a different account, with a token that is verified, an account and an inbox that are read, an
//! actor and one socket. Memory is the growth of the process' resident set until all are connected,
//! divided by the number of users. The tool shares the machine's cores with the hub.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a bench")]

mod rig;

use std::time::Instant;

use futures_util::StreamExt;
use rig::socket::Listener;
use rig::{Hub, accounts, median};

/// How many handshakes are in progress at once.
const CONCURRENCY: usize = 64;

fn main() {
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (users, runs) = if is_test { (50, 1) } else { (10_000, 3) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("{:>6} {:>3} {:>10} {:>13}", "users", "run", "users/s", "KiB per user");
    let mut rates = Vec::new();
    let mut sizes = Vec::new();
    for run in 1..=runs {
        let (rate, size) = runtime.block_on(measure(users));
        println!("{users:>6} {run:>3} {rate:>10.0} {size:>13.2}");
        rates.push(rate);
        sizes.push(size);
    }
    println!("{users:>6} mid {:>10.0} {:>13.2}", median(rates), median(sizes));
}

async fn measure(users: usize) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("bench.db");
    let accounts = accounts(&database, &[("client", users)]).await.remove(0);
    let hub = Hub::start(&database);
    let before = hub.resident_kib();
    let started = Instant::now();
    let connect = |(n, account): (usize, &rig::Account)| {
        let (address, token) = (hub.address, account.token.clone());
        let source = 1 + (n % 8) as u8;
        async move {
            let mut socket = Listener::connect(address, source, &token).await;
            let greeting = String::from_utf8_lossy(socket.next().await.unwrap()).into_owned();
            assert!(greeting.contains("connection_established"), "{greeting}");
            socket
        }
    };
    let sockets: Vec<Listener> =
        futures_util::stream::iter(accounts.iter().enumerate().map(connect))
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
    let rate = users as f64 / started.elapsed().as_secs_f64();
    // Waits until memory of the handshakes is freed before memory is read.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let after = hub.resident_kib();
    assert_eq!(sockets.len(), users);
    (rate, (after.saturating_sub(before)) as f64 / users as f64)
}
