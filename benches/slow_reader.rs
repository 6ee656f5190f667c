//! A client that reads 10 KB/s beside a thousand fast ones, all on one project's tickets.
//!
//! `cargo bench --bench slow_reader`. A hundred tickets change in turn, twice as fast as the slow
//! client can read, while a notification is sent to it each second. Without the slow client and
//! beside it, three runs in turn: how long each change takes to each fast socket. Of the slow one:
//! how old what it is shown is, how many changes it was shown of how many, and what it holds of the
//! hub's memory.
//!
//! A run fails unless the slow client stays connected, has each notification once and in order, is
//! shown no older version of a ticket after a newer one, and ends with the latest of each ticket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a bench")]

mod rig;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bellpull_load::frame::{self, Kind};
use hdrhistogram::Histogram;
use memchr::memmem;
use rig::http::Rest;
use rig::socket::Listener;
use rig::{Account, Hub, accounts, median, ms};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

const TICKETS: usize = 100;
/// Changes a second: each is a frame of some 400 bytes.
const CHANGES_PER_S: u32 = 50;
/// What the slow client reads at once, and how often: 10 KB/s.
const READ_BYTES: usize = 1_000;
const READ_EVERY: Duration = Duration::from_millis(100);
/// What its kernel buffers for it.
const RECEIVE_BUFFER: u32 = 8 * 1024;
/// How long the slow client may take to catch up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The times from a change's request until its frames arrived.
type Times = Histogram<u64>;

/// What the slow client saw.
#[derive(Default)]
struct Slow {
    ages: Option<Times>,
    shown: usize,
    versions: BTreeMap<i64, i64>,
    inbox: Vec<i64>,
}

struct Run {
    times: Times,
    slow: Option<Slow>,
    made: usize,
}

fn main() {
    // `cargo test --benches` runs this too: a short pass then, so that it keeps working.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (fast, seconds, runs) = if is_test { (10, 3, 1) } else { (1_000, 30, 3) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        println!(
            "{:>5} {:>14} {:>14} {:>12} {:>14} {:>14} {:>12}",
            "run",
            "fast p50 ms",
            "fast p99 ms",
            "slow shown",
            "its age p50 ms",
            "its age p99 ms",
            "of changes"
        );
        let mut ratios = Vec::new();
        for run in 1..=runs {
            let alone = measure(fast, seconds, false).await;
            let beside = measure(fast, seconds, true).await;
            print(&format!("{run}"), &alone);
            print(&format!("{run}+"), &beside);
            let p99 = |run: &Run| run.times.value_at_quantile(0.99) as f64;
            ratios.push(p99(&beside) / p99(&alone));
        }
        println!("fast p99 beside the slow client ÷ without it: {:.2}", median(ratios));
    });
}

fn print(name: &str, run: &Run) {
    let at = |times: &Times, quantile| ms(Duration::from_nanos(times.value_at_quantile(quantile)));
    let (p50, p99) = (at(&run.times, 0.5), at(&run.times, 0.99));
    let Some(slow) = &run.slow else { return println!("{name:>5} {p50:>14.2} {p99:>14.2}") };
    let ages = slow.ages.as_ref().unwrap();
    println!(
        "{name:>5} {p50:>14.2} {p99:>14.2} {:>12} {:>14.0} {:>14.0} {:>12}",
        slow.shown,
        at(ages, 0.5),
        at(ages, 0.99),
        run.made
    );
}

async fn measure(fast: usize, seconds: u32, has_slow: bool) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("bench.db");
    let all = accounts(&database, &[("admin", fast + 2)]).await;
    let (slow, writer) = (&all[0][fast], &all[0][fast + 1]);
    let hub = Hub::start(&database);
    let mut rest = Rest::connect(hub.address).await;
    let mut tickets = Vec::new();
    for n in 0..TICKETS {
        let body = format!(r#"{{"title":"ticket {n}","project":1}}"#);
        let ticket = rest.post(&writer.token, "/api/tickets/", &body).await;
        tickets.push(ticket["id"].as_i64().unwrap());
    }
    let began = Instant::now();
    let (over, is_over) = watch::channel(None);
    let mut listeners = JoinSet::new();
    for (n, account) in all[0][..fast].iter().enumerate() {
        let path = format!("/ws/projects/1/tickets/?token={}", account.token);
        let socket =
            Listener::connect_at(hub.address, u8::try_from(n % 8 + 1).unwrap(), &path).await;
        let changes = (CHANGES_PER_S * seconds) as usize;
        listeners.spawn(listen(socket, began, changes));
    }
    let slow_id = has_slow.then_some(slow.id);
    let slow =
        has_slow.then(|| tokio::spawn(read_slowly(hub.address, slow.clone(), began, is_over)));
    sleep(Duration::from_secs(1)).await;
    let made = change(&mut rest, writer, &tickets, (began, seconds, slow_id)).await;
    let mut times = Times::new(3).unwrap();
    while let Some(of_one) = listeners.join_next().await {
        times.add(of_one.unwrap()).unwrap();
    }
    let sent = if has_slow { i64::from(seconds) } else { 0 };
    over.send_replace(Some((made.1, sent)));
    let slow = match slow {
        Some(slow) => Some(slow.await.unwrap()),
        None => None,
    };
    Run { times, slow, made: made.0 }
}

/// Changes one ticket after the other, at a steady pace, with the time in its title; sends the slow
/// user a message each second. The number of changes, and the tickets' last versions.
async fn change(
    rest: &mut Rest,
    writer: &Account,
    tickets: &[i64],
    (began, seconds, slow): (Instant, u32, Option<i64>),
) -> (usize, BTreeMap<i64, i64>) {
    let mut versions = BTreeMap::new();
    let mut pace = interval(Duration::from_secs(1) / CHANGES_PER_S);
    for n in 0..CHANGES_PER_S * seconds {
        pace.tick().await;
        let ticket = tickets[n as usize % tickets.len()];
        let title = format!("{} {}", began.elapsed().as_nanos(), "x".repeat(170));
        let path = format!("/api/tickets/{ticket}/");
        let body = format!(r#"{{"title":"{title}"}}"#);
        let answer = rest.ask("PATCH", &writer.token, &path, &body).await;
        versions.insert(ticket, answer["version"].as_i64().unwrap());
        if let Some(slow) = slow
            && n % CHANGES_PER_S == 0
        {
            let body = format!(
                r#"{{"recipients":[{slow}],"title":"bench {}","message":"-"}}"#,
                n / CHANGES_PER_S
            );
            rest.post(&writer.token, "/api/notifications/", &body).await;
        }
    }
    ((CHANGES_PER_S * seconds) as usize, versions)
}

/// A fast client: the times of all changes.
async fn listen(mut socket: Listener, began: Instant, changes: usize) -> Times {
    let mut times = Times::new(3).unwrap();
    for _ in 0..changes {
        loop {
            let frame = timeout(PATIENCE, socket.next()).await.expect("a frame").expect("open");
            if let Some(age) = age(frame, began) {
                times.record(age).unwrap();
                break;
            }
        }
    }
    times
}

/// How old a ticket's change is, in nanoseconds.
fn age(frame: &[u8], began: Instant) -> Option<u64> {
    memmem::find(frame, b"\"ticket_update\"")?;
    let title = memmem::find(frame, b"\"title\":\"")? + 9;
    let text = std::str::from_utf8(&frame[title..]).ok()?.split([' ', '"']).next()?;
    let then: u64 = text.parse().ok()?;
    Some(u64::try_from(began.elapsed().as_nanos()).unwrap().saturating_sub(then))
}

/// The slow client: reads at its pace until it has everything.
async fn read_slowly(
    hub: SocketAddr,
    account: Account,
    began: Instant,
    over: watch::Receiver<Option<(BTreeMap<i64, i64>, i64)>>,
) -> Slow {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
    let mut stream = socket.connect(hub).await.unwrap();
    let request = format!(
        "GET /ws/?since=0&token={} HTTP/1.1\r\nHost: {hub}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        account.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let subscribe = br#"{"type":"subscribe","id":"s","stream":"project:1:tickets"}"#;
    // A mask of zeros changes nothing.
    let head = [&[0x81, 0x80 | u8::try_from(subscribe.len()).unwrap()][..], &[0; 4]].concat();
    stream.write_all(&[&head, &subscribe[..]].concat()).await.unwrap();
    let mut slow = Slow { ages: Some(Times::new(3).unwrap()), ..Slow::default() };
    let (mut bytes, mut is_upgraded) = (Vec::new(), false);
    let mut pace = interval(READ_EVERY);
    let mut waited = None;
    loop {
        pace.tick().await;
        let mut some = [0; READ_BYTES];
        let read = timeout(READ_EVERY, stream.read(&mut some)).await;
        if let Ok(read) = read {
            let read = read.expect("the slow client's connection");
            assert!(read > 0, "the hub closed the slow client's connection");
            bytes.extend_from_slice(&some[..read]);
        }
        if !is_upgraded && let Some(head) = memmem::find(&bytes, b"\r\n\r\n") {
            bytes.drain(..head + 4);
            is_upgraded = true;
        }
        while is_upgraded && let Some(frame) = frame::parse(&bytes).expect("frames") {
            assert!(frame.kind != Kind::Close, "the slow client was closed");
            slow.show(&bytes[frame.begin..frame.end], began);
            bytes.drain(..frame.end);
        }
        if let Some((versions, sent)) = over.borrow().as_ref() {
            let shown = |(ticket, version)| slow.versions.get(ticket) == Some(version);
            let waited = waited.get_or_insert_with(Instant::now);
            if versions.iter().all(shown) && slow.inbox.last() == Some(&(sent - 1)) {
                assert_eq!(slow.inbox, (0..*sent).collect::<Vec<_>>());
                return slow;
            }
            assert!(waited.elapsed() < PATIENCE, "the slow client does not catch up");
        }
    }
}

impl Slow {
    fn show(&mut self, frame: &[u8], began: Instant) {
        let Ok(value) = serde_json::from_slice::<Value>(frame) else { return };
        match value["type"].as_str() {
            Some("ticket_update") => {
                let data = &value["data"];
                let version = data["version"].as_i64().unwrap();
                let known = self.versions.insert(data["ticket_id"].as_i64().unwrap(), version);
                assert!(known.is_none_or(|known| known < version), "{known:?}, then {value}");
                self.shown += 1;
                let age = age(frame, began).unwrap();
                self.ages.as_mut().unwrap().record(age).unwrap();
            }
            Some("notification") => {
                let title = value["title"].as_str().unwrap();
                self.inbox.extend(title.strip_prefix("bench ").map(|n| n.parse::<i64>().unwrap()));
            }
            _ => {}
        }
    }
}
