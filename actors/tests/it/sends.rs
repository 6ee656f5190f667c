//! One message to many: chunks, turns, times, kills, and a store that is away.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::sends::{SendError, Sent};
use bellpull_domain::event::Event;
use bellpull_domain::ids::UserId;
use bellpull_domain::routing::Channels;
use bellpull_domain::send::{IdempotencyKey, NewSend, Recipients};
use bellpull_domain::user::Role;
use bellpull_port::sends::BeginSend;
use bellpull_port::session::Begin;
use bellpull_port::testing::{Mode, Op, content};
use bellpull_port::{Clock, LeaseOwner, SendStore};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::{TestClient, TestNode, until};

pub(crate) fn to(recipients: Recipients) -> NewSend {
    NewSend {
        message: content("to many").message.clone(),
        recipients,
        channels: Channels::NONE,
        is_critical: false,
        due_at: None,
        key: None,
    }
}

fn to_role(role: &str) -> NewSend {
    to(Recipients::Role(role.parse().unwrap()))
}

impl TestNode {
    fn people(&self, role: &str, ids: std::ops::RangeInclusive<i64>) {
        for id in ids {
            let _ = self.store.add_user(id, role.parse().unwrap());
        }
    }

    fn has(&self, user: i64) -> i64 {
        self.store.head_now(UserId(user)).last_seq.0
    }

    /// Waits until all sends are written, and says who has how many.
    async fn until_sent(&self, ids: std::ops::RangeInclusive<i64>) -> Vec<i64> {
        until("all is sent", || self.store.unfinished_sends() == 0).await;
        ids.map(|user| self.has(user)).collect()
    }

    async fn observed(&self) -> serde_json::Value {
        self.find("scheduler").await.unwrap().observed
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_to_many_reaches_every_recipient_once_live_and_stored() {
    let node = TestNode::new().await;
    node.people("student", 1..=1_300);
    let mut guests: Vec<TestClient> = Vec::new();
    for user in [1, 513, 1_300] {
        guests.push(node.attach(user, Begin::Undelivered).await);
    }
    let sent = node.hub.sends.send(to(Recipients::All)).await.unwrap();
    assert_eq!((sent.stored.recipients, sent.is_repeated), (1_300, false));
    assert_eq!(node.until_sent(1..=1_300).await, vec![1; 1_300]);
    for conn in &guests {
        assert_eq!(conn.probe.shown(1).await, [1]);
    }
    assert_eq!(node.store.asked(Op::Chunk), 2, "512 at once, and two more chunks");
    until("it is told of", || node.store.asked(Op::Chunked) == 2).await;
    let observed = node.observed().await;
    assert_eq!((&observed["chunks"], &observed["recipients"]), (&2.into(), &788.into()));
    assert_eq!((&observed["due_sends"], &observed["store"]), (&0.into(), &"ok".into()));
}

#[tokio::test(start_paused = true)]
async fn a_send_without_recipients_is_valid_and_unknown_users_are_rejected() {
    let node = TestNode::new().await;
    let sent = node.hub.sends.send(to_role("unknown")).await.unwrap();
    assert_eq!(sent.stored.recipients, 0);
    node.people("student", 1..=1);
    let some = to(Recipients::Users(vec![UserId(1), UserId(9)]));
    let refused = node.hub.sends.send(some).await.unwrap_err();
    assert_eq!(refused, SendError::UnknownUsers(vec![UserId(9)]));
    let project = to(Recipients::Project(bellpull_domain::ids::ProjectId(9)));
    assert_eq!(node.hub.sends.send(project).await.unwrap_err(), SendError::UnknownProject);
    assert_eq!(node.has(1), 0);
}

/// Whether the kill comes before the chunk is written, or between the commit and its answer.
#[tokio::test(start_paused = true)]
async fn a_scheduler_killed_during_a_chunk_skips_and_repeats_no_recipient() {
    for op in [Op::Chunk, Op::Chunked] {
        for panics in [false, true] {
            let node = TestNode::new().await;
            node.people("student", 1..=3_000);
            let last = node.attach(1_000, Begin::Undelivered).await;
            node.store.set(op, Mode::Hang);
            node.hub.sends.send(to(Recipients::All)).await.unwrap();
            node.store.until_asked(op, 1).await;
            if panics {
                node.hub.panic_at("scheduler");
            } else {
                node.hub.kill_at("scheduler").await.unwrap();
            }
            // The successor begins while the chunk of the first is still on its way.
            node.store.until_asked(Op::Chunk, 2).await;
            node.store.set(op, Mode::Good);
            assert_eq!(node.until_sent(1..=3_000).await, vec![1; 3_000], "{op:?}");
            assert_eq!(last.probe.shown(1).await, [1]);
            let report = node.find("scheduler").await.unwrap();
            assert_eq!((report.kind, report.restarts), ("scheduler", 1));
            assert_eq!(report.last_failure.is_some_and(|one| one.text.contains("panic")), panics);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_send_does_not_wait_for_a_huge_one() {
    let node = TestNode::new().await;
    node.people("student", 1..=20_000);
    node.people("teacher", 30_001..=30_560);
    node.store.set(Op::Chunk, Mode::Delay(Duration::from_millis(100)));
    node.hub.sends.send(to_role("student")).await.unwrap();
    node.store.until_asked(Op::Chunk, 3).await;
    node.hub.sends.send(to_role("teacher")).await.unwrap();
    let asked = node.store.asked(Op::Chunk);
    until("the small one is sent", || node.has(30_560) == 1).await;
    assert!(node.store.asked(Op::Chunk) <= asked + 3, "it has its turn");
    assert_eq!(node.has(20_000), 0, "the huge one goes on");
    let observed = node.observed().await;
    assert!(observed["lag_ms"].as_u64().unwrap() > 0 && observed["due_sends"] == 1, "{observed}");
    assert_eq!(node.until_sent(1..=20_000).await, vec![1; 20_000]);
}

#[tokio::test(start_paused = true)]
async fn what_several_sends_say_to_one_person_leaves_in_one_write() {
    let node = TestNode::new().await;
    node.people("student", 1..=600);
    let conn = node.attach(600, Begin::Undelivered).await;
    let due_at = Some(node.clock.now() + SignedDuration::from_hours(1));
    for _ in 0..3 {
        node.hub.sends.send(NewSend { due_at, ..to(Recipients::All) }).await.unwrap();
    }
    let flushes = conn.probe.seen().flushes;
    tokio::time::sleep(Duration::from_secs(3_601)).await;
    assert_eq!(conn.probe.shown(3).await, [1, 2, 3]);
    assert_eq!(conn.probe.seen().flushes, flushes + 1);
    assert_eq!(node.until_sent(1..=600).await, vec![3; 600]);
}

/// A write that arrives during a chunk waits for it.
#[tokio::test(start_paused = true)]
async fn the_slower_the_store_the_smaller_the_chunks() {
    let node = TestNode::new().await;
    node.people("student", 1..=5_632);
    node.store.set(Op::Chunk, Mode::Delay(Duration::from_millis(50)));
    node.hub.sends.send(to(Recipients::All)).await.unwrap();
    node.until_sent(1..=1).await;
    assert_eq!(node.store.asked(Op::Chunk), 1 + 18, "512, and 4,608 by 256");
    node.store.set(Op::Chunk, Mode::Good);
    node.hub.sends.send(to(Recipients::All)).await.unwrap();
    node.until_sent(1..=1).await;
    assert_eq!(node.store.asked(Op::Chunk), 19 + 2 + 5, "256, 512, and 4,352 by 1,024");
}

#[tokio::test(start_paused = true)]
async fn what_is_for_later_comes_at_its_time_and_not_before() {
    let node = TestNode::new().await;
    node.people("student", 1..=600);
    let hour = SignedDuration::from_hours(1);
    for hours in [2, 1] {
        let due_at = Some(node.clock.now() + hour * hours);
        let sent = node.hub.sends.send(NewSend { due_at, ..to(Recipients::All) }).await.unwrap();
        assert!(sent.stored.is_scheduled);
    }
    tokio::time::sleep(Duration::from_secs(3_599)).await;
    assert_eq!((node.has(1), node.store.unfinished_sends()), (0, 2));
    let next = node.observed().await["next_due"].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(next, Timestamp::UNIX_EPOCH + hour);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!((node.has(1), node.has(600)), (1, 1), "within a tenth of a second");
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!((node.has(1), node.has(600)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_is_noticed_within_half_a_minute() {
    let node = TestNode::new().await;
    node.people("student", 1..=1);
    let day = SignedDuration::from_hours(24);
    let due_at = Some(node.clock.now() + day);
    node.hub.sends.send(NewSend { due_at, ..to(Recipients::All) }).await.unwrap();
    node.clock.set(Timestamp::UNIX_EPOCH - day);
    tokio::time::sleep(Duration::from_secs(86_400 + 60)).await;
    assert_eq!(node.has(1), 0, "it is not that time yet");
    node.clock.set(Timestamp::UNIX_EPOCH + day);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(node.has(1), 1);
}

#[tokio::test(start_paused = true)]
async fn what_another_process_took_in_is_found() {
    let node = TestNode::new().await;
    node.people("student", 1..=2_000);
    let now = node.clock.now();
    node.store.begin_send(to(Recipients::All), 1, now).await.unwrap();
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(node.until_sent(1..=2_000).await, vec![1; 2_000]);
}

#[tokio::test(start_paused = true)]
async fn a_send_of_another_node_is_left_alone_until_its_claim_ends() {
    let node = TestNode::new().await;
    node.people("student", 1..=2_000);
    let other = LeaseOwner::new("another-node", Timestamp::UNIX_EPOCH);
    let begun = node.store.begin_send(to(Recipients::All), 1, node.clock.now()).await.unwrap();
    let BeginSend::Begun { send, .. } = begun else { panic!("{begun:?}") };
    let step = || node.store.continue_send(&other, send.id, 1, node.clock.now());
    step().await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    step().await.unwrap(); // its claim lasts 30 s from here on
    tokio::time::sleep(Duration::from_millis(29_900)).await;
    assert_eq!((node.has(3), node.has(4)), (1, 0), "the other node's steps alone");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(node.until_sent(1..=2_000).await, vec![1; 2_000]);
    let late = step().await.unwrap();
    assert!(late.announced.is_none() && !late.has_more);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_releases_its_sends() {
    let node = TestNode::new().await;
    node.people("student", 1..=20_000);
    node.hub.sends.send(to(Recipients::All)).await.unwrap();
    node.store.until_asked(Op::Chunked, 1).await;
    node.store.set(Op::Chunk, Mode::Fail);
    until("no chunk is under way", || node.store.asked(Op::Chunk) > node.store.asked(Op::Chunked))
        .await;
    let other = LeaseOwner::new("another-node", Timestamp::UNIX_EPOCH);
    let due = || node.store.due_sends(&other, node.clock.now(), 10);
    let (held, until) = due().await.unwrap();
    assert!(held.is_empty() && until.is_some(), "it is this node's: {held:?}");
    node.hub.stop().await;
    assert_eq!(due().await.unwrap().0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_asked_again_ever_less_often_until_it_answers() {
    let node = TestNode::new().await;
    node.people("student", 1..=1_500);
    for op in [Op::Chunk, Op::Due] {
        node.store.set(op, Mode::Fail);
    }
    node.hub.sends.send(to(Recipients::All)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked = node.store.asked(Op::Chunk);
    assert!((8..=16).contains(&asked), "{asked} times in a minute");
    let observed = node.observed().await;
    assert!(observed["store"].as_str().unwrap().contains("told to fail"), "{observed}");
    for op in [Op::Chunk, Op::Due] {
        node.store.set(op, Mode::Good);
    }
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(node.until_sent(1..=1_500).await, vec![1; 1_500]);
    assert_eq!(node.observed().await["store"], "ok");
    assert_eq!(node.find("scheduler").await.unwrap().restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_up_neither_the_scheduler_nor_its_observer() {
    let node = TestNode::new().await;
    node.people("student", 1..=1_500);
    node.store.set(Op::Chunk, Mode::Hang);
    node.hub.sends.send(to(Recipients::All)).await.unwrap();
    node.store.until_asked(Op::Chunk, 1).await;
    let begun = Instant::now();
    assert_eq!(node.observed().await["current_sends"].as_array().unwrap().len(), 1);
    assert!(begun.elapsed() < Duration::from_millis(100));
    tokio::time::sleep(Duration::from_secs(20)).await;
    node.store.set(Op::Chunk, Mode::Good);
    assert_eq!(node.until_sent(1..=1_500).await, vec![1; 1_500]);
}

/// The clock is put forward and back again, over the times of sends that are looked at, on their
/// way, and not looked at yet.
#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_back_and_forth_loses_nothing_and_begins_nothing_twice() {
    let node = TestNode::new().await;
    node.people("student", 1..=1_100);
    let hour = SignedDuration::from_hours(1);
    let begin = node.clock.now();
    for hours in [1, 2, 3] {
        let due_at = Some(begin + hour * hours);
        node.hub.sends.send(NewSend { due_at, ..to(Recipients::All) }).await.unwrap();
    }
    // Seen as due; when its first chunk is to be written it is early again.
    node.clock.set(begin + hour + SignedDuration::from_secs(60));
    node.store.set(Op::Chunk, Mode::Hang);
    node.store.until_asked(Op::Chunk, 1).await;
    node.clock.set(begin);
    node.store.set(Op::Chunk, Mode::Good);
    tokio::time::sleep(Duration::from_secs(120)).await;
    // What was written by the clock of that time may stand; nothing else has begun.
    assert!(node.store.unfinished_sends() >= 2);
    for forth in [hour * 2, hour * 3] {
        node.clock.set(begin + forth);
        tokio::time::sleep(Duration::from_secs(5)).await;
        node.clock.set(begin - hour * 24);
        tokio::time::sleep(Duration::from_secs(35)).await;
    }
    node.clock.set(begin + hour * 4);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(node.until_sent(1..=1_100).await, vec![3; 1_100]);
    for back in [begin, begin + hour * 2, begin + hour * 5] {
        node.clock.set(back);
        tokio::time::sleep(Duration::from_secs(31)).await;
    }
    assert_eq!(node.until_sent(1..=1_100).await, vec![3; 1_100]);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_cancelled_between_two_chunks_goes_no_further() {
    let node = TestNode::new().await;
    node.people("student", 1..=1_500);
    node.store.set(Op::Chunk, Mode::Hang);
    let sent = node.hub.sends.send(to(Recipients::All)).await.unwrap();
    node.store.until_asked(Op::Chunk, 1).await;
    node.store.cancel_send_now(sent.stored.id);
    node.store.set(Op::Chunk, Mode::Good);
    let another = node.hub.sends.send(to(Recipients::All)).await.unwrap();
    assert_ne!(another.stored.id, sent.stored.id);
    let has: Vec<i64> = node.until_sent(1..=1_500).await;
    assert_eq!((has[0], has[511], has[512], has[1_499]), (2, 2, 1, 1));
}

/// More due sends than the scheduler remembers.
#[tokio::test(start_paused = true)]
async fn sends_beyond_the_list_wait_in_the_store_and_are_carried_out() {
    let node = TestNode::new().await;
    node.people("student", 1..=2);
    let now = node.clock.now();
    for _ in 0..2_500 {
        node.store.begin_send(to(Recipients::All), 1, now).await.unwrap();
    }
    node.hub.kill_at("scheduler").await.unwrap();
    assert_eq!(node.until_sent(1..=2).await, [2_500, 2_500]);
    assert!(node.store.asked(Op::Due) >= 3);
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_leave_and_its_recipients_are_notified() {
    let node = TestNode::new().await;
    node.people("student", 1..=600);
    let (first, last) =
        (node.attach(1, Begin::Undelivered).await, node.attach(600, Begin::Undelivered).await);
    node.store.set(Op::Begin, Mode::Hang);
    let hub = node.hub.clone();
    let asking = tokio::spawn(async move { hub.sends.send(to(Recipients::All)).await });
    node.store.until_asked(Op::Begin, 1).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    node.store.set(Op::Begin, Mode::Good);
    assert_eq!(first.probe.shown(1).await, [1]);
    assert_eq!(last.probe.shown(1).await, [1]);
}

fn keyed(key: &str, body: u8) -> NewSend {
    let key = IdempotencyKey { owner: UserId(1), key: key.to_owned(), body_hash: [body; 32] };
    NewSend { key: Some(key), ..to(Recipients::Users(vec![UserId(2)])) }
}

#[tokio::test(start_paused = true)]
async fn a_key_makes_a_retry_the_same_send_for_a_day() {
    let node = Arc::new(TestNode::new().await);
    node.people("student", 1..=2);
    let crowd = (0..20).map(|_| {
        let node = Arc::clone(&node);
        tokio::spawn(async move { node.hub.sends.send(keyed("a", 1)).await.unwrap() })
    });
    let mut sent: Vec<Sent> = Vec::new();
    for one in crowd.collect::<Vec<_>>() {
        sent.push(one.await.unwrap());
    }
    assert_eq!(sent.iter().filter(|one| !one.is_repeated).count(), 1);
    assert!(sent.iter().all(|one| one.stored == sent[0].stored));
    assert!(sent[0].stored.notification.is_some());
    assert_eq!(node.has(2), 1);
    let reused = node.hub.sends.send(keyed("a", 2)).await.unwrap_err();
    assert_eq!(reused, SendError::KeyReused);

    tokio::time::sleep(Duration::from_secs(86_400 - 60)).await;
    assert!(node.hub.sends.send(keyed("a", 1)).await.unwrap().is_repeated);
    tokio::time::sleep(Duration::from_secs(2 * 3_600)).await;
    assert!(!node.hub.sends.send(keyed("a", 2)).await.unwrap().is_repeated);
    assert!(node.store.asked(Op::Forget) < 30, "once an hour");
}

#[tokio::test(start_paused = true)]
async fn keys_that_could_not_be_forgotten_are_forgotten_later() {
    let node = TestNode::new().await;
    node.people("student", 1..=2);
    node.hub.sends.send(keyed("a", 1)).await.unwrap();
    node.store.set(Op::Forget, Mode::Fail);
    tokio::time::sleep(Duration::from_secs(26 * 3_600)).await;
    assert!(node.hub.sends.send(keyed("a", 1)).await.unwrap().is_repeated);
    node.store.set(Op::Forget, Mode::Good);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(!node.hub.sends.send(keyed("a", 1)).await.unwrap().is_repeated);
}

#[tokio::test(start_paused = true)]
async fn hints_of_a_send_say_what_it_says() {
    let node = TestNode::new().await;
    let admin = node.store.add_user(1, Role::Admin);
    let conn = node.attach(2, Begin::Undelivered).await;
    let mut new = to(Recipients::Users(vec![UserId(2)]));
    new.message.event = Event::Other("maintenance".into());
    new.message.sender = Some(admin.id);
    node.hub.sends.send(new).await.unwrap();
    conn.probe.shown(1).await;
    let change = node.store.append(UserId(2), "next");
    node.hub.users.tell(UserId(2), change);
    assert_eq!(conn.probe.shown(2).await, [1, 2]);
}
