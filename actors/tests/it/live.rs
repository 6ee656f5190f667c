//! What comes live: in any order, with doubles and losses, and each reader's own words.

use std::time::Duration;

use bellpull_actors::domain::ids::{Seq, UserId};
use bellpull_actors::domain::inbox::{Change, Mark};
use bellpull_actors::hub::HubLimits;
use bellpull_actors::port::inbox::Selection;
use bellpull_actors::port::outlet::Ending;
use bellpull_actors::session::{Begin, Heard};
use bellpull_actors::testing::{Frame, Mode, Op};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::{Guest, House, since, upto};

const USER: UserId = UserId(1);

/// A session that is live: it was shown the one notification that there was.
async fn live(house: &House) -> Guest {
    house.born(1, 1);
    let guest = house.attach(1, Begin::Undelivered).await;
    guest.probe.shown(1).await;
    guest
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_filled_by_the_late_hint_without_the_store() {
    let house = House::new().await;
    let guest = live(&house).await;
    let reads = house.store.asked(Op::Births);
    let mut hints = house.born(1, 3);
    let late = hints.remove(0);
    for hint in hints {
        house.hub.users.tell(USER, hint);
    }
    house.hub.users.tell(USER, late);
    assert_eq!(guest.probe.shown(4).await, upto(4));
    assert_eq!(house.store.asked(Op::Births), reads);
}

#[tokio::test(start_paused = true)]
async fn a_lost_hint_is_read_from_the_store_after_a_moment() {
    let house = House::new().await;
    let guest = live(&house).await;
    let lost = house.born(1, 2);
    drop(lost);
    let begun = Instant::now();
    house.tell(1);
    assert_eq!(guest.probe.shown(4).await, upto(4));
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_older_answer_of_the_store_that_comes_after_a_newer_one_leaves_no_gap() {
    let house = House::new().await;
    house.born(1, 3);
    house.store.set(Op::Births, Mode::Late(Duration::from_secs(1)));
    let older = house.attach(1, since(0)).await;
    house.store.until_asked(Op::Births, 1).await;
    // By its answer the inbox is at three; by the other's, which is there first, at five.
    house.tell(1);
    house.tell(1);
    house.store.set(Op::Births, Mode::Good);
    let newer = house.attach(1, since(0)).await;
    assert_eq!(newer.probe.shown(5).await, upto(5));
    house.tell(1);
    assert_eq!(newer.probe.shown(6).await, upto(6));
    assert_eq!(older.probe.shown(6).await, upto(6));
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_read_again_until_the_store_answers() {
    let house = House::new().await;
    let guest = live(&house).await;
    for mode in [Mode::Fail, Mode::Hang] {
        house.store.set(Op::Births, mode);
        house.born(1, 1);
        house.tell(1);
        let asked = house.store.asked(Op::Births);
        house.store.until_asked(Op::Births, asked + 3).await;
        house.store.set(Op::Births, Mode::Good);
        let last = house.store.head_now(USER).last_seq.0;
        assert_eq!(guest.probe.shown(last).await, upto(last));
    }
}

#[tokio::test(start_paused = true)]
async fn doubled_and_disordered_hints_are_shown_once_in_order() {
    let house = House::new().await;
    let guest = live(&house).await;
    let hints = house.born(1, 6);
    for n in [3, 3, 0, 5, 1, 0, 2, 5, 4, 4] {
        house.hub.users.tell(USER, hints[n].clone());
    }
    house.tell(1);
    assert_eq!(guest.probe.shown(8).await, upto(8));
}

#[tokio::test(start_paused = true)]
async fn a_silently_lost_hint_is_found_within_half_a_minute() {
    let house = House::new().await;
    let guest = live(&house).await;
    drop(house.born(1, 700));
    let begun = Instant::now();
    assert_eq!(guest.probe.shown(701).await, upto(701), "more than a page of them");
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_knows_less_than_was_heard_of_is_not_asked_without_end() {
    let house = House::new().await;
    let guest = live(&house).await;
    let hints = house.born(1, 1);
    // The numbers 3 to 9 never were: another store's hint.
    let Change::Born { mut birth, unread_count } = hints[0].clone() else { panic!() };
    birth.seq = Seq(10);
    house.hub.users.tell(USER, Change::Born { birth, unread_count });
    guest.probe.shown(2).await;
    let asked = house.store.asked(Op::Births);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = house.store.asked(Op::Births) - asked;
    assert!(asked <= 12, "{asked} times in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn marks_are_shown_in_their_place_even_when_a_gap_before_them_is_filled() {
    let house = House::new().await;
    let guest = live(&house).await;
    drop(house.born(1, 1));
    let users = &house.hub.users;
    let now = jiff::Timestamp::UNIX_EPOCH;
    let all = Selection::All { channel: None, ticket: None };
    let marked = users.mark(USER, all.clone(), Mark::Read, now).await.unwrap().unwrap();
    assert_eq!((marked.first, marked.last, marked.unread_count), (Seq(3), Seq(4), 0));
    assert_eq!(users.mark(USER, all, Mark::Read, now).await.unwrap(), None);
    house.tell(1);
    guest.probe.shown(5).await;
    // What is read of a gap is shown at its place: births at theirs, known rows at their change.
    let is_so = |frame: &Frame| {
        if let Frame::Row { changed_seq, is_read, is_news: false, .. } = frame {
            return Some((changed_seq.0, *is_read));
        }
        let Frame::Notification { seq, is_read, .. } = frame else { return None };
        Some((seq.0, *is_read))
    };
    let shown: Vec<_> = guest.probe.seen().frames[1..].iter().filter_map(is_so).collect();
    assert_eq!(shown, [(1, false), (2, true), (3, true), (5, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_told_although_its_caller_goes_away() {
    let house = House::new().await;
    let guest = live(&house).await;
    house.store.set(Op::Mark, Mode::Hang);
    let all = Selection::All { channel: None, ticket: None };
    let users = house.hub.users.clone();
    let caller = tokio::spawn(async move {
        users.mark(USER, all, Mark::Read, jiff::Timestamp::UNIX_EPOCH).await
    });
    house.store.until_asked(Op::Mark, 1).await;
    caller.abort();
    house.store.set(Op::Mark, Mode::Good);
    guest.probe.until(|seen| matches!(seen.frames.last(), Some(Frame::Marked(..)))).await;
}

#[tokio::test(start_paused = true)]
async fn changes_that_wait_together_leave_in_one_flush() {
    let house = House::new().await;
    let guest = live(&house).await;
    let before = guest.probe.seen().flushes;
    // Nobody yields here, so they all wait in the mailbox before the first is handled.
    for hint in house.born(1, 40) {
        house.hub.users.tell(USER, hint);
    }
    assert_eq!(guest.probe.shown(41).await, upto(41));
    assert_eq!(guest.probe.seen().flushes, before + 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_flushed_goes_out_before_the_end() {
    let house = House::new().await;
    let guest = live(&house).await;
    house.tell(1);
    house.hub.users.end_sessions(USER, None, Ending::RightWithdrawn);
    assert_eq!(guest.probe.ended().await, Ending::RightWithdrawn);
    assert_eq!(guest.probe.numbers(), upto(2));
    house.until_listed("user/1", false).await;
    assert_eq!(house.delivered(1), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_is_answered_to_that_client() {
    let house = House::new().await;
    let (guest, other) = (live(&house).await, house.attach(1, Begin::Live).await);
    let timestamp = RawValue::from_string("17.5".to_owned()).unwrap();
    guest.session.heard(Heard::Ping(Some(timestamp)));
    guest.session.heard(Heard::Ping(None));
    let message = "what?".to_owned();
    guest.session.heard(Heard::Bad { tag: None, code: "unknown_type", message });
    guest.session.heard(Heard::ProtocolPing(b"hi".as_slice().into()));
    let answers = [
        Frame::Pong(Some("17.5".to_owned())),
        Frame::Pong(None),
        Frame::Error("unknown_type"),
        Frame::ProtocolPong(b"hi".to_vec()),
    ];
    guest.probe.until(|seen| seen.frames.ends_with(&answers)).await;
    other.probe.until(|seen| seen.frames == [Frame::Established(USER)]).await;
}

#[tokio::test(start_paused = true)]
async fn the_delivered_position_is_saved_every_few_seconds_and_with_the_last_session() {
    let house = House::new().await;
    let guest = live(&house).await;
    house.tell(1);
    guest.probe.shown(2).await;
    let begun = Instant::now();
    crate::until("2 is saved", || house.delivered(1) == 2).await;
    assert!(begun.elapsed() <= Duration::from_secs(12), "{:?}", begun.elapsed());
    // Not saved by the wheel: the store was away, and comes back for the last session's end.
    house.store.set(Op::Save, Mode::Fail);
    house.tell(1);
    guest.probe.shown(3).await;
    let asked = house.store.asked(Op::Save);
    house.store.until_asked(Op::Save, asked + 1).await;
    let second = house.attach(1, Begin::Undelivered).await;
    second.probe.until(|seen| !seen.frames.is_empty()).await;
    house.store.set(Op::Save, Mode::Good);
    house.hub.users.end_sessions(USER, None, Ending::RightWithdrawn);
    crate::until("3 is saved", || house.delivered(1) == 3).await;
    assert_eq!(second.probe.numbers(), Vec::<i64>::new());
}

#[tokio::test(start_paused = true)]
async fn an_actor_does_not_leave_before_what_was_delivered_is_saved() {
    let limits = HubLimits { save_delivered_every: Duration::from_secs(2), ..Default::default() };
    let house = House::with(limits).await;
    let guest = live(&house).await;
    house.store.set(Op::Save, Mode::Fail);
    house.hub.users.end_sessions(USER, None, Ending::RightWithdrawn);
    guest.probe.ended().await;
    house.store.until_asked(Op::Save, 4).await;
    assert!(house.find("user/1").await.is_some());
    house.store.set(Op::Save, Mode::Good);
    house.until_listed("user/1", false).await;
    assert_eq!(house.delivered(1), 1);
}
