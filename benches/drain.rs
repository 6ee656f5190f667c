//! Emptying a queue of 20,000: by e-mail, and by WhatsApp.
//!
//! `cargo bench --bench drain` queues 20,000 deliveries before the hub starts, and counts what a
//! sink receives from the first message on, three times. It prints three rates side by side, all
//! over the same number of connections to the same sink:
//!
//! - `hub`: the queue is emptied: leased, rendered, sent, recorded.
//! - `adapter`: the hub's own adapters, rendering and sending, without a store. The difference to
//!   `hub` is the cost of the store and the channel's actor.
//! - `sink`: plain clients with the same round trips and no other work: what the sink can receive.
//!
//! All of it shares the machine's cores. `hub µs` is the hub's CPU time per message, and `store µs`
//! the part of it on the thread that writes the store.
//!
//! Then the queue is filled once more, and while it empties tickets are created one after the
//! other: the times from request to frame at an admin's socket, beside those without other load. A
//! run fails unless each message arrives exactly once, each is recorded as sent, and each ticket's
//! frame arrives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures")]
#![allow(clippy::cast_possible_wrap, reason = "figures")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a bench")]

mod rig;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bellpull::storage::{self, StoreOptions};
use bellpull_domain::address::AddressChanges;
use bellpull_domain::event::Event;
use bellpull_domain::ids::UserId;
use bellpull_domain::notification::{DeliveryStatus, Message};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::{NewSend, Recipients};
use bellpull_domain::ticket::Priority;
use bellpull_port::accounts::UserChanges;
use bellpull_port::delivery_log::DeliveryFilter;
use bellpull_port::sends::BeginSend;
use bellpull_port::{LeaseOwner, PageRequest, Store};
use futures_util::{StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use jiff::Timestamp;
use rig::adapter;
use rig::http::Rest;
use rig::sink::{Protocol, Sink};
use rig::socket::Listener;
use rig::{Account, Hub, accounts, median};

/// How many messages a channel has in progress at its provider.
const IN_FLIGHT: usize = 64;
/// How many recipients one transaction queues.
const CHUNK: u32 = 512;

fn main() {
    // `cargo test --benches` runs this too: a short pass then, so that it keeps working.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (messages, runs) = if is_test { (500, 1) } else { (20_000, 3) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        println!(
            "{:>9} {:>9} {:>9} {:>9} {:>7} {:>8} {:>9} {:>9} {:>10} {:>10} {:>6}",
            "a second",
            "hub",
            "adapter",
            "sink",
            "hub µs",
            "store µs",
            "idle p50",
            "idle p99",
            "beside p50",
            "beside p99",
            "ratio"
        );
        for protocol in [Protocol::Smtp, Protocol::WhatsApp] {
            measure(protocol, messages, runs).await;
        }
    });
}

async fn measure(protocol: Protocol, messages: usize, runs: usize) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("bench.db");
    let roles = [("admin", 1), ("client", 1), ("student", messages)];
    let all = accounts(&database, &roles).await;
    let [admin, client, students] = <[Vec<Account>; 3]>::try_from(all).unwrap();
    let sink = Sink::start(protocol).await;
    let (mut rates, mut costs, mut store_costs) = (Vec::new(), Vec::new(), Vec::new());
    give_addresses(&database, &students).await;
    for _ in 0..runs {
        fill(&database, protocol, &admin[0]).await;
        sink.forget();
        let hub = start(&database, protocol, &sink);
        rates.push(drained(&sink, messages).await);
        sent(&hub, &database, messages * (rates.len())).await;
        let (all, store) = hub.cpu();
        costs.push(all.as_secs_f64() * 1e6 / messages as f64);
        store_costs.push(store.as_secs_f64() * 1e6 / messages as f64);
    }
    let unstored = adapter::send(&sink, &message(&admin[0]), IN_FLIGHT, messages).await;
    let bare = sink.hammer(IN_FLIGHT, messages).await;
    fill(&database, protocol, &admin[0]).await;
    sink.forget();
    let hub = start(&database, protocol, &sink);
    let taken = sink.clone();
    let is_over = move || taken.count() >= messages;
    let beside = tickets(&hub, &admin[0], &client[0], is_over).await;
    sent(&hub, &database, messages * (runs + 1)).await;
    let begun = Instant::now();
    let is_over = move || begun.elapsed() >= Duration::from_secs(3);
    let idle = tickets(&hub, &admin[0], &client[0], is_over).await;
    let ms = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "{:>9} {:>9.0} {unstored:>9.0} {bare:>9.0} {:>7.0} {:>8.0} {:>9.2} {:>9.2} {:>10.2} \
         {:>10.2} {:>6.2}",
        protocol.name(),
        median(rates),
        median(costs),
        median(store_costs),
        ms(&idle, 0.5),
        ms(&idle, 0.99),
        ms(&beside, 0.5),
        ms(&beside, 0.99),
        ms(&beside, 0.99) / ms(&idle, 0.99),
    );
}

fn channel(protocol: Protocol) -> Channel {
    match protocol {
        Protocol::Smtp => Channel::Email,
        Protocol::WhatsApp => Channel::WhatsApp,
    }
}

fn start(database: &Path, protocol: Protocol, sink: &Sink) -> Hub {
    let in_flight = IN_FLIGHT.to_string();
    let url = sink.url();
    let mut settings = vec![("BELLPULL_DELIVERY_IN_FLIGHT", in_flight.as_str())];
    match protocol {
        Protocol::Smtp => settings.extend([
            ("BELLPULL_SMTP_URL", url.as_str()),
            ("BELLPULL_SMTP_FROM", "Desk <desk@example.com>"),
        ]),
        Protocol::WhatsApp => settings.extend([
            ("BELLPULL_WHATSAPP_API_URL", url.as_str()),
            ("BELLPULL_WHATSAPP_TOKEN", "token"),
            ("BELLPULL_WHATSAPP_PHONE_NUMBER_ID", "1"),
            // Meta's own limit is the default.
            ("BELLPULL_WHATSAPP_PER_S", "0"),
        ]),
    }
    Hub::start_with(database, &settings)
}

async fn open(database: &Path, channels: Channels) -> Arc<dyn Store> {
    let url = format!("sqlite://{}", database.display());
    storage::open(&url, StoreOptions { channels, ..StoreOptions::default() }).await.unwrap()
}

async fn give_addresses(database: &Path, accounts: &[Account]) {
    let store = open(database, Channels::NONE).await;
    let change = |account: &Account| {
        let mut addresses = AddressChanges::email(format!("student{}@example.com", account.id));
        addresses.set(Channel::WhatsApp, format!("+4915{:08}", account.id));
        let changes = UserChanges { addresses, ..UserChanges::default() };
        let (store, id) = (&store, UserId(account.id));
        async move { store.update_user(id, changes).await.map(drop) }
    };
    let changes = futures_util::stream::iter(accounts.iter().map(change)).buffered(256);
    changes.try_collect::<()>().await.unwrap();
    store.close().await;
}

fn message(by: &Account) -> Message {
    let event = Event::from_name("maintenance");
    Message {
        kind: event.kind(),
        event,
        title: "Maintenance tonight".to_owned(),
        body: "The desk is closed from ten to eleven. Nothing is lost meanwhile.".to_owned(),
        action_url: "https://hub.example.com/status/".to_owned(),
        metadata: serde_json::Map::new(),
        ticket: None,
        sender: Some(UserId(by.id)),
        priority: Priority::Medium,
        created_at: Timestamp::now(),
    }
}

/// Queues a message to all of them.
async fn fill(database: &Path, protocol: Protocol, by: &Account) {
    let store = open(database, Channels::of(&[channel(protocol)])).await;
    let send = NewSend {
        message: message(by),
        recipients: Recipients::Role("student".parse().unwrap()),
        channels: Channels::of(&[Channel::System, channel(protocol)]),
        is_critical: false,
        due_at: None,
        key: None,
    };
    let now = Timestamp::now();
    let begun = store.begin_send(send, CHUNK, now).await.unwrap();
    let BeginSend::Begun { send, mut has_more, .. } = begun else { panic!("{begun:?}") };
    let owner = LeaseOwner::new("bench", now);
    while has_more {
        has_more = store.continue_send(&owner, send.id, CHUNK, now).await.unwrap().has_more;
    }
    store.close().await;
}

/// Messages per second, from the first to the last.
async fn drained(sink: &Sink, messages: usize) -> f64 {
    let first = sink.reached(1).await;
    let last = sink.reached(messages).await;
    (messages - 1) as f64 / (last - first).as_secs_f64()
}

/// Waits until all are recorded, stops the hub, and checks that no message arrived twice.
async fn sent(hub: &Hub, database: &Path, wanted: usize) {
    let store = open(database, Channels::NONE).await;
    let filter = DeliveryFilter { status: Some(DeliveryStatus::Sent), channel: None };
    let page = PageRequest { page: 1, page_size: 1 };
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.deliveries(filter, page).await.unwrap().count < wanted as i64 {
        assert!(Instant::now() < deadline, "not all are recorded ({} KiB)", hub.resident_kib());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.close().await;
}

/// Creates tickets one after the other; returns the times from request to frame, in µs. On a thread
/// of its own, so that it does not queue behind the provider's tasks.
async fn tickets(
    hub: &Hub,
    admin: &Account,
    client: &Account,
    is_over: impl Fn() -> bool + Send + 'static,
) -> Histogram<u64> {
    let (address, admin, client) = (hub.address, admin.clone(), client.clone());
    let raising = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(raise(address, &admin, &client, is_over))
    };
    tokio::task::spawn_blocking(raising).await.unwrap()
}

async fn raise(
    address: SocketAddr,
    admin: &Account,
    client: &Account,
    is_over: impl Fn() -> bool,
) -> Histogram<u64> {
    let mut socket = Listener::connect(address, 1, &admin.token).await;
    assert!(socket.next().await.is_some(), "the greeting");
    let patience = Duration::from_millis(200);
    while let Ok(Some(_)) = tokio::time::timeout(patience, socket.next()).await {}
    let mut rest = Rest::connect(address).await;
    let mut times = Histogram::new(3).unwrap();
    while !is_over() {
        let asked = Instant::now();
        let raise = rest.post(&client.token, "/api/tickets/", r#"{"title":"x"}"#);
        let (_, told) = tokio::join!(raise, async {
            let is_there = socket.next().await.is_some();
            (is_there, asked.elapsed())
        });
        assert!(told.0, "a frame for each ticket");
        times.record(told.1.as_micros() as u64).unwrap();
    }
    times
}
