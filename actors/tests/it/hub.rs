//! The whole hub: draining, small limits, and many tickets with many watchers.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::directory::AttachError;
use bellpull_actors::hub::HubLimits;
use bellpull_domain::ticket::Command;
use bellpull_domain::user::Role;
use bellpull_port::outlet::{Ending, Revoked};
use bellpull_port::retention::Retention;
use bellpull_port::session::Begin;
use bellpull_port::testing::{Mode, Op};
use jiff::SignedDuration;
use tokio::time::Instant;

use crate::{TestNode, until, upto};

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn a_drain_ends_every_session_spreads_their_return_saves_and_stops() {
    let node = TestNode::new().await;
    let mut guests = Vec::new();
    for user in 1..=300 {
        node.born(user, 2);
        guests.push(node.attach(user, Begin::Undelivered).await);
    }
    for conn in &guests {
        conn.probe.shown(2).await;
    }
    let late = node.born(300, 1);
    node.hub.users.tell(bellpull_domain::ids::UserId(300), late[0].clone());
    node.hub.drain(Duration::from_secs(30)).await;
    let mut waits = Vec::new();
    for conn in &guests {
        let Ending::Restarting { retry_after_ms } = conn.probe.ended().await else { panic!() };
        waits.push(retry_after_ms);
    }
    waits.sort_unstable();
    waits.dedup();
    assert_eq!(waits.len(), 300, "each has its own time to come back");
    assert!(waits.iter().all(|wait| *wait < 30_000));
    assert!((1..300).all(|user| node.delivered(user) == 2));
    assert_eq!((node.delivered(300), guests[299].probe.numbers()), (3, upto(3)));
    assert_eq!(node.hub.users.sessions(), 0);
    assert!(!node.hub.is_ready());
    assert!(node.hub.tree(1).await.is_err());
    let (attached, probe) = node.try_attach(1, Begin::Live, None, LONG).await;
    assert_eq!(attached.unwrap_err(), AttachError::Unavailable);
    assert!(matches!(probe.ended().await, Ending::Restarting { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_store_that_hangs_and_opens_no_session_meanwhile() {
    let node = Arc::new(TestNode::new().await);
    let mut guests = Vec::new();
    for user in 1..=600 {
        node.born(user, 1);
        let conn = node.attach(user, Begin::Undelivered).await;
        conn.probe.shown(1).await;
        guests.push(conn);
    }
    node.store.set(Op::Save, Mode::Hang);
    let begun = Instant::now();
    let hub = node.hub.clone();
    let drain = tokio::spawn(async move { hub.drain(Duration::from_secs(10)).await });
    guests[0].probe.ended().await;
    let asked = Instant::now();
    for user in [1, 700] {
        let (attached, probe) = node.try_attach(user, Begin::Live, None, LONG).await;
        assert_eq!(attached.unwrap_err(), AttachError::Unavailable);
        assert!(matches!(probe.ended().await, Ending::Restarting { .. }));
    }
    assert!(asked.elapsed() < Duration::from_millis(100));
    drain.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    for conn in &guests {
        assert!(matches!(conn.probe.ended().await, Ending::Restarting { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_hold_up_the_ends_of_later_batches() {
    let node = TestNode::new().await;
    let mut guests = Vec::new();
    for user in 1..=600 {
        node.born(user, 1);
        let conn = node.attach(user, Begin::Undelivered).await;
        conn.probe.shown(1).await;
        guests.push(conn);
    }
    node.store.set(Op::Save, Mode::Delay(Duration::from_secs(1)));
    node.hub.drain(Duration::MAX).await;
    for (user, conn) in (1..).zip(&guests) {
        assert!(matches!(conn.probe.ended().await, Ending::Restarting { .. }));
        assert_eq!(node.delivered(user), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_of_nothing_stop_nothing() {
    let limits = HubLimits {
        replay_max: 0,
        sessions_per_user_max: 1,
        ping_after: Duration::ZERO,
        silent_max: Duration::ZERO,
        passivate_after: Duration::ZERO,
        save_delivered_every: Duration::ZERO,
        unsent_bytes_max: 64 << 20,
        retention: Retention {
            tombstones: Some(SignedDuration::ZERO),
            deliveries: Some(SignedDuration::ZERO),
            audit: None,
            logins: None,
            keys: SignedDuration::ZERO,
        },
    };
    let node = TestNode::with(limits).await;
    let (creator, admin) = (node.caller(1), node.store.add_user(2, Role::Admin));
    let conn = node.attach(1, Begin::Undelivered).await;
    let id = node.raise(&creator).await.id;
    node.command(id, Command::Open, &admin).await.unwrap();
    assert_eq!(conn.probe.shown(1).await, [1]);
    node.until_listed("ticket/1", false).await;
    node.hub.users.end_sessions(creator.id, None, Revoked::Right);
    node.until_listed("user/1", false).await;
}

/// 50 tickets take 20 commands each, all at once, while 20 people watch.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_watcher_of_a_thousand_commands_is_shown_all_of_them_in_order() {
    let node = Arc::new(TestNode::new().await);
    let creator = node.caller(1);
    let admin = node.store.add_user(2, Role::Admin);
    let developer = node.store.add_user(3, Role::Developer);
    let mut watchers = Vec::new();
    for user in 101..=120 {
        let _ = node.store.add_user(user, Role::Admin);
        watchers.push(node.attach(user, Begin::Undelivered).await);
    }
    let developers = vec![node.store.user_row(developer.id).unwrap()];
    let tickets = (0..50).map(|_| {
        let (node, creator, admin) = (Arc::clone(&node), creator.clone(), admin.clone());
        let (developer, developers) = (developer.clone(), developers.clone());
        tokio::spawn(async move {
            let id = node.raise(&creator).await.id;
            node.command(id, Command::Open, &admin).await.unwrap();
            node.command(id, Command::Assign { developers }, &admin).await.unwrap();
            for _ in 0..6 {
                node.command(id, Command::StartWork, &developer).await.unwrap();
                node.command(id, Command::FinishWork, &developer).await.unwrap();
                let reject = Command::Reject { reason: String::new() };
                node.command(id, reject, &creator).await.unwrap();
            }
        })
    });
    for ticket in tickets.collect::<Vec<_>>() {
        ticket.await.unwrap();
    }
    // Each ticket told admins of its creation, six ends of work and six rejections.
    for watcher in &watchers {
        assert_eq!(watcher.probe.shown(650).await, upto(650));
    }
    node.hub.drain(Duration::from_secs(1)).await;
    until("all are saved", || (101..=120).all(|user| node.delivered(user) == 650)).await;
}
