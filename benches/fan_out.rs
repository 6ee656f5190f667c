//! One stored notification to a thousand sockets, beside the bare loop of `write()`s.
//!
//! `cargo bench --bench fan_out`. The time runs from the request until the last socket has its
//! frame: admission, a row for each recipient on the disk, an actor for each, a frame of about 400
//! bytes on each socket. The bare loop takes the same request and has two threads `write()` a frame
//! of the same size to as many sockets; it authenticates no one and stores nothing. Both are
//! processes of their own, with one client that counts frames on one epoll loop. `bellpull load
//! fan-out --baseline` is the same for ten thousand, with latencies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench")]
#![allow(clippy::cast_precision_loss, reason = "figures")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a bench")]

mod rig;

use std::time::Duration;

use bellpull_load::rest::Rest;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rig::crowd::Crowd;
use rig::{Hub, accounts};

/// The length of the frame's message: with the rest about 400 bytes on the wire.
const MESSAGE: usize = 270;

/// A server, its listeners, and its sender.
struct Room {
    _server: Hub,
    crowd: Crowd,
    sender: Rest,
    headers: [String; 2],
    sent: usize,
}

impl Room {
    fn of(server: Hub, paths: &[String], sender: &str) -> Self {
        let mut crowd = Crowd::connect(server.address, paths.iter().map(String::as_str));
        crowd.receive(0);
        let host = server.address.to_string();
        let rest = Rest::connect(server.address, &host, Duration::from_secs(60)).unwrap();
        let headers = [
            format!("Authorization: Bearer {sender}"),
            "Content-Type: application/json".to_owned(),
        ];
        Self { _server: server, crowd, sender: rest, headers, sent: 0 }
    }

    /// Sends one notification; returns when all listeners have it.
    fn tell(&mut self) {
        let message = "x".repeat(MESSAGE);
        let body = format!(
            r#"{{"recipients":{{"role":"student"}},"title":"A bench","message":"{message}"}}"#
        );
        self.sender.send("POST", "/api/notifications/", &self.headers, &body).unwrap();
        self.sent += 1;
        self.crowd.receive(self.sent);
        let answer = self.sender.answer().unwrap();
        assert!(answer.is_success(), "{}", answer.text());
    }
}

fn fan_out(criterion: &mut Criterion) {
    // `cargo test --benches` runs this too: a short pass then, so that it keeps working.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let users = if is_test { 50 } else { 1_000 };
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("bench.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let all = runtime.block_on(accounts(&database, &[("admin", 1), ("student", users)]));
    let path = |account: &rig::Account| format!("/ws/notifications/?token={}", account.token);
    let paths: Vec<String> = all[1].iter().map(path).collect();
    let sender = &all[0][0].token;
    let mut group = criterion.benchmark_group(format!("fan_out, {users} sockets"));
    group.throughput(Throughput::Elements(u64::try_from(users).unwrap()));
    group.sample_size(20).measurement_time(Duration::from_secs(10));
    let mut bare = Room::of(Hub::bare_loop(), &paths, sender);
    group.bench_function("baseline: two threads that write()", |bencher| {
        bencher.iter(|| bare.tell());
    });
    drop(bare);
    let mut hub = Room::of(Hub::start(&database), &paths, sender);
    group.bench_function("hub", |bencher| bencher.iter(|| hub.tell()));
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
