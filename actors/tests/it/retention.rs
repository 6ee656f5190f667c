//! What is old is forgotten: by the hour, in small steps, and not while the hub stops.

use std::time::Duration;

use bellpull_actors::hub::HubLimits;
use bellpull_port::Clock;
use bellpull_port::retention::Old;
use bellpull_port::retention::Retention;
use bellpull_port::testing::{Mode, Op};
use jiff::SignedDuration;

use crate::{TestNode, until};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A hub that keeps tombstones for a day, and what else it keeps by itself.
async fn node() -> TestNode {
    let retention = Retention { tombstones: Some(DAY), ..Retention::default() };
    TestNode::with(HubLimits { retention, ..HubLimits::default() }).await
}

#[tokio::test(start_paused = true)]
async fn what_is_old_goes_in_small_steps_and_the_rest_stays() {
    let node = node().await;
    let now = node.clock.now();
    node.store.grow_old(Old::Tombstones, 1_000, now - DAY);
    node.store.grow_old(Old::Tombstones, 7, now);
    node.store.grow_old(Old::Deliveries, 3, now - DAY);
    tokio::time::sleep(Duration::from_secs(2 * 3_600)).await;
    assert_eq!((node.store.kept(Old::Tombstones), node.store.kept(Old::Deliveries)), (7, 3));
    assert!(node.store.asked(Op::Retain) >= 5, "1,000 are four steps, and one for the other kind");
    node.clock.set(now + DAY * 91);
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    assert_eq!((node.store.kept(Old::Tombstones), node.store.kept(Old::Deliveries)), (0, 0));
    let asked = node.store.asked(Op::Retain);
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    assert!(
        node.store.asked(Op::Retain) <= asked + Old::ALL.len(),
        "nothing to do: one look a kind an hour"
    );
}

#[tokio::test(start_paused = true)]
async fn words_of_another_version_are_renewed_at_the_start_and_once_an_hour() {
    let node = node().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    node.store.grow_old_words(1_000);
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    assert_eq!(node.store.old_words(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_ever_is_not_looked_at() {
    let keys = Retention::default().keys;
    let retention =
        Retention { tombstones: None, deliveries: None, audit: None, logins: None, keys };
    let node = TestNode::with(HubLimits { retention, ..HubLimits::default() }).await;
    node.store.grow_old(Old::Deliveries, 3, node.clock.now() - DAY * 10_000);
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!((node.store.asked(Op::Retain), node.store.kept(Old::Deliveries)), (0, 3));
    assert!(node.store.asked(Op::Forget) >= 20, "keys are forgotten all the same");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_asked_again_and_a_kill_changes_nothing() {
    let node = node().await;
    node.store.set(Op::Retain, Mode::Fail);
    node.store.grow_old(Old::Tombstones, 600, node.clock.now() - DAY);
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    assert_eq!(node.store.kept(Old::Tombstones), 600);
    node.store.set(Op::Retain, Mode::Hang);
    let asked = node.store.asked(Op::Retain);
    node.store.until_asked(Op::Retain, asked + 1).await;
    node.hub.kill_at("scheduler").await.unwrap();
    node.store.set(Op::Retain, Mode::Good);
    until("all is forgotten", || node.store.kept(Old::Tombstones) == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_stops_forgets_nothing_more() {
    let node = node().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    node.store.grow_old(Old::Deliveries, 2_000, node.clock.now() - DAY * 100);
    node.store.set(Op::Retain, Mode::Delay(Duration::from_millis(100)));
    let asked = node.store.asked(Op::Retain);
    node.store.until_asked(Op::Retain, asked + 2).await;
    node.hub.end_sessions(Duration::ZERO).await;
    let left = node.store.kept(Old::Deliveries);
    assert!(left > 1_000, "{left}");
    tokio::time::sleep(Duration::from_secs(3 * 3_600)).await;
    assert!(node.store.kept(Old::Deliveries) >= left - 512, "at most the step under way");
}
