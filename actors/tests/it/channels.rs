//! The channels in the tree: started with it, started again, shown, and drained with it.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::channel::{ChannelActor, ChannelLimits};
use bellpull_actors::hub::{ByHand, HubLimits, RestartError};
use bellpull_actors::observe::{ActorReport, TreeEvent};
use bellpull_domain::delivery::Outcome;
use bellpull_domain::notification::DeliveryStatus::{Queued, Sent};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::ticket::Command;
use bellpull_domain::user::Role;
use bellpull_port::testing::{FakeClock, FakeOutbox, FakeSender, Reaction};
use bellpull_port::{Clock, LeaseOwner};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::TestNode;

const SECOND: Duration = Duration::from_secs(1);

/// A hub with e-mail and WhatsApp.
struct Office {
    clock: Arc<FakeClock>,
    node: TestNode,
    email: Desk,
    whatsapp: Desk,
}

/// One channel's outbox and provider.
pub(crate) struct Desk {
    outbox: FakeOutbox,
    sender: Arc<FakeSender>,
}

pub(crate) fn sends() -> Reaction {
    Reaction::Answers(SECOND, Outcome::Sent { provider_id: None })
}

impl Desk {
    pub(crate) fn open(clock: &Arc<FakeClock>, does: fn() -> Reaction) -> Self {
        let outbox = FakeOutbox::new(clock.clone());
        Self { outbox, sender: FakeSender::new(move |_, _| does()) }
    }

    pub(crate) fn actor(&self, channel: Channel, clock: &Arc<FakeClock>) -> ChannelActor {
        ChannelActor {
            channel,
            store: Arc::new(self.outbox.clone()),
            owner: LeaseOwner::new("a", Timestamp::UNIX_EPOCH),
            sender: self.sender.clone(),
            clock: clock.clone(),
            limits: ChannelLimits { in_flight_max: 2, ..ChannelLimits::default() },
            nodes: watch::channel(1).1,
            runtime: None,
        }
    }

    pub(crate) fn put(&self, ids: std::ops::RangeInclusive<i64>) {
        ids.for_each(|id| self.outbox.put(id, SignedDuration::ZERO));
    }

    pub(crate) async fn until_sent(&self, count: usize) {
        self.outbox.until(|outbox| outbox.count(Sent) == count).await;
    }

    /// How often each delivery was given to the provider, in the order of their ids.
    fn times_given(&self) -> Vec<usize> {
        let mut ids: Vec<i64> = self.sender.given().iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.chunk_by(|a, b| a == b).map(<[i64]>::len).collect()
    }
}

impl Office {
    async fn open(email: fn() -> Reaction) -> Self {
        Self::open_after(email, |_, _| {}).await
    }

    /// After something was done with the clock and what e-mail finds.
    async fn open_after(email: fn() -> Reaction, before: impl FnOnce(&FakeClock, &Desk)) -> Self {
        let clock = Arc::new(FakeClock::default());
        let (email, whatsapp) = (Desk::open(&clock, email), Desk::open(&clock, sends));
        before(&clock, &email);
        let channels =
            vec![email.actor(Channel::Email, &clock), whatsapp.actor(Channel::WhatsApp, &clock)];
        let node = TestNode::with_channels(HubLimits::default(), clock.clone(), channels).await;
        Self { clock, node, email, whatsapp }
    }

    async fn find(&self, path: &str) -> ActorReport {
        self.node.find(path).await.unwrap_or_else(|| panic!("{path} is not in the tree"))
    }
}

/// When the tree's log tells that this happened to e-mail's actor.
async fn announced(events: &mut Receiver<Arc<TreeEvent>>, what: &str) -> Timestamp {
    let telling = async {
        loop {
            let event = events.recv().await.unwrap();
            if event.path == "channels/email" && event.what == what {
                return event.at;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(600), telling)
        .await
        .unwrap_or_else(|_| panic!("never {what}"))
}

#[tokio::test(start_paused = true)]
async fn a_commit_has_every_channel_look_at_once() {
    let office = Office::open(sends).await;
    office.email.put(1..=1);
    office.email.until_sent(0).await;
    let creator = office.node.store.add_user(1, Role::Client);
    let begun = Instant::now();
    office.whatsapp.put(1..=3);
    office.node.raise(&creator).await;
    office.email.until_sent(1).await;
    office.whatsapp.until_sent(3).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn operators_see_each_channel_with_what_it_is_doing() {
    let office = Office::open(sends).await;
    office.email.put(1..=20);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.sender.until_in_flight(2).await;
    let parent = office.find("channels").await;
    assert_eq!((parent.kind, parent.children_total), ("supervisor", 2));
    let email = office.find("channels/email").await;
    assert_eq!((email.kind, email.state), ("channel", "running"));
    assert_eq!(email.observed["circuit"], "closed");
    assert_eq!((&email.observed["leased"], &email.observed["in_flight"]), (&6.into(), &2.into()));
    office.email.until_sent(20).await;
    assert_eq!(office.find("channels/email").await.observed["sent"], 20);
    assert_eq!(office.find("channels/whatsapp").await.observed["sent"], 0);
}

#[tokio::test(start_paused = true)]
async fn an_operator_restarts_one_channel_and_the_other_goes_on() {
    let office = Office::open(sends).await;
    office.email.put(1..=10);
    office.whatsapp.put(1..=10);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.sender.until_in_flight(2).await;
    assert_eq!(office.node.hub.restart("channels/email", "root").await, Ok(()));
    office.email.until_sent(10).await;
    office.whatsapp.until_sent(10).await;
    let email = office.find("channels/email").await;
    assert_eq!((email.restarts, email.last_failure.is_none()), (1, true));
    assert_eq!(email.last_restart.unwrap().to_string(), "restarted by operator root");
    assert_eq!(office.find("channels/whatsapp").await.restarts, 0);
    // What was with the provider is given to it again, nothing else is.
    assert_eq!(office.email.times_given().iter().sum::<usize>(), 12);
    assert_eq!(office.whatsapp.times_given(), [1; 10]);
    assert!(office.node.hub.is_ready());
    for missing in ["channels/sms", "channels/", "channels/email/x"] {
        assert_eq!(office.node.hub.restart(missing, "root").await, Err(RestartError::NotFound));
    }
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_an_operator_opens_stays_open_over_a_restart_and_loses_nothing() {
    let office = Office::open(sends).await;
    let hub = &office.node.hub;
    let open = ByHand::Open { until: None };
    assert!(!hub.set_circuit(Channel::Sms, open, "root"), "there is no such channel");
    office.email.put(1..=6);
    let creator = office.node.store.add_user(1, Role::Client);
    office.node.raise(&creator).await;
    office.email.outbox.until(|outbox| outbox.count(Sent) == 2).await;
    assert!(hub.set_circuit(Channel::Email, open, "root"));
    // What is with the provider ends; nothing else begins, whatever happens.
    tokio::time::sleep(SECOND * 2).await;
    let given = office.email.times_given().len();
    assert!(given < 6, "{given}");
    let mut events = hub.events(None).live;
    hub.restart("channels/email", "root").await.unwrap();
    announced(&mut events, "restarted").await;
    office.node.raise(&creator).await;
    tokio::time::sleep(SECOND * 400).await;
    assert_eq!(office.email.times_given().len(), given);
    let report = office.find("channels/email").await;
    assert_eq!(report.observed["circuit"], "open");
    assert_eq!(report.observed["held_open"]["operator"], "root");
    assert_eq!(report.observed["trouble"], "opened by operator root");
    office.whatsapp.put(1..=1);
    office.node.raise(&creator).await;
    office.whatsapp.until_sent(1).await;

    assert!(hub.set_circuit(Channel::Email, ByHand::Closed, "root"));
    office.email.until_sent(6).await;
    assert_eq!(office.email.times_given(), [1; 6], "each once");
    assert_eq!(office.find("channels/email").await.observed["circuit"], "closed");
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_is_opened_for_a_time_closes_by_itself() {
    let office = Office::open(sends).await;
    let until = office.clock.now().checked_add(SignedDuration::from_secs(90)).unwrap();
    let open = ByHand::Open { until: Some(until) };
    assert!(office.node.hub.set_circuit(Channel::Email, open, "root"));
    office.email.put(1..=2);
    let creator = office.node.store.add_user(1, Role::Client);
    office.node.raise(&creator).await;
    let begun = Instant::now();
    office.email.until_sent(2).await;
    let took = begun.elapsed().as_secs();
    assert!((90..95).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn channels_that_an_operator_restarts_often_are_not_their_supervisors_failure() {
    let office = Office::open(sends).await;
    for nth in 1..=10 {
        assert_eq!(office.node.hub.restart("channels/email", "root").await, Ok(()));
        office.node.until_state("channels/email", "running").await;
        assert_eq!(office.find("channels/email").await.restarts, nth);
    }
    assert_eq!(office.find("channels").await.restarts, 0);
    office.email.put(1..=3);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.until_sent(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_panics_comes_back_after_a_growing_while() {
    let office = Office::open(sends).await;
    let mut events = office.node.hub.events(None).live;
    for wait_ms in [0, 100, 200, 400] {
        office.node.hub.panic_at("channels/email");
        let failed = announced(&mut events, "failed").await;
        let restarted = announced(&mut events, "restarted").await;
        let took = restarted.duration_since(failed).as_millis();
        assert!((wait_ms..wait_ms + 5).contains(&took), "{took} ms instead of {wait_ms}");
    }
    let email = office.find("channels/email").await;
    assert_eq!((email.restarts, email.last_failure.unwrap().text.as_str()), (4, "told to panic"));
    office.email.put(1..=3);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.until_sent(3).await;
}

#[tokio::test(start_paused = true)]
async fn leases_that_are_taken_while_the_actor_dies_end_with_it() {
    let office = Office::open(sends).await;
    office.email.outbox.slow_down(SECOND);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    tokio::time::sleep(SECOND / 10).await;
    office.node.hub.kill_at("channels/email").await.unwrap();
    tokio::time::sleep(SECOND / 2).await;
    // The request of the actor that died takes them half a second later.
    office.email.put(1..=3);
    office.email.until_sent(3).await;
    assert_eq!(office.email.times_given(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn leases_whose_answer_was_lost_are_taken_again_and_no_others() {
    let office = Office::open(sends).await;
    let begun = tokio::time::Instant::now();
    office.email.put(1..=2);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.sender.until_in_flight(2).await;
    office.email.outbox.lose_answer();
    office.email.put(3..=5);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.until_sent(5).await;
    assert_eq!(office.email.times_given(), [1, 1, 1, 1, 1]);
    assert!(begun.elapsed() < ChannelLimits::default().lease, "they did not end by their time");
}

#[tokio::test(start_paused = true)]
async fn what_is_leased_again_while_it_is_sent_is_not_sent_twice() {
    let office = Office::open(sends).await;
    office.email.outbox.be_exclusive();
    office.email.outbox.answer_late(SECOND * 2);
    office.email.put(1..=1);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.sender.until_in_flight(1).await;
    // By this clock the lease has ended: it is taken again, and the answer comes after the record.
    office.clock.set(office.clock.now() + SignedDuration::from_hours(1));
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.until_sent(1).await;
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(office.email.outbox.of(1).attempts, 2, "it was leased twice");
    assert_eq!(office.email.times_given(), [1]);
}

#[tokio::test(start_paused = true)]
async fn what_was_due_is_sent_after_the_clock_was_set_back() {
    let office = Office::open(sends).await;
    let begun = tokio::time::Instant::now();
    let hours = SignedDuration::from_hours(3);
    let right = office.clock.now();
    office.clock.set(right + hours);
    office.email.put(1..=9);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.until_sent(2).await;
    office.clock.set(right);
    office.email.until_sent(9).await;
    assert_eq!(office.email.times_given(), [1; 9]);
    assert!(begun.elapsed() < SECOND * 60, "nothing waits for the old time");
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_ahead_wrote_before_the_start_is_sent_at_once() {
    let begun = tokio::time::Instant::now();
    let office = Office::open_after(sends, |clock, email| {
        let right = clock.now();
        clock.set(right + SignedDuration::from_hours(3));
        email.put(1..=9);
        clock.set(right);
    });
    office.await.email.until_sent(9).await;
    assert!(begun.elapsed() < SECOND * 60, "nothing waits for the old time");
}

#[tokio::test(start_paused = true)]
async fn channels_that_fail_too_often_are_their_supervisors_failure() {
    let office = Office::open(sends).await;
    let mut events = office.node.hub.events(None).live;
    for nth in 1..=6 {
        office.node.hub.panic_at("channels/email");
        announced(&mut events, "failed").await;
        // The sixth is one too many: its supervisor's successor knows nothing of it.
        announced(&mut events, if nth < 6 { "restarted" } else { "spawned" }).await;
    }
    let parent = office.find("channels").await;
    assert_eq!(parent.restarts, 1);
    let text = parent.last_failure.unwrap().text;
    assert!(
        text.starts_with("more than 5 failures of channels in 10 s; the last: channels/email"),
        "{text}"
    );
    office.whatsapp.put(1..=3);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.whatsapp.until_sent(3).await;
    assert!(office.node.hub.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_killed_supervisor_takes_the_channels_along_and_nothing_is_lost() {
    let office = Office::open(sends).await;
    office.email.put(1..=10);
    office.whatsapp.put(1..=10);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.sender.until_in_flight(2).await;
    office.node.hub.kill_at("channels").await.unwrap();
    office.email.until_sent(10).await;
    office.whatsapp.until_sent(10).await;
    assert_eq!(office.find("channels").await.restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_what_is_with_the_provider_and_begins_nothing() {
    let office = Office::open(sends).await;
    office.email.put(1..=10);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.sender.until_in_flight(2).await;
    let begun = Instant::now();
    office.node.hub.drain(Duration::from_secs(10)).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!((office.email.outbox.count(Sent), office.email.outbox.count(Queued)), (2, 8));
    assert!((1..=10).all(|id| office.email.outbox.of(id).leased_until.is_none()));
    assert_eq!(office.email.times_given(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_drained_channel_leases_nothing_more() {
    let office = Office::open(sends).await;
    office.email.put(1..=1);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.until_sent(1).await;
    office.node.hub.end_sending().await;
    office.email.put(2..=3);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!((2..=3).all(|id| office.email.outbox.of(id).leased_until.is_none()));
    assert_eq!(office.email.times_given(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_cuts_off_what_hangs_and_ends_its_leases() {
    let office = Office::open(|| Reaction::Hangs).await;
    office.email.put(1..=10);
    office.whatsapp.put(1..=2);
    office.node.hub.channels.nudge(Channels::of(&Channel::ALL));
    office.email.sender.until_in_flight(2).await;
    let begun = Instant::now();
    office.node.hub.drain(Duration::from_secs(10)).await;
    assert!(begun.elapsed() < Duration::from_secs(13), "{:?}", begun.elapsed());
    assert_eq!(office.whatsapp.outbox.count(Sent), 2);
    assert_eq!(office.email.outbox.count(Queued), 10);
    assert!((1..=10).all(|id| office.email.outbox.of(id).leased_until.is_none()));
    // The two that were begun keep their number: the next attempt is told apart from it.
    let begun: u32 = (1..=10).map(|id| office.email.outbox.of(id).attempts).sum();
    assert_eq!(begun, 2);
    office.email.sender.until_in_flight(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_down_does_not_hold_up_a_drain_nor_come_back_after_it() {
    let office = Office::open(sends).await;
    let mut events = office.node.hub.events(None).live;
    office.node.hub.panic_at("channels/email");
    announced(&mut events, "restarted").await;
    office.node.hub.panic_at("channels/email");
    office.node.until_state("channels/email", "backing_off").await;
    office.email.put(1..=1);
    office.node.hub.end_sending().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(office.email.times_given(), [0_usize; 0]);
}

#[tokio::test(start_paused = true)]
async fn without_a_channel_there_is_no_branch_for_them() {
    let node = TestNode::new().await;
    assert!(node.find("channels").await.is_none());
    assert_eq!(node.hub.restart("channels", "root").await, Err(RestartError::NotFound));
    assert_eq!(node.hub.restart("channels/email", "root").await, Err(RestartError::NotFound));
    let creator = node.store.add_user(1, Role::Client);
    let id = node.raise(&creator).await.id;
    node.command(id, Command::Delete, &creator).await.unwrap();
    node.hub.drain(SECOND).await;
}
