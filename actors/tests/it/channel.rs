//! A channel actor on a fake outbox and a provider whose answers the test chooses.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::channel::{ChannelActor, ChannelLimits, ChannelMessage, ChannelStart};
use bellpull_actors::vitals::{Handle, Vitals};
use bellpull_domain::delivery::Outcome;
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::notification::DeliveryStatus::{Failed, Queued, Sent};
use bellpull_domain::retry::RetryRule;
use bellpull_domain::routing::Channel;
use bellpull_port::call::{Call, CallOutcome};
use bellpull_port::testing::{DIGEST, FakeClock, FakeOutbox, FakeSender, Reaction};
use bellpull_port::{Clock, DeliveryStore, LeaseOwner};
use jiff::{SignedDuration, Timestamp};
use ractor::Actor;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

const SECOND: Duration = Duration::from_secs(1);

struct Post {
    outbox: FakeOutbox,
    sender: Arc<FakeSender>,
    nodes: watch::Sender<u32>,
    clock: Arc<FakeClock>,
    actor: ChannelActor,
    handle: Handle<ChannelMessage>,
}

fn sent() -> Outcome {
    Outcome::Sent { provider_id: None }
}

fn down() -> Outcome {
    Outcome::Later { error: "connection refused".to_owned(), after: None, is_outage: true }
}

fn takes(time: Duration) -> impl Fn(DeliveryId, u32) -> Reaction + Send + Sync {
    move |_, _| Reaction::Answers(time, sent())
}

/// So many deliveries are due when the actor begins.
async fn post(
    count: i64,
    limits: ChannelLimits,
    does: impl Fn(DeliveryId, u32) -> Reaction + Send + Sync + 'static,
) -> Post {
    let clock = Arc::new(FakeClock::default());
    let outbox = FakeOutbox::new(clock.clone());
    (1..=count).for_each(|id| outbox.put(id, SignedDuration::ZERO));
    let sender = FakeSender::new(does);
    let nodes = watch::Sender::new(1);
    let actor = ChannelActor {
        channel: Channel::Email,
        store: Arc::new(outbox.clone()),
        owner: LeaseOwner::new("a", Timestamp::UNIX_EPOCH),
        sender: sender.clone(),
        clock: clock.clone(),
        limits,
        nodes: nodes.subscribe(),
        runtime: None,
    };
    let handle = spawn(&actor).await;
    Post { outbox, sender, nodes, clock, actor, handle }
}

async fn spawn(actor: &ChannelActor) -> Handle<ChannelMessage> {
    let vitals = Vitals::new();
    let leasing = Arc::new(Semaphore::new(1));
    let (nudged, hold) = (Arc::default(), Arc::default());
    let start = ChannelStart { vitals: Arc::clone(&vitals), nudged, leasing, hold };
    let (spawned, _) = Actor::spawn(None, actor.clone(), start).await.unwrap();
    Handle::new(spawned, vitals)
}

impl Post {
    async fn observe(&self) -> Value {
        let (call, answer) = Call::new(());
        self.handle.cast(ChannelMessage::Observe(call));
        match answer.within(SECOND).await {
            CallOutcome::Answered(observed) => observed,
            outcome @ (CallOutcome::Returned(()) | CallOutcome::Lost) => panic!("{outcome:?}"),
        }
    }
}

fn two_at_once() -> ChannelLimits {
    ChannelLimits { in_flight_max: 2, ..ChannelLimits::default() }
}

#[tokio::test(start_paused = true)]
async fn all_that_is_due_is_sent_once_a_bounded_number_at_a_time() {
    let post = post(50, two_at_once(), takes(SECOND)).await;
    post.outbox.until(|outbox| outbox.count(Sent) == 50).await;
    let mut given = post.sender.given();
    given.sort_unstable();
    assert_eq!(given, (1..=50).map(|id| (id, 1)).collect::<Vec<_>>());
    assert_eq!(post.sender.most_in_flight(), 2);
    // In batches: never one lease a delivery.
    assert!(post.outbox.leases() <= 15, "{}", post.outbox.leases());
}

#[tokio::test(start_paused = true)]
async fn what_goes_out_in_one_message_has_its_outcome() {
    let post = post(0, ChannelLimits::default(), |_, attempt| {
        let later = Outcome::Later { error: "busy".into(), after: None, is_outage: false };
        Reaction::Answers(SECOND, if attempt < 2 { later } else { sent() })
    })
    .await;
    (1..=3).for_each(|id| post.outbox.put_in(DIGEST, id, SignedDuration::ZERO));
    post.handle.cast(ChannelMessage::Nudge);
    post.outbox.until(|outbox| outbox.count(Sent) == 3).await;
    assert_eq!(post.sender.given(), [(1, 1), (1, 2)]);
    for id in 1..=3 {
        let numbers: Vec<u32> = post.outbox.of(id).recorded.iter().map(|one| one.number).collect();
        assert_eq!(numbers, [1, 2], "{id}");
    }
    assert_eq!(post.observe().await["sent"], 1, "one message");
}

#[tokio::test(start_paused = true)]
async fn what_comes_later_is_sent_when_it_is_due_or_when_the_actor_is_told() {
    let post = post(0, ChannelLimits::default(), takes(SECOND)).await;
    post.outbox.put(1, SignedDuration::from_secs(7));
    post.handle.cast(ChannelMessage::Nudge);
    let begun = tokio::time::Instant::now();
    post.outbox.until(|outbox| outbox.count(Sent) == 1).await;
    let took = begun.elapsed();
    assert!((8..9).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_pass_is_tried_again_and_the_providers_wish_honoured() {
    let wish = Some(Duration::from_secs(90));
    let post = post(1, ChannelLimits::default(), move |_, attempt| {
        let later = Outcome::Later { error: "slow down".into(), after: wish, is_outage: false };
        Reaction::Answers(SECOND, if attempt < 3 { later } else { sent() })
    })
    .await;
    let begun = tokio::time::Instant::now();
    post.outbox.until(|outbox| outbox.count(Sent) == 1).await;
    assert!(begun.elapsed() >= Duration::from_secs(183), "{:?}", begun.elapsed());
    let numbers: Vec<u32> = post.outbox.of(1).recorded.iter().map(|one| one.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_is_made_when_it_is_due_and_not_at_the_next_look() {
    let retry = RetryRule { base_ms: 100, attempts: 5 };
    let limits = ChannelLimits { retry, ..ChannelLimits::default() };
    let post = post(1, limits, |_, attempt| {
        let error = "mailbox full".to_owned();
        let later = Outcome::Later { error, after: None, is_outage: false };
        Reaction::Answers(Duration::ZERO, if attempt < 5 { later } else { sent() })
    })
    .await;
    let begun = tokio::time::Instant::now();
    post.outbox.until(|outbox| outbox.count(Sent) == 1).await;
    // 100, 200, 400 and 800 ms, an eighth more or less.
    let took = begun.elapsed().as_millis();
    assert!((1_300..1_750).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn after_the_last_attempt_it_has_failed_with_the_reason() {
    let retry = RetryRule { base_ms: 1_000, attempts: 4 };
    let limits = ChannelLimits { retry, ..ChannelLimits::default() };
    let post = post(1, limits, |_, _| {
        let error = "mailbox full".to_owned();
        Reaction::Answers(SECOND, Outcome::Later { error, after: None, is_outage: false })
    })
    .await;
    post.outbox.until(|outbox| outbox.count(Failed) == 1).await;
    assert_eq!(post.sender.given().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_a_panic_and_a_hang_concern_their_own_delivery_alone() {
    let limits =
        ChannelLimits { retry: RetryRule { base_ms: 1_000, attempts: 2 }, ..two_at_once() };
    let post = post(20, limits, |id, _| match id.0 {
        3 => Reaction::Answers(SECOND, Outcome::Refused { error: "no such mailbox".into() }),
        5 => Reaction::Panics,
        7 => Reaction::Hangs,
        _ => Reaction::Answers(SECOND, sent()),
    })
    .await;
    post.outbox.until(|outbox| outbox.count(Sent) == 17 && outbox.count(Failed) == 3).await;
    assert_eq!(post.outbox.of(3).recorded.len(), 1);
    assert_eq!(post.outbox.of(5).recorded.len(), 2);
    let hung = post.outbox.of(7).recorded;
    assert!(hung.iter().all(|attempt| attempt.took_ms >= 30_000), "{hung:?}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_costs_few_attempts_and_is_found_again_by_one_probe() {
    let clock = tokio::time::Instant::now();
    let post = post(100, two_at_once(), move |_, _| {
        let is_back = clock.elapsed() > Duration::from_secs(120);
        Reaction::Answers(SECOND, if is_back { sent() } else { down() })
    })
    .await;
    post.handle.cast(ChannelMessage::Nudge);
    post.outbox.until(|outbox| outbox.of(1).recorded.len() + outbox.of(2).recorded.len() > 1).await;
    let mut opened = false;
    while !opened {
        tokio::time::sleep(SECOND).await;
        opened = post.observe().await["circuit"] == "open";
    }
    assert_eq!(post.observe().await["trouble"], "connection refused");
    assert_eq!(post.observe().await["leased"], 0, "leases are given back while it is open");
    post.outbox.until(|outbox| outbox.count(Sent) == 100).await;
    // Five or six to open it, and a probe after 5, 10, 20, 40 and 80 s.
    let wasted = post.sender.given().len() - 100;
    assert!((6..=12).contains(&wasted), "{wasted} attempts on a provider that was down");
    assert_eq!(post.observe().await["circuit"], "closed");
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept() {
    let limits = ChannelLimits { per_s: 5, ..ChannelLimits::default() };
    let post = post(50, limits, takes(Duration::from_millis(1))).await;
    let begun = tokio::time::Instant::now();
    post.outbox.until(|outbox| outbox.count(Sent) == 50).await;
    let took = begun.elapsed().as_millis();
    assert!((9_700..10_500).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn nodes_share_the_rate_and_the_places() {
    let limits = ChannelLimits { per_s: 5, in_flight_max: 4, ..ChannelLimits::default() };
    let post = post(50, limits, takes(Duration::from_secs(10))).await;
    post.nodes.send_replace(2);
    post.sender.until_in_flight(2).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(post.observe().await["in_flight"], 2, "two nodes have four places");
    post.nodes.send_replace(1);
    post.sender.until_in_flight(4).await;

    let limits = ChannelLimits { per_s: 5, ..ChannelLimits::default() };
    let post = self::post(25, limits, takes(Duration::from_millis(1))).await;
    post.nodes.send_replace(2);
    let begun = tokio::time::Instant::now();
    post.outbox.until(|outbox| outbox.count(Sent) == 25).await;
    let took = begun.elapsed().as_millis();
    assert!((9_000..10_500).contains(&took), "{took} ms");
}

#[test]
fn a_share_is_never_nothing() {
    let limits = ChannelLimits { in_flight_max: 3, per_s: 10, ..ChannelLimits::default() };
    assert_eq!([1, 2, 3, 100].map(|nodes| limits.in_flight_share(nodes)), [3, 1, 1, 1]);
    let gaps = [0, 1, 3].map(|nodes| limits.gap(nodes).map(|gap| gap.as_millis()));
    assert_eq!(gaps, [Some(100), Some(100), Some(300)]);
    assert_eq!(ChannelLimits::default().gap(3), None);
    let limits = ChannelLimits { lane_max: 4, ..limits };
    assert_eq!([1, 2, 3, 100].map(|nodes| limits.lane_share(nodes)), [4, 2, 1, 1]);
    assert_eq!(ChannelLimits::default().lane_share(3), u32::MAX);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_asked_again_and_nothing_is_sent_twice() {
    let post = post(10, two_at_once(), takes(SECOND)).await;
    post.sender.until_in_flight(2).await;
    post.outbox.set_away(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(post.observe().await["to_record"], 8, "what was leased is sent, and kept in mind");
    assert_eq!(post.sender.given().len(), 8);
    post.outbox.set_away(false);
    post.outbox.until(|outbox| outbox.count(Sent) == 10).await;
    assert_eq!(post.sender.given().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_suspended_beyond_its_lease_is_given_up() {
    let post = post(1, two_at_once(), takes(SECOND)).await;
    post.sender.until_in_flight(1).await;
    let long = SignedDuration::try_from(ChannelLimits::default().lease).unwrap();
    post.clock.set(Timestamp::UNIX_EPOCH + long);
    post.outbox.until(|outbox| outbox.count(Sent) == 1).await;
    let recorded = post.outbox.of(1).recorded;
    let Outcome::Later { error, is_outage: false, .. } = &recorded[0].outcome else {
        panic!("{:?}", recorded[0].outcome)
    };
    assert!(error.contains("suspended"), "{error}");
    assert_eq!(recorded.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_killed_actors_successor_goes_on_at_once() {
    let post = post(10, two_at_once(), takes(SECOND)).await;
    post.sender.until_in_flight(2).await;
    post.handle.actor().kill();
    post.sender.until_in_flight(0).await;
    let begun = tokio::time::Instant::now();
    let _successor = spawn(&post.actor).await;
    post.outbox.until(|outbox| outbox.count(Sent) == 10).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // The two that were cut off are given to the provider again; no other is.
    let mut given: Vec<i64> = post.sender.given().into_iter().map(|(id, _)| id).collect();
    given.sort_unstable();
    let twice = given.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!((given.len(), twice), (12, 2));
}

#[tokio::test(start_paused = true)]
async fn a_drain_gives_back_what_was_not_begun_and_records_what_was() {
    let post = post(10, two_at_once(), takes(SECOND)).await;
    post.sender.until_in_flight(2).await;
    let (call, answer) = Call::new(());
    post.handle.cast(ChannelMessage::Drain(call));
    assert!(matches!(answer.within(Duration::from_secs(5)).await, CallOutcome::Answered(())));
    assert_eq!((post.outbox.count(Sent), post.outbox.count(Queued)), (2, 8));
    let untouched = (1..=10).map(|id| post.outbox.of(id)).filter(|one| one.attempts == 0).count();
    assert_eq!(untouched, 8);
    post.handle.cast(ChannelMessage::Nudge);
    assert_eq!(post.observe().await["leased"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_does_not_hold_up_the_others() {
    let limits = ChannelLimits { in_flight_max: 4, lane_max: 1, ..ChannelLimits::default() };
    let post = post(0, limits, |id, _| match id.0 {
        ..1_000 => Reaction::Hangs,
        _ => Reaction::Answers(SECOND / 100, sent()),
    })
    .await;
    // Far more than may be leased at once, all of it due before the others.
    (1..500).for_each(|id| post.outbox.put_in("slow.example", id, SignedDuration::ZERO));
    for id in 0..50 {
        let lane = ["a.example", "b.example", "c.example"][usize::try_from(id % 3).unwrap()];
        post.outbox.put_in(lane, 1_000 + id, SignedDuration::from_millis(1));
    }
    let begun = tokio::time::Instant::now();
    post.handle.cast(ChannelMessage::Nudge);
    post.outbox.until(|outbox| outbox.count(Sent) == 50).await;
    // The first of the slow ones has not even been given up by then.
    assert!(begun.elapsed() < 10 * SECOND, "{:?}", begun.elapsed());
    let slow = post.sender.given().into_iter().filter(|(id, _)| *id < 1_000).count();
    assert_eq!(slow, 1, "one at a time");
    post.outbox.until(|outbox| outbox.of(2).attempts > 0).await;
    assert!(post.sender.most_in_flight() <= 4);
}

#[tokio::test(start_paused = true)]
async fn a_lease_lasts_as_long_as_its_attempt() {
    let limits = ChannelLimits { send_max: SECOND * 3_600, ..ChannelLimits::default() };
    let post = post(1, limits, takes(SECOND * 600)).await;
    let other = LeaseOwner::new("b", Timestamp::UNIX_EPOCH);
    for _ in 0..59 {
        tokio::time::sleep(SECOND * 10).await;
        let (now, until) = (post.clock.now(), post.clock.now() + SECOND);
        let leased = post.outbox.lease(&other, Channel::Email, 1.into(), now, until).await.unwrap();
        assert!(leased.is_empty(), "taken over in the middle of an attempt, at {now}");
    }
    post.outbox.until(|outbox| outbox.count(Sent) == 1).await;
    assert_eq!(post.sender.given(), [(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_take_long_give_their_places_to_others() {
    let limits = ChannelLimits { send_max: SECOND * 3_600, ..two_at_once() };
    let slow = |id: DeliveryId, _| {
        let time = if id.0 <= 3 { SECOND * 600 } else { SECOND };
        Reaction::Answers(time, sent())
    };
    let post = post(40, limits, slow).await;
    let begun = tokio::time::Instant::now();
    post.outbox.until(|outbox| outbox.count(Sent) == 37).await;
    assert!(begun.elapsed() < SECOND * 90, "{:?}", begun.elapsed());
    assert_eq!(post.observe().await["in_flight"], 3);
    post.outbox.until(|outbox| outbox.count(Sent) == 40).await;
    assert!(post.sender.most_in_flight() <= 4, "{}", post.sender.most_in_flight());
    assert_eq!(post.sender.given().len(), 40);
}
