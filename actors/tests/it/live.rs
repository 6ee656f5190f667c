//! What comes live: in any order, with doubles and losses, and each reader's own words.

use std::time::Duration;

use bellpull_actors::hub::HubLimits;
use bellpull_domain::ids::{Seq, UserId};
use bellpull_domain::inbox::{Change, Mark};
use bellpull_port::inbox::Selection;
use bellpull_port::outlet::{Ending, Revoked};
use bellpull_port::session::{Begin, Heard};
use bellpull_port::testing::{Frame, Mode, Op};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::{TestClient, TestNode, since, upto};

const USER: UserId = UserId(1);

/// A session that is live: it was shown the one notification that there was.
async fn live(node: &TestNode) -> TestClient {
    node.born(1, 1);
    let conn = node.attach(1, Begin::Undelivered).await;
    conn.probe.shown(1).await;
    conn
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_filled_by_the_late_hint_without_the_store() {
    let node = TestNode::new().await;
    let conn = live(&node).await;
    let reads = node.store.asked(Op::Entries);
    let mut hints = node.born(1, 3);
    let late = hints.remove(0);
    for hint in hints {
        node.hub.users.tell(USER, hint);
    }
    node.hub.users.tell(USER, late);
    assert_eq!(conn.probe.shown(4).await, upto(4));
    assert_eq!(node.store.asked(Op::Entries), reads);
}

#[tokio::test(start_paused = true)]
async fn a_lost_hint_is_read_from_the_store_after_a_moment() {
    let node = TestNode::new().await;
    let conn = live(&node).await;
    let lost = node.born(1, 2);
    drop(lost);
    let begun = Instant::now();
    node.tell(1);
    assert_eq!(conn.probe.shown(4).await, upto(4));
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_older_answer_of_the_store_that_comes_after_a_newer_one_leaves_no_gap() {
    let node = TestNode::new().await;
    node.born(1, 3);
    node.store.set(Op::Entries, Mode::Late(Duration::from_secs(1)));
    let older = node.attach(1, since(0)).await;
    node.store.until_asked(Op::Entries, 1).await;
    // By its answer the inbox is at three; by the other's, which is there first, at five.
    node.tell(1);
    node.tell(1);
    node.store.set(Op::Entries, Mode::Good);
    let newer = node.attach(1, since(0)).await;
    assert_eq!(newer.probe.shown(5).await, upto(5));
    node.tell(1);
    assert_eq!(newer.probe.shown(6).await, upto(6));
    assert_eq!(older.probe.shown(6).await, upto(6));
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_read_again_until_the_store_answers() {
    let node = TestNode::new().await;
    let conn = live(&node).await;
    for mode in [Mode::Fail, Mode::Hang] {
        node.store.set(Op::Entries, mode);
        node.born(1, 1);
        node.tell(1);
        let asked = node.store.asked(Op::Entries);
        node.store.until_asked(Op::Entries, asked + 3).await;
        node.store.set(Op::Entries, Mode::Good);
        let last = node.store.head_now(USER).last_seq.0;
        assert_eq!(conn.probe.shown(last).await, upto(last));
    }
}

#[tokio::test(start_paused = true)]
async fn doubled_and_disordered_hints_are_shown_once_in_order() {
    let node = TestNode::new().await;
    let conn = live(&node).await;
    let hints = node.born(1, 6);
    for n in [3, 3, 0, 5, 1, 0, 2, 5, 4, 4] {
        node.hub.users.tell(USER, hints[n].clone());
    }
    node.tell(1);
    assert_eq!(conn.probe.shown(8).await, upto(8));
}

#[tokio::test(start_paused = true)]
async fn a_silently_lost_hint_is_found_within_half_a_minute() {
    let node = TestNode::new().await;
    let conn = live(&node).await;
    drop(node.born(1, 700));
    let begun = Instant::now();
    assert_eq!(conn.probe.shown(701).await, upto(701), "more than a page of them");
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_knows_less_than_was_heard_of_is_not_asked_without_end() {
    let node = TestNode::new().await;
    let conn = live(&node).await;
    let hints = node.born(1, 1);
    // The numbers 3 to 9 never were: another store's hint.
    let Change::Added { mut entry, unread_count } = hints[0].clone() else { panic!() };
    entry.seq = Seq(10);
    node.hub.users.tell(USER, Change::Added { entry, unread_count });
    conn.probe.shown(2).await;
    let asked = node.store.asked(Op::Entries);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = node.store.asked(Op::Entries) - asked;
    assert!(asked <= 12, "{asked} times in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn marks_are_shown_in_their_place_even_when_a_gap_before_them_is_filled() {
    let node = TestNode::new().await;
    let conn = live(&node).await;
    drop(node.born(1, 1));
    let users = &node.hub.users;
    let now = jiff::Timestamp::UNIX_EPOCH;
    let all = Selection::all();
    assert_eq!(users.mark(USER, all.clone(), Mark::Read, now).await.unwrap(), 2);
    let head = node.store.head_now(USER);
    assert_eq!((head.last_seq, head.unread_count), (Seq(4), 0));
    assert_eq!(users.mark(USER, all, Mark::Read, now).await.unwrap(), 0);
    node.tell(1);
    conn.probe.shown(5).await;
    // What is read of a gap is shown at its place: births at theirs, known rows at their change.
    let is_so = |frame: &Frame| {
        if let Frame::Row { changed_seq, is_read, is_news: false, .. } = frame {
            return Some((changed_seq.0, *is_read));
        }
        let Frame::Notification { seq, is_read, .. } = frame else { return None };
        Some((seq.0, *is_read))
    };
    let shown: Vec<_> = conn.probe.seen().frames[1..].iter().filter_map(is_so).collect();
    assert_eq!(shown, [(1, false), (2, true), (3, true), (5, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_told_although_its_caller_goes_away() {
    let node = TestNode::new().await;
    let conn = live(&node).await;
    node.store.set(Op::Mark, Mode::Hang);
    let all = Selection::all();
    let users = node.hub.users.clone();
    let caller = tokio::spawn(async move {
        users.mark(USER, all, Mark::Read, jiff::Timestamp::UNIX_EPOCH).await
    });
    node.store.until_asked(Op::Mark, 1).await;
    caller.abort();
    node.store.set(Op::Mark, Mode::Good);
    conn.probe.until(|seen| matches!(seen.frames.last(), Some(Frame::Marked(..)))).await;
}

#[tokio::test(start_paused = true)]
async fn changes_that_wait_together_leave_in_one_flush() {
    let node = TestNode::new().await;
    let conn = live(&node).await;
    let before = conn.probe.seen().flushes;
    // Nothing yields here, so all of them are in the mailbox before the first is handled.
    for hint in node.born(1, 40) {
        node.hub.users.tell(USER, hint);
    }
    assert_eq!(conn.probe.shown(41).await, upto(41));
    assert_eq!(conn.probe.seen().flushes, before + 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_flushed_goes_out_before_the_end() {
    let node = TestNode::new().await;
    let conn = live(&node).await;
    node.tell(1);
    node.hub.users.end_sessions(USER, None, Revoked::Right);
    assert_eq!(conn.probe.ended().await, Ending::RightWithdrawn);
    assert_eq!(conn.probe.numbers(), upto(2));
    node.until_listed("user/1", false).await;
    assert_eq!(node.delivered(1), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_is_answered_to_that_client() {
    let node = TestNode::new().await;
    let (conn, other) = (live(&node).await, node.attach(1, Begin::Live).await);
    let timestamp = RawValue::from_string("17.5".to_owned()).unwrap();
    conn.session.heard(Heard::Ping(Some(timestamp)));
    conn.session.heard(Heard::Ping(None));
    let message = "what?".to_owned();
    conn.session.heard(Heard::Bad { tag: None, code: "unknown_type", message });
    conn.session.heard(Heard::ProtocolPing(b"hi".as_slice().into()));
    let answers = [
        Frame::Pong(Some("17.5".to_owned())),
        Frame::Pong(None),
        Frame::Error("unknown_type"),
        Frame::ProtocolPong(b"hi".to_vec()),
    ];
    conn.probe.until(|seen| seen.frames.ends_with(&answers)).await;
    other.probe.until(|seen| seen.frames == [Frame::Established(USER)]).await;
}

#[tokio::test(start_paused = true)]
async fn the_delivered_position_is_saved_every_few_seconds_and_with_the_last_session() {
    let node = TestNode::new().await;
    let conn = live(&node).await;
    node.tell(1);
    conn.probe.shown(2).await;
    let begun = Instant::now();
    crate::until("2 is saved", || node.delivered(1) == 2).await;
    assert!(begun.elapsed() <= Duration::from_secs(12), "{:?}", begun.elapsed());
    // Not saved by the wheel: the store was away, and comes back for the last session's end.
    node.store.set(Op::Save, Mode::Fail);
    node.tell(1);
    conn.probe.shown(3).await;
    let asked = node.store.asked(Op::Save);
    node.store.until_asked(Op::Save, asked + 1).await;
    let second = node.attach(1, Begin::Undelivered).await;
    second.probe.until(|seen| !seen.frames.is_empty()).await;
    node.store.set(Op::Save, Mode::Good);
    node.hub.users.end_sessions(USER, None, Revoked::Right);
    crate::until("3 is saved", || node.delivered(1) == 3).await;
    assert_eq!(second.probe.numbers(), Vec::<i64>::new());
}

#[tokio::test(start_paused = true)]
async fn an_actor_does_not_leave_before_what_was_delivered_is_saved() {
    let limits = HubLimits { save_delivered_every: Duration::from_secs(2), ..Default::default() };
    let node = TestNode::with(limits).await;
    let conn = live(&node).await;
    node.store.set(Op::Save, Mode::Fail);
    node.hub.users.end_sessions(USER, None, Revoked::Right);
    conn.probe.ended().await;
    node.store.until_asked(Op::Save, 4).await;
    assert!(node.find("user/1").await.is_some());
    node.store.set(Op::Save, Mode::Good);
    node.until_listed("user/1", false).await;
    assert_eq!(node.delivered(1), 1);
}
