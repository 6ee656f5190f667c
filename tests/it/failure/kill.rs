//! `kill -9` at random moments while eight write and three watch.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

use crate::support::process::{Process, UNLIMITED, folder, person};

const WATCHERS: usize = 3;
const WRITERS: usize = 8;
const KILLS: usize = 6;

/// Small, and the same for the same seed.
struct Dice(u64);

impl Dice {
    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + self.0 % (high - low)
    }
}

fn seed() -> u64 {
    let given = std::env::var("KILL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| getrandom::u64().unwrap() | 1)
}

/// What one watcher saw: each number with its ticket, in the order of arrival.
type Seen = Arc<Mutex<Vec<(i64, i64)>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_in_every_inbox_once_and_sequences_have_no_gap() {
    let seed = seed();
    println!("KILL_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let (_folder, database) = folder();
    let watchers: Vec<(i64, String)> =
        (0..WATCHERS).map(|n| person(&database, &format!("admin{n}"), "admin")).collect();
    let writers: Vec<(i64, String)> =
        (0..WRITERS).map(|n| person(&database, &format!("client{n}"), "client")).collect();

    let mut hub = Process::serve(&database, &[UNLIMITED]);
    let (address, address_now) = watch::channel(hub.address);
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let seen: Vec<Seen> = watchers.iter().map(|_| Seen::default()).collect();
    for (watcher, seen) in watchers.iter().zip(&seen) {
        tokio::spawn(watch_inbox(address_now.clone(), watcher.1.clone(), Arc::clone(seen)));
    }
    let work: Vec<_> = writers
        .iter()
        .enumerate()
        .map(|(n, writer)| {
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            tokio::spawn(write(n, address_now.clone(), writer.1.clone(), (stop, count)))
        })
        .collect();
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(dice.between(200, 1_500))).await;
        hub.kill();
        hub = Process::serve(&database, &[UNLIMITED]);
        address.send_replace(hub.address);
    }
    until_acknowledged(&count, WRITERS).await;
    stop.store(true, Relaxed);
    let mut acknowledged = BTreeMap::new();
    for writer in work {
        acknowledged.extend(writer.await.unwrap());
    }
    assert!(acknowledged.len() > 50, "only {} tickets were acknowledged", acknowledged.len());
    println!("{} tickets acknowledged over {KILLS} kills", acknowledged.len());
    for (watcher, seen) in watchers.iter().zip(&seen) {
        let stored = inbox(hub.address, &watcher.1).await;
        check_stored(&stored, &acknowledged);
        check_seen(seen, &stored).await;
    }
    assert!(hub.terminate().success(), "a graceful stop exits with 0");
}

/// Waits until this many more requests are acknowledged: the last process works too.
async fn until_acknowledged(count: &AtomicUsize, more: usize) {
    let enough = count.load(Relaxed) + more;
    let deadline = Instant::now() + Duration::from_secs(20);
    while count.load(Relaxed) < enough {
        assert!(Instant::now() < deadline, "the last process acknowledges too little");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Each acknowledged ticket is there once, nothing is there twice, numbers count up by one.
fn check_stored(stored: &[(i64, i64)], acknowledged: &BTreeMap<i64, String>) {
    let tickets: BTreeSet<i64> = stored.iter().map(|(_, ticket)| *ticket).collect();
    assert_eq!(tickets.len(), stored.len(), "a ticket is in an inbox twice");
    for id in acknowledged.keys() {
        assert!(tickets.contains(id), "ticket {id} was acknowledged and is not in an inbox");
    }
    let numbers: Vec<i64> = stored.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
}

/// The socket showed exactly what is stored, in order, across all reconnects.
async fn check_seen(seen: &Seen, stored: &[(i64, i64)]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while seen.lock().unwrap().len() < stored.len() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(*seen.lock().unwrap(), stored, "the socket's sequence is not the inbox'");
}

/// Raises tickets until told to stop; those that were acknowledged.
async fn write(
    n: usize,
    address: watch::Receiver<SocketAddr>,
    token: String,
    (stop, acknowledgements): (Arc<AtomicBool>, Arc<AtomicUsize>),
) -> BTreeMap<i64, String> {
    let client = bellpull::tls::client().timeout(Duration::from_secs(5)).build().unwrap();
    let mut acknowledged = BTreeMap::new();
    for count in 0.. {
        if stop.load(Relaxed) {
            break;
        }
        let title = format!("writer {n}, ticket {count}");
        let url = format!("http://{}/api/tickets/", *address.borrow());
        let request = client.post(url).bearer_auth(&token).json(&json!({"title": title}));
        let answer = async {
            let response = request.send().await.ok().filter(|r| r.status().as_u16() == 201)?;
            response.json::<Value>().await.ok()?["id"].as_i64()
        };
        match answer.await {
            Some(id) => {
                assert!(acknowledged.insert(id, title).is_none(), "the id {id} was given twice");
                acknowledgements.fetch_add(1, Relaxed);
            }
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    acknowledged
}

/// Watches one inbox for ever, reconnecting with the last number seen.
async fn watch_inbox(address: watch::Receiver<SocketAddr>, token: String, seen: Seen) {
    loop {
        let since = seen.lock().unwrap().last().map_or(0, |(seq, _)| *seq);
        let at = *address.borrow();
        let url = format!("ws://{at}/ws/notifications/?token={token}&since={since}");
        if let Ok((mut socket, _)) = tokio_tungstenite::connect_async(url).await {
            while let Some(Ok(Message::Text(text))) = socket.next().await {
                let frame: Value = serde_json::from_str(&text).unwrap();
                if let Some(seq) = frame["seq"].as_i64() {
                    let ticket = frame["ticket"]["id"].as_i64().unwrap();
                    seen.lock().unwrap().push((seq, ticket));
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The whole inbox by REST, oldest first: number and ticket.
async fn inbox(address: SocketAddr, token: &str) -> Vec<(i64, i64)> {
    let client = bellpull::tls::client().build().unwrap();
    let mut rows = Vec::new();
    let mut next = Some(format!("http://{address}/api/notifications/?since_seq=0&page_size=100"));
    while let Some(url) = next {
        let response = client.get(&url).bearer_auth(token).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{url}");
        let page: Value = response.json().await.unwrap();
        for row in page["results"].as_array().unwrap() {
            rows.push((row["seq"].as_i64().unwrap(), row["ticket"].as_i64().unwrap()));
        }
        next = page["next"].as_str().map(str::to_owned);
    }
    rows
}
