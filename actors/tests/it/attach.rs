//! How a session begins: the greeting, the backlog, and what comes live after it.

use std::time::Duration;

use bellpull_actors::directory::AttachError;
use bellpull_actors::hub::HubLimits;
use bellpull_domain::ids::UserId;
use bellpull_port::outlet::{Ending, Revoked};
use bellpull_port::session::Begin;
use bellpull_port::testing::{Frame, Mode, Op};
use tokio::sync::broadcast::error::TryRecvError;

use crate::{TestNode, since, until, upto};

#[tokio::test(start_paused = true)]
async fn the_greeting_is_first_then_the_backlog_oldest_first_then_what_comes_live() {
    let node = TestNode::new().await;
    node.born(1, 3);
    let conn = node.attach(1, Begin::Undelivered).await;
    conn.probe.shown(3).await;
    node.tell(1);
    assert_eq!(conn.probe.shown(4).await, upto(4));
    assert_eq!(conn.probe.seen().frames[0], Frame::Established(UserId(1)));
    assert_eq!(node.hub.users.sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn since_takes_up_at_any_point_and_one_ahead_of_the_store_says_nothing() {
    let node = TestNode::new().await;
    node.born(1, 5);
    node.store.set_delivered(UserId(1), 3);
    for (begin, wanted) in [
        (since(0), vec![1, 2, 3, 4, 5, 6]),
        (since(2), vec![3, 4, 5, 6]),
        (since(5), vec![6]),
        (since(77), vec![4, 5, 6]),
        (Begin::Undelivered, vec![4, 5, 6]),
        (Begin::Live, vec![6]),
    ] {
        let node = TestNode::new().await;
        node.born(1, 5);
        node.store.set_delivered(UserId(1), 3);
        let conn = node.attach(1, begin).await;
        // Whatever it was shown is read by now: a later session's backlog came too.
        let other = node.attach(1, since(4)).await;
        other.probe.shown(5).await;
        node.tell(1);
        assert_eq!(conn.probe.shown(6).await, wanted, "{begin:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_session_does_not_swallow_what_was_never_delivered() {
    let node = TestNode::new().await;
    node.born(1, 3);
    let live = node.attach(1, Begin::Live).await;
    live.probe.until(|seen| !seen.frames.is_empty()).await;
    node.store.until_asked(Op::Head, 1).await;
    node.tell(1);
    assert_eq!(live.probe.shown(4).await, [4]);
    node.hub.users.end_sessions(UserId(1), None, Revoked::Right);
    assert_eq!(live.probe.ended().await, Ending::RightWithdrawn);
    node.until_listed("user/1", false).await;
    assert_eq!(node.delivered(1), 0);
    let conn = node.attach(1, Begin::Undelivered).await;
    assert_eq!(conn.probe.shown(4).await, upto(4));
}

#[tokio::test(start_paused = true)]
async fn who_wants_only_what_is_to_come_is_told_all_of_it_from_the_greeting_on() {
    let node = TestNode::new().await;
    node.born(1, 3);
    node.store.set(Op::Head, Mode::Hang);
    let live = node.attach(1, Begin::Live).await;
    node.store.until_asked(Op::Head, 1).await;
    // It is not known yet where it begins: what is born now comes before its greeting.
    node.tell(1);
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(live.probe.seen().frames, []);
    node.store.set(Op::Head, Mode::Good);
    live.probe.until(|seen| !seen.frames.is_empty()).await;
    assert_eq!(live.probe.seen().frames[0], Frame::Established(UserId(1)));
    node.tell(1);
    assert_eq!(live.probe.shown(5).await, [5]);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_over_the_limit_loses_its_oldest_and_says_how_many() {
    let node = TestNode::with(HubLimits { replay_max: 4, ..HubLimits::default() }).await;
    node.born(1, 10);
    let conn = node.attach(1, Begin::Undelivered).await;
    assert_eq!(conn.probe.shown(10).await, [7, 8, 9, 10]);
    assert_eq!(conn.probe.seen().frames[1], Frame::Truncated(6));
}

#[tokio::test(start_paused = true)]
async fn all_sessions_of_a_user_are_shown_everything() {
    let node = TestNode::new().await;
    node.born(1, 2);
    let first = node.attach(1, since(0)).await;
    let second = node.attach(1, since(1)).await;
    let third = node.attach(1, Begin::Live).await;
    second.probe.shown(2).await;
    node.store.until_asked(Op::Head, 3).await;
    tokio::task::yield_now().await;
    node.tell(1);
    assert_eq!(first.probe.shown(3).await, [1, 2, 3]);
    assert_eq!(second.probe.shown(3).await, [2, 3]);
    assert_eq!(third.probe.shown(3).await, [3]);
    assert_eq!(node.hub.users.sessions(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_session_too_many_is_turned_away_and_the_others_stay() {
    let node = TestNode::with(HubLimits { sessions_per_user_max: 2, ..HubLimits::default() }).await;
    let first = node.attach(1, Begin::Undelivered).await;
    let _second = node.attach(1, Begin::Undelivered).await;
    let (third, probe) =
        node.try_attach(1, Begin::Undelivered, None, Duration::from_secs(60)).await;
    assert_eq!(third.unwrap_err(), AttachError::TooMany);
    assert!(matches!(probe.ended().await, Ending::TooMany { .. }));
    node.tell(1);
    assert_eq!(first.probe.shown(1).await, [1]);
    assert_eq!(node.hub.users.sessions(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_second_session_without_since_gets_nothing_that_the_first_has_received() {
    let node = TestNode::new().await;
    node.born(1, 3);
    let first = node.attach(1, Begin::Undelivered).await;
    first.probe.shown(3).await;
    node.tell(1);
    first.probe.shown(4).await;
    until("a sign of life confirms it", || node.delivered(1) == 4).await;
    let second = node.attach(1, Begin::Undelivered).await;
    node.store.until_asked(Op::Head, 2).await;
    node.tell(1);
    assert_eq!(second.probe.shown(5).await, [5]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_or_hangs_sends_the_session_back() {
    for mode in [Mode::Fail, Mode::Hang] {
        let node = TestNode::new().await;
        node.store.set(Op::Head, mode);
        let conn = node.attach(1, Begin::Undelivered).await;
        assert!(matches!(conn.probe.ended().await, Ending::Restarting { .. }), "{mode:?}");
        node.store.set(Op::Head, Mode::Good);
        node.born(1, 1);
        let conn = node.attach(1, Begin::Undelivered).await;
        assert_eq!(conn.probe.shown(1).await, [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_without_sessions_leaves_and_the_next_session_gets_a_new_one() {
    let node = TestNode::new().await;
    let first = node.attach(1, Begin::Undelivered).await;
    node.until_listed("user/1", true).await;
    node.hub.users.end_sessions(UserId(1), None, Revoked::Right);
    first.probe.ended().await;
    node.until_listed("user/1", false).await;
    assert_eq!(node.hub.users.sessions(), 0);
    let second = node.attach(1, Begin::Undelivered).await;
    node.tell(1);
    assert_eq!(second.probe.shown(1).await, [1]);
}

/// Sessions come and go around the moment in which the actor leaves: on several threads, in real
/// time, with a wheel that turns as fast as it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_attach_that_races_the_leaving_of_an_idle_actor_is_never_lost() {
    let limits = HubLimits {
        ping_after: Duration::from_millis(50),
        silent_max: Duration::from_secs(60),
        save_delivered_every: Duration::ZERO,
        ..HubLimits::default()
    };
    let node = std::sync::Arc::new(TestNode::with(limits).await);
    let mut events = node.hub.events(None).live;
    let users = (1..=8).map(|user| {
        let node = std::sync::Arc::clone(&node);
        tokio::spawn(async move {
            for round in 1..=150 {
                node.tell(user);
                let conn = node.attach(user, since(round - 1)).await;
                assert_eq!(conn.probe.shown(round).await, [round]);
                node.hub.users.end_sessions(UserId(user), None, Revoked::Right);
                conn.probe.ended().await;
                // Around the turn of the wheel (10 ms), the first and the second.
                let pause = u64::try_from((round * 7 + user) % 26).unwrap();
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        })
    });
    for user in users.collect::<Vec<_>>() {
        user.await.unwrap();
    }
    let (mut left, mut is_more) = (0, true);
    while is_more {
        match events.try_recv() {
            Ok(event) => left += i32::from(event.what == "stopped"),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => is_more = false,
        }
    }
    assert!(left > 50, "only {left} of the last actors left: the race was not run");
    until("all sessions are counted off", || node.hub.users.sessions() == 0).await;
}
