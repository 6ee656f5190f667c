//! What is old is forgotten: by the hour, in small steps, and not while the hub stops.

use std::time::Duration;

use bellpull_actors::hub::HubLimits;
use bellpull_actors::port::Clock;
use bellpull_actors::port::retention::Old;
use bellpull_actors::testing::{Mode, Op};
use bellpull_actors::tidying::Retention;
use jiff::SignedDuration;

use crate::{House, until};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A hub that keeps tombstones for a day, and what else it keeps by itself.
async fn house() -> House {
    let retention = Retention { tombstones: Some(DAY), ..Retention::default() };
    House::with(HubLimits { retention, ..HubLimits::default() }).await
}

#[tokio::test(start_paused = true)]
async fn what_is_old_goes_in_small_steps_and_the_rest_stays() {
    let house = house().await;
    let now = house.clock.now();
    house.store.grow_old(Old::Tombstones, 1_000, now - DAY);
    house.store.grow_old(Old::Tombstones, 7, now);
    house.store.grow_old(Old::Deliveries, 3, now - DAY);
    tokio::time::sleep(Duration::from_secs(2 * 3_600)).await;
    assert_eq!((house.store.kept(Old::Tombstones), house.store.kept(Old::Deliveries)), (7, 3));
    assert!(house.store.asked(Op::Tidy) >= 5, "1,000 are four steps, and one for the other kind");
    house.clock.set(now + DAY * 91);
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    assert_eq!((house.store.kept(Old::Tombstones), house.store.kept(Old::Deliveries)), (0, 0));
    let asked = house.store.asked(Op::Tidy);
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    assert!(house.store.asked(Op::Tidy) <= asked + 4, "nothing to do: one look a kind an hour");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_ever_is_not_looked_at() {
    let retention = Retention { tombstones: None, deliveries: None, ..Retention::default() };
    let house = House::with(HubLimits { retention, ..HubLimits::default() }).await;
    house.store.grow_old(Old::Deliveries, 3, house.clock.now() - DAY * 10_000);
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!((house.store.asked(Op::Tidy), house.store.kept(Old::Deliveries)), (0, 3));
    assert!(house.store.asked(Op::Forget) >= 20, "keys are forgotten all the same");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_asked_again_and_a_kill_changes_nothing() {
    let house = house().await;
    house.store.set(Op::Tidy, Mode::Fail);
    house.store.grow_old(Old::Tombstones, 600, house.clock.now() - DAY);
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    assert_eq!(house.store.kept(Old::Tombstones), 600);
    house.store.set(Op::Tidy, Mode::Hang);
    let asked = house.store.asked(Op::Tidy);
    house.store.until_asked(Op::Tidy, asked + 1).await;
    house.hub.kill_at("scheduler").await.unwrap();
    house.store.set(Op::Tidy, Mode::Good);
    until("all is forgotten", || house.store.kept(Old::Tombstones) == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_stops_forgets_nothing_more() {
    let house = house().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    house.store.grow_old(Old::Deliveries, 2_000, house.clock.now() - DAY * 100);
    house.store.set(Op::Tidy, Mode::Delay(Duration::from_millis(100)));
    let asked = house.store.asked(Op::Tidy);
    house.store.until_asked(Op::Tidy, asked + 2).await;
    house.hub.end_sessions(Duration::ZERO).await;
    let left = house.store.kept(Old::Deliveries);
    assert!(left > 1_000, "{left}");
    tokio::time::sleep(Duration::from_secs(3 * 3_600)).await;
    assert!(house.store.kept(Old::Deliveries) >= left - 512, "at most the step under way");
}
