//! The whole hub: draining, small limits, and many tickets with many watchers.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::directory::AttachError;
use bellpull_actors::domain::ticket::Command;
use bellpull_actors::domain::user::Role;
use bellpull_actors::hub::HubLimits;
use bellpull_actors::port::outlet::Ending;
use bellpull_actors::session::Begin;
use bellpull_actors::testing::{Mode, Op};
use bellpull_actors::tidying::Retention;
use jiff::SignedDuration;
use tokio::time::Instant;

use crate::{House, until, upto};

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn a_drain_ends_every_session_spreads_their_return_saves_and_stops() {
    let house = House::new().await;
    let mut guests = Vec::new();
    for user in 1..=300 {
        house.born(user, 2);
        guests.push(house.attach(user, Begin::Undelivered).await);
    }
    for guest in &guests {
        guest.probe.shown(2).await;
    }
    let late = house.born(300, 1);
    house.hub.users.tell(bellpull_actors::domain::ids::UserId(300), late[0].clone());
    house.hub.drain(Duration::from_secs(30)).await;
    let mut waits = Vec::new();
    for guest in &guests {
        let Ending::Restarting { retry_after_ms } = guest.probe.ended().await else { panic!() };
        waits.push(retry_after_ms);
    }
    waits.sort_unstable();
    waits.dedup();
    assert_eq!(waits.len(), 300, "each has its own time to come back");
    assert!(waits.iter().all(|wait| *wait < 30_000));
    assert!((1..300).all(|user| house.delivered(user) == 2));
    assert_eq!((house.delivered(300), guests[299].probe.numbers()), (3, upto(3)));
    assert_eq!(house.hub.users.sessions(), 0);
    assert!(!house.hub.is_ready());
    assert!(house.hub.tree(1).await.is_err());
    let (attached, probe) = house.try_attach(1, Begin::Live, None, LONG).await;
    assert_eq!(attached.unwrap_err(), AttachError::Unavailable);
    assert!(matches!(probe.ended().await, Ending::Restarting { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_store_that_hangs_and_takes_nobody_in_meanwhile() {
    let house = Arc::new(House::new().await);
    let mut guests = Vec::new();
    for user in 1..=600 {
        house.born(user, 1);
        let guest = house.attach(user, Begin::Undelivered).await;
        guest.probe.shown(1).await;
        guests.push(guest);
    }
    house.store.set(Op::Save, Mode::Hang);
    let begun = Instant::now();
    let hub = house.hub.clone();
    let drain = tokio::spawn(async move { hub.drain(Duration::from_secs(10)).await });
    guests[0].probe.ended().await;
    let asked = Instant::now();
    for user in [1, 700] {
        let (attached, probe) = house.try_attach(user, Begin::Live, None, LONG).await;
        assert_eq!(attached.unwrap_err(), AttachError::Unavailable);
        assert!(matches!(probe.ended().await, Ending::Restarting { .. }));
    }
    assert!(asked.elapsed() < Duration::from_millis(100));
    drain.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    for guest in &guests {
        assert!(matches!(guest.probe.ended().await, Ending::Restarting { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_hold_up_the_ends_of_later_batches() {
    let house = House::new().await;
    let mut guests = Vec::new();
    for user in 1..=600 {
        house.born(user, 1);
        let guest = house.attach(user, Begin::Undelivered).await;
        guest.probe.shown(1).await;
        guests.push(guest);
    }
    house.store.set(Op::Save, Mode::Delay(Duration::from_secs(1)));
    house.hub.drain(Duration::MAX).await;
    for (user, guest) in (1..).zip(&guests) {
        assert!(matches!(guest.probe.ended().await, Ending::Restarting { .. }));
        assert_eq!(house.delivered(user), 1);
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
            keys: SignedDuration::ZERO,
        },
    };
    let house = House::with(limits).await;
    let (creator, admin) = (house.caller(1), house.store.add_user(2, Role::Admin));
    let guest = house.attach(1, Begin::Undelivered).await;
    let id = house.raise(&creator).await.id;
    house.command(id, Command::Open, &admin).await.unwrap();
    assert_eq!(guest.probe.shown(1).await, [1]);
    house.until_listed("ticket/1", false).await;
    house.hub.users.end_sessions(creator.id, None, Ending::Silent);
    house.until_listed("user/1", false).await;
}

/// 50 tickets take 20 commands each, all at once, while 20 people watch.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_watcher_of_a_thousand_commands_is_shown_all_of_them_in_order() {
    let house = Arc::new(House::new().await);
    let creator = house.caller(1);
    let admin = house.store.add_user(2, Role::Admin);
    let developer = house.store.add_user(3, Role::Developer);
    let mut watchers = Vec::new();
    for user in 101..=120 {
        let _ = house.store.add_user(user, Role::Admin);
        watchers.push(house.attach(user, Begin::Undelivered).await);
    }
    let developers = vec![house.store.user_row(developer.id).unwrap()];
    let tickets = (0..50).map(|_| {
        let (house, creator, admin) = (Arc::clone(&house), creator.clone(), admin.clone());
        let (developer, developers) = (developer.clone(), developers.clone());
        tokio::spawn(async move {
            let id = house.raise(&creator).await.id;
            house.command(id, Command::Open, &admin).await.unwrap();
            house.command(id, Command::Assign { developers }, &admin).await.unwrap();
            for _ in 0..6 {
                house.command(id, Command::StartWork, &developer).await.unwrap();
                house.command(id, Command::FinishWork, &developer).await.unwrap();
                let reject = Command::Reject { reason: String::new() };
                house.command(id, reject, &creator).await.unwrap();
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
    house.hub.drain(Duration::from_secs(1)).await;
    until("all are saved", || (101..=120).all(|user| house.delivered(user) == 650)).await;
}
