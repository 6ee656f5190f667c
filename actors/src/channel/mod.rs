//! A channel actor: leases due deliveries of its channel, has them sent, and records the outcomes.
//!
//! Its parent is the channels' supervisor, which restarts it; it runs as long as its channel is
//! enabled. All durable state is in the store: a delivery is leased in one transaction, sent
//! outside of any, and recorded in another. When the actor dies, its attempts in progress are
//! aborted and its leases end at once. Only a delivery that its provider accepted and that was not
//! yet recorded is sent again, with the same key.
//!
//! It never waits for the store or a provider: leases, attempts and records are tasks that cast
//! their results back. Results gather while a record is being written, and the next record takes
//! them all.
//!
//! A provider may take longer to answer than a lease lasts: the lease of an attempt in progress is
//! extended (`held`), and an attempt that takes long gives its place to another.
//!
//! It is notified of due deliveries ([`ChannelMessage::Nudge`]), and checks by itself when the next
//! delivery is due and every [`LOOK_EVERY`] (clocks are set, and other nodes fail).
//!
//! Limits: [`ChannelLimits`], of which some are for all nodes together; it leases at most four
//! times as many deliveries as may be in flight, and nothing while more results than that wait (the
//! store is unavailable).

mod clock_watch;
pub mod health;
mod held;
mod hold;
mod in_progress;
mod permit;
mod place;
mod supervisor;
mod work;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Release};
use std::time::Duration;

use jiff::Timestamp;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::vitals::{Handle, Vitals};
use bellpull_domain::circuit::Circuit;
use bellpull_domain::delivery::{Attempt, Leased};
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::retry::RetryRule;
use bellpull_domain::routing::Channel;
use bellpull_port::call::{Call, Reply};
use bellpull_port::{Clock, DeliveryStore, LeaseOwner, Sender, StoreError};
use clock_watch::{ClockWatch, Notice};
use health::ChannelHealth;
pub use hold::{HeldOpen, Hold};
use in_progress::InProgress;
pub(crate) use place::ChannelPlace;
pub(crate) use supervisor::{ChannelSupervisor, ChannelsMessage};

/// How often the store is read without a nudge.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The most leased deliveries for each that may be in flight: one lease costs the store as much as
/// many, and leased deliveries that are not sent delay others.
const LEASED_PER_PLACE: usize = 4;

/// The limits of a channel. What a provider notices is limited for all nodes together: each node
/// takes an equal share. Where nodes come and go, the shares are right within a heartbeat's time.
#[derive(Debug, Clone, Copy)]
pub struct ChannelLimits {
    /// How many deliveries may be with the provider at once, of all nodes together; 1 or more. Each
    /// node may have one, however many nodes there are. As many again may wait for a slow answer.
    pub in_flight_max: usize,
    /// How many deliveries of one lane may be in progress at once (see [`DeliveryStore::lease`]),
    /// of all nodes together; `u32::MAX` for a channel with one provider. Each node may have one.
    pub lane_max: u32,
    /// How many may begin in a second, of all nodes together; 0 for any number.
    pub per_s: u32,
    /// How long a lease lasts; while an attempt is in progress, it is extended.
    pub lease: Duration,
    /// The time limit of an attempt. Beyond it the provider counts as down.
    pub send_max: Duration,
    /// When a delivery is tried again.
    pub retry: RetryRule,
}

impl ChannelLimits {
    /// How much of a lease must be left for an attempt to begin: the whole time of a short one.
    #[must_use]
    pub fn begin_within(&self) -> Duration {
        self.send_max.min(self.lease / 2)
    }

    /// How many deliveries one of so many nodes may have with the provider at once.
    #[must_use]
    pub fn in_flight_share(&self, nodes: u32) -> usize {
        let nodes = usize::try_from(nodes).unwrap_or(usize::MAX).max(1);
        (self.in_flight_max / nodes).max(1)
    }

    /// How many deliveries of one lane one of so many nodes may have in progress at once.
    #[must_use]
    pub fn lane_share(&self, nodes: u32) -> u32 {
        match self.lane_max {
            u32::MAX => u32::MAX,
            lane_max => (lane_max / nodes.max(1)).max(1),
        }
    }

    /// How long one of so many nodes waits after the begin of a delivery; `None`: not at all.
    #[must_use]
    pub fn gap(&self, nodes: u32) -> Option<Duration> {
        Some(Duration::from_secs(1).checked_div(self.per_s)?.saturating_mul(nodes.max(1)))
    }
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self {
            in_flight_max: 16,
            lane_max: u32::MAX,
            per_s: 0,
            lease: Duration::from_secs(120),
            send_max: Duration::from_secs(30),
            retry: RetryRule::default(),
        }
    }
}

/// The messages of a channel actor.
#[derive(Debug)]
pub enum ChannelMessage {
    /// There may be something due.
    Nudge,
    /// Begin nothing more, return leases, and answer when all attempts in flight are recorded.
    Drain(Call<(), ()>),
    /// An operator has held its circuit open, or closed it: then what has failed before does not
    /// count any more.
    Circuit {
        /// Whether it is closed.
        is_closed: bool,
    },
    /// How is it?
    Observe(Call<(), Value>),
    /// Does it send?
    Health(Call<(), ChannelHealth>),
    /// The result of one of the actor's own tasks.
    Own(OwnMessage),
    /// Fail: for tests of failures.
    #[cfg(feature = "testing")]
    Panic,
}

/// The results of the actor's own tasks.
#[derive(Debug)]
pub struct OwnMessage(Own);

#[derive(Debug)]
enum Own {
    /// Leases that this actor does not know are ended, or not.
    Released(Result<u64, StoreError>),
    /// The leased deliveries, whether these were all, and when the next one is due.
    Leased(Result<(Vec<Leased>, bool, Option<Timestamp>), StoreError>),
    /// An attempt has ended; and the leases that went out with it, in one message.
    Tried(Box<Attempt>, Vec<(DeliveryId, u32)>),
    /// Attempts were recorded; or not, and here they are.
    Recorded(Result<Recorded, (StoreError, Vec<Attempt>)>),
    /// Leases were returned, or not.
    GivenBack(Result<(), StoreError>),
    /// The store has moved what a wrong clock had due, or not.
    ClockTold(Notice, Result<u64, StoreError>),
    /// The alarm rings.
    Alarm,
}

/// Recorded attempts.
#[derive(Debug)]
struct Recorded {
    /// When the first of them is due again.
    due_again: Option<Timestamp>,
    /// Each delivery, and whether it was sent.
    deliveries: Vec<(DeliveryId, bool)>,
}

/// The dependencies of a channel actor.
#[derive(Debug, Clone)]
pub struct ChannelActor {
    /// Which channel.
    pub channel: Channel,
    /// The outbox.
    pub store: Arc<dyn DeliveryStore>,
    /// The owner of its leases: this process. A successor in the same process is the same owner.
    pub owner: LeaseOwner,
    /// The adapter for the provider.
    pub sender: Arc<dyn Sender>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Its limits.
    pub limits: ChannelLimits,
    /// How many nodes share its limits, this one among them.
    pub nodes: watch::Receiver<u32>,
    /// Where it runs, with all that it begins; `None`: where its supervisor runs.
    pub runtime: Option<tokio::runtime::Handle>,
}

/// The arguments of a channel actor.
#[derive(Debug)]
pub struct ChannelStart {
    /// Its counters.
    pub vitals: Arc<Vitals>,
    /// Set by the sender of a nudge; while it is set, no other is sent. The actor clears it before
    /// it reads the store: a later commit needs a nudge of its own.
    pub nudged: Arc<AtomicBool>,
    /// One permit, held while leases are taken or ended. The task that takes leases outlives the
    /// actor: were its leases committed after its successor had ended all, those deliveries would
    /// wait until they end by their time.
    pub leasing: Arc<Semaphore>,
    /// Whether an operator holds the circuit open; that outlives the actor.
    pub hold: Arc<Hold>,
}

/// The state of the actor.
#[derive(Debug)]
pub struct ChannelState {
    vitals: Arc<Vitals>,
    nudged: Arc<AtomicBool>,
    leasing: Arc<Semaphore>,
    hold: Arc<Hold>,
    own: Handle<ChannelMessage>,
    /// Leased, and not begun.
    queue: VecDeque<Leased>,
    /// The deliveries that are with the provider, and since when.
    begun: HashMap<DeliveryId, Instant>,
    /// What was begun and is not recorded.
    in_progress: InProgress,
    /// The tasks that sent them. Dropped with the state, and then aborted.
    senders: JoinSet<()>,
    /// Outcomes to be recorded.
    results: Vec<Attempt>,
    /// Whether there may be leases of which this actor knows nothing: its predecessor's, or those
    /// of an answer that was lost. They are ended before anything is leased.
    has_strays: bool,
    is_releasing: bool,
    is_leasing: bool,
    is_recording: bool,
    /// How many returns of leases are in progress.
    giving_back: usize,
    /// Whether more may be due than is leased.
    has_more: bool,
    circuit: Circuit<Instant>,
    /// When the next attempt may begin, by the channel's rate.
    next_at: Instant,
    alarm: Option<(Instant, JoinHandle<()>)>,
    clock: ClockWatch,
    /// Whether it was drained: from then on nothing is begun.
    is_draining: bool,
    /// Who waits until it is drained.
    drain: Option<Reply<(), ()>>,
    /// Answers of the store in a row that were failures.
    store_failures: u32,
    /// The last failure of the store's, or of the provider's as a whole; until it works again.
    trouble: Option<String>,
    sent: u64,
    failed: u64,
    again: u64,
}

impl Drop for ChannelState {
    fn drop(&mut self) {
        if let Some((_, alarm)) = &self.alarm {
            alarm.abort();
        }
    }
}

impl Actor for ChannelActor {
    type Msg = ChannelMessage;
    type State = ChannelState;
    type Arguments = ChannelStart;

    async fn pre_start(
        &self,
        myself: ActorRef<ChannelMessage>,
        ChannelStart { vitals, nudged, leasing, hold }: ChannelStart,
    ) -> Result<ChannelState, ActorProcessingErr> {
        let own = Handle::new(myself, Arc::clone(&vitals));
        let mut state = ChannelState {
            vitals,
            nudged,
            leasing,
            hold,
            own,
            queue: VecDeque::new(),
            begun: HashMap::new(),
            in_progress: InProgress::default(),
            senders: JoinSet::new(),
            results: Vec::new(),
            has_strays: true,
            is_releasing: false,
            is_leasing: false,
            is_recording: false,
            giving_back: 0,
            has_more: true,
            circuit: Circuit::default(),
            next_at: Instant::now(),
            alarm: None,
            clock: ClockWatch::new(self.clock.now()),
            is_draining: false,
            drain: None,
            store_failures: 0,
            trouble: None,
            sent: 0,
            failed: 0,
            again: 0,
        };
        self.release(&mut state);
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<ChannelMessage>,
        message: ChannelMessage,
        state: &mut ChannelState,
    ) -> Result<(), ActorProcessingErr> {
        let taken = state.vitals.take(&message);
        match message {
            ChannelMessage::Nudge => {
                // Before the store is read: a commit during the read nudges again.
                state.nudged.store(false, Release);
                state.has_more = true;
            }
            ChannelMessage::Drain(call) => {
                state.is_draining = true;
                state.drain = call.open().map(|((), reply)| reply);
            }
            ChannelMessage::Circuit { is_closed } => self.circuit_by_hand(is_closed, state),
            ChannelMessage::Observe(call) => self.observe(call, state),
            ChannelMessage::Health(call) => self.health(call, state),
            ChannelMessage::Own(OwnMessage(own)) => self.own(own, state),
            #[cfg(feature = "testing")]
            ChannelMessage::Panic => {
                #[expect(clippy::panic, reason = "tests ask for it")]
                {
                    panic!("told to panic")
                }
            }
        }
        self.pump(state);
        state.vitals.done(taken);
        Ok(())
    }
}

/// How many a second may begin with that gap, to the thousandth.
fn rate(gap: Duration) -> f64 {
    (1_000.0 / gap.as_secs_f64()).round() / 1_000.0
}

impl ChannelActor {
    fn health(&self, call: Call<(), ChannelHealth>, state: &ChannelState) {
        let Some(((), reply)) = call.open() else { return };
        let (circuit, cause) = self.circuit(state);
        let (channel, in_flight) = (self.channel, state.begun.len());
        reply.send(ChannelHealth { channel, circuit, cause, in_flight });
    }

    /// The circuit's state, by an operator or by failures, and the cause or the last failure.
    fn circuit(&self, state: &ChannelState) -> (&'static str, Option<String>) {
        match state.hold.now(self.clock.now()) {
            Some(held) => ("open", Some(held.to_string())),
            None => (state.circuit.name(), state.trouble.clone()),
        }
    }

    fn observe(&self, call: Call<(), Value>, state: &ChannelState) {
        let Some(((), reply)) = call.open() else { return };
        let nodes = *self.nodes.borrow();
        let held = state.hold.now(self.clock.now());
        let queues = state.queue.capacity() * size_of::<Leased>()
            + state.results.capacity() * size_of::<Attempt>();
        let memory_bytes = size_of::<ChannelState>() + queues;
        let (circuit, trouble) = self.circuit(state);
        reply.send(json!({
            "memory_bytes": memory_bytes,
            "circuit": circuit,
            "held_open": held,
            "leased": state.queue.len(),
            "in_flight": state.begun.len(),
            "in_flight_max": self.limits.in_flight_share(nodes),
            "per_s": self.limits.gap(nodes).map(rate),
            "to_record": state.results.len(),
            "sent": state.sent,
            "failed": state.failed,
            "tried_again": state.again,
            "trouble": trouble,
        }));
    }
}
