//! How sessions end: silence, tokens, logins, readers, and the death of their actor.

use std::time::Duration;

use bellpull_domain::ids::{LoginId, UserId};
use bellpull_port::outlet::{Ending, Revoked, TokenEnd};
use bellpull_port::session::{Begin, Heard};
use bellpull_port::testing::Frame;
use jiff::SignedDuration;
use tokio::time::Instant;

use crate::{TestNode, upto};

const USER: UserId = UserId(1);

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_pinged_and_one_that_stays_silent_is_given_up() {
    let node = TestNode::new().await;
    let conn = node.attach(1, Begin::Undelivered).await;
    let pings = |frames: &[Frame]| frames.iter().filter(|frame| **frame == Frame::Ping).count();
    conn.probe.set(|seen| seen.silent_s = 25);
    conn.probe.until(|seen| pings(&seen.frames) == 1).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(pings(&conn.probe.seen().frames), 1, "one ping a silence of 25 s");
    conn.probe.set(|seen| seen.silent_s = 51);
    conn.probe.until(|seen| pings(&seen.frames) == 2).await;
    conn.probe.set(|seen| seen.silent_s = 0);
    tokio::time::sleep(Duration::from_secs(20)).await;
    conn.probe.set(|seen| seen.silent_s = 26);
    conn.probe.until(|seen| pings(&seen.frames) == 3).await;
    conn.probe.set(|seen| seen.silent_s = 75);
    assert_eq!(conn.probe.ended().await, Ending::Silent);
    node.until_listed("user/1", false).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_token_to_the_second() {
    let node = TestNode::new().await;
    for lasts in [0, 3, 59, 3_601] {
        let begun = Instant::now();
        let lasts = Duration::from_secs(lasts);
        let (session, probe) = node.try_attach(1, Begin::Undelivered, None, lasts).await;
        session.unwrap();
        // Longer than a probe waits: the wheel goes round meanwhile.
        tokio::time::sleep(lasts.saturating_sub(Duration::from_secs(30))).await;
        assert!(matches!(probe.ended().await, Ending::TokenEnded(_)));
        let lasted = begun.elapsed();
        assert!(lasted >= lasts && lasted < lasts + Duration::from_secs(2), "{lasted:?}");
    }
    let (session, probe) =
        node.try_attach(1, Begin::Undelivered, None, Duration::from_secs(86_400)).await;
    session.unwrap();
    node.clock.set(jiff::Timestamp::UNIX_EPOCH + SignedDuration::from_hours(100));
    assert!(matches!(probe.ended().await, Ending::TokenEnded(_)), "the clock was put on");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_ends_takes_its_own_sessions_with_it() {
    let node = TestNode::new().await;
    let day = Duration::from_secs(86_400);
    let (_a, first) = node.try_attach(1, Begin::Undelivered, Some(7), day).await;
    let (_b, second) = node.try_attach(1, Begin::Undelivered, Some(8), day).await;
    let (_c, third) = node.try_attach(1, Begin::Undelivered, Some(7), day).await;
    let (_d, foreign) = node.try_attach(1, Begin::Undelivered, None, day).await;
    let revoked = Revoked::Token(TokenEnd::LoggedOut);
    let why = Ending::from(revoked);
    node.hub.users.end_sessions(USER, Some(LoginId(7)), revoked);
    assert_eq!((first.ended().await, third.ended().await), (why, why));
    node.tell(1);
    second.shown(1).await;
    foreign.shown(1).await;
    node.hub.users.end_sessions(USER, None, revoked);
    assert_eq!((second.ended().await, foreign.ended().await), (why, why));
    node.hub.users.end_sessions(UserId(99), None, revoked);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_ends_ends_its_session_with_the_readers_reason() {
    let node = TestNode::new().await;
    let conn = node.attach(1, Begin::Undelivered).await;
    conn.session.heard(Heard::Ended(Ending::Protocol { code: 1002, reason: "bad" }));
    assert_eq!(conn.probe.ended().await, Ending::Protocol { code: 1002, reason: "bad" });
}

#[tokio::test(start_paused = true)]
async fn what_comes_behind_a_clients_own_end_is_kept_for_its_next_session() {
    let node = TestNode::new().await;
    let conn = node.attach(1, Begin::Undelivered).await;
    node.tell(1);
    assert_eq!(conn.probe.shown(1).await, [1]);
    // Both are in the mailbox before the actor has its turn.
    node.tell(1);
    conn.session.heard(Heard::Ended(Ending::Closed { code: 1000 }));
    conn.probe.ended().await;
    let again = node.attach(1, Begin::Undelivered).await;
    assert_eq!(again.probe.shown(2).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn sessions_of_an_actor_that_dies_are_told_to_come_back_and_lose_nothing() {
    for is_panic in [true, false] {
        let node = TestNode::new().await;
        let conn = node.attach(1, Begin::Undelivered).await;
        node.tell(1);
        conn.probe.shown(1).await;
        if is_panic {
            node.hub.panic_at("user/1");
        } else {
            node.hub.kill_at("user/1").await.unwrap();
        }
        assert!(matches!(conn.probe.ended().await, Ending::Restarting { .. }));
        node.tell(1);
        let again = node.attach(1, Begin::Undelivered).await;
        assert_eq!(again.probe.shown(2).await, upto(2));
        crate::until("one session is left", || node.hub.users.sessions() == 1).await;
    }
}
