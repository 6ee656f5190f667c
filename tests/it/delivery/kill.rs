//! `kill -9` with a thousand in flight: after the next start each is sent, and what goes out twice
//! is the same message.

use std::collections::BTreeMap;
use std::path::Path;

use bellpull::storage::{self, StoreOptions};
use bellpull_domain::address::Addresses;
use bellpull_domain::event::Event;
use bellpull_domain::notification::Message;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::{NewSend, Recipients};
use bellpull_domain::ticket::Priority;
use bellpull_domain::user::Origin;
use bellpull_port::accounts::NewUser;
use bellpull_port::sends::BeginSend;
use jiff::Timestamp;

use super::sink::Sink;
use super::{Colleague, until};
use crate::support::process::{Process, folder};

/// How many e-mails there are.
const MAILS: usize = 1_000;
/// How many are with the server at once.
const IN_FLIGHT: usize = 1_000;
/// How often the hub is killed.
const KILLS: usize = 3;

/// Queues a mail to each of so many people before any hub runs: so all of them are due at once.
async fn queue(database: &Path) {
    let channels = Channels::of(&[Channel::Email]);
    let options = StoreOptions { channels, ..StoreOptions::default() };
    let store = storage::open(&format!("sqlite://{}", database.display()), options).await;
    let store = store.unwrap();
    let create = |n: usize| {
        let new = NewUser {
            id: None,
            origin: Origin::Hub,
            username: format!("student{n}"),
            addresses: Addresses::email(format!("student{n}@example.com")),
            full_name: String::new(),
            role: "student".parse().unwrap(),
            is_email_verified: true,
            password_hash: None,
            now: Timestamp::now(),
        };
        store.create_user(new, None)
    };
    futures_util::future::try_join_all((0..MAILS).map(create)).await.unwrap();
    let event = Event::from_name("general");
    let message = Message {
        kind: event.kind(),
        event,
        title: "To all".to_owned(),
        body: "x".to_owned(),
        action_url: String::new(),
        metadata: serde_json::Map::new(),
        ticket: None,
        sender: None,
        priority: Priority::Medium,
        created_at: Timestamp::now(),
    };
    let send = NewSend {
        message,
        recipients: Recipients::Role("student".parse().unwrap()),
        channels: Channels::of(&[Channel::System, Channel::Email]),
        is_critical: false,
        due_at: None,
        key: None,
    };
    let all = u32::try_from(MAILS).unwrap();
    let begun = store.begin_send(send, all, Timestamp::now()).await.unwrap();
    assert!(matches!(begun, BeginSend::Begun { has_more: false, .. }), "{begun:?}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kills_every_mail_is_sent_and_repeats_are_the_same_message() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    queue(&database).await;
    let root = Colleague::join(&database, "root", "super_admin", "");
    let url = sink.url();
    let in_flight = IN_FLIGHT.to_string();
    let serve = || {
        Process::serve(
            &database,
            &[
                ("BELLPULL_SMTP_URL", &url),
                ("BELLPULL_SMTP_FROM", "desk@example.com"),
                ("BELLPULL_RETRY_BASE_MS", "50"),
                ("BELLPULL_DELIVERY_IN_FLIGHT", &in_flight),
            ],
        )
    };
    // No attempt is answered, so the first kill finds all of them in flight.
    sink.be("hang").await;
    let hub = serve();
    let at = hub.address;
    let busy = async || root.channel(at, "email").await["observed"]["in_flight"] == IN_FLIGHT;
    until("all are in flight", busy).await;
    hub.kill();
    sink.be("ok").await;
    for kill in 1..KILLS {
        let hub = serve();
        let at = hub.address;
        let some = i64::try_from(kill * MAILS / (KILLS + 1)).unwrap();
        until("some are sent", async || root.count(at, "EMAIL", "SENT").await > some).await;
        hub.kill();
    }
    let hub = serve();
    let at = hub.address;
    let all = i64::try_from(MAILS).unwrap();
    until("all are sent", async || root.count(at, "EMAIL", "SENT").await == all).await;

    let mut times: BTreeMap<(String, String), usize> = BTreeMap::new();
    for mail in sink.rest().await {
        *times.entry((mail.header("Message-ID"), mail.to.clone())).or_default() += 1;
    }
    // A message's id names its recipient: no two mails share one, and a repeat has its first's.
    assert_eq!(times.len(), MAILS);
    let again: usize = times.values().map(|times| times - 1).sum();
    println!("{again} of {MAILS} went out again over {KILLS} kills");
    // The first kill finds none answered. Of each further one, only what was in flight.
    assert!(times.values().all(|times| *times <= KILLS), "{times:?}");
    assert!(hub.terminate().success());
}
