//! A dynamic supervisor: spawns entity actors on demand, one an id, and is told when they idle.
//!
//! Its parent is the hub, which restarts it. Its children are made on demand, so a child that
//! fails is not started again here: the next one who asks for it gets a new one, built from the
//! store. A child that keeps failing is kept down for a growing while ([`crate::failures`]); when
//! children fail more often than [`FAILURES_MAX`] in [`FAILURES_WITHIN`], whatever they share is
//! broken and the supervisor fails too (the hub then decides). When it dies its children die.
//!
//! A child leaves in two steps, so that nothing sent to it is lost: it says [`Idle`] and from then
//! on returns every question unopened; the supervisor, which handles `Idle` before any later
//! `Obtain`, forgets it and stops it; whoever had a question returned asks here and gets a new one.
//!
//! [`Idle`]: SupervisorMessage::Idle

use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tracing::{debug, warn};

use crate::failures::{Budget, Failures};
use crate::mail::{Mail, Reply};
use crate::observe::{ActorReport, TreeLog};
use crate::vitals::{Handle, Vitals};

/// More failures of children than this …
const FAILURES_MAX: usize = 100;
/// … in this long are not their own fault.
const FAILURES_WITHIN: Duration = Duration::from_secs(10);
/// How long a child may take to say how it is before the report goes on without.
const OBSERVE_MAX: Duration = Duration::from_millis(500);

/// A kind of actor of which there is one an id.
pub trait Entity: Clone + Debug + Send + Sync + 'static {
    /// What tells its actors apart.
    type Id: Copy + Eq + Hash + Display + Debug + Send + Sync + 'static;
    /// What they are sent.
    type Message: ractor::Message;
    /// What a child may give to its supervisor for [`Entity::settle`].
    type Note: Send + 'static;

    /// `user`, `ticket`.
    const KIND: &'static str;

    /// The id as a number: which shard it belongs to.
    fn number(id: Self::Id) -> u64;

    /// Spawns the actor of `id` under `supervisor`. Must not wait for anything slow.
    fn spawn(
        &self,
        id: Self::Id,
        parent: Parent<Self>,
        vitals: Arc<Vitals>,
        supervisor: ActorCell,
    ) -> impl Future<Output = Result<ActorRef<Self::Message>, SpawnErr>> + Send;

    /// How long the wheel takes to turn: each child gets a [`Entity::tick`] so often.
    fn turn(&self) -> Duration;

    /// What a child is sent once a turn of the wheel.
    fn tick() -> Self::Message;

    /// Asks a child how it is.
    fn observe(mail: Mail<(), serde_json::Value>) -> Self::Message;

    /// Does with all notes since the last tick what is better done for many at once.
    fn settle(&self, notes: Vec<Self::Note>);
}

/// All live actors of a kind, over all shards. Only the supervisors write it.
pub type Live<E> = Arc<DashMap<<E as Entity>::Id, Handle<<E as Entity>::Message>>>;

/// What a dynamic supervisor is sent.
#[derive(Debug)]
pub enum SupervisorMessage<E: Entity> {
    /// Find or spawn the actor of an id; the error says for how long it stays down.
    Obtain(Mail<E::Id, Result<Handle<E::Message>, Duration>>),
    /// A child has nothing to do and wants to leave.
    Idle {
        /// Whose actor it is.
        id: E::Id,
        /// Which actor: by now there may be another one of that id.
        actor: ActorId,
    },
    /// A child's note.
    Note(E::Note),
    /// The wheel moves by a slot.
    Tick,
    /// How are you all? At most so many children, the busiest first.
    Report(Mail<usize, ActorReport>),
}

/// A child's way to its supervisor.
#[derive(Debug)]
pub struct Parent<E: Entity>(Handle<SupervisorMessage<E>>);

impl<E: Entity> Parent<E> {
    /// Says that the child has nothing to do; from now on it must open no mail.
    pub fn idle(&self, id: E::Id, actor: ActorId) {
        self.0.cast(SupervisorMessage::Idle { id, actor });
    }

    /// Gives a note.
    pub fn note(&self, note: E::Note) {
        self.0.cast(SupervisorMessage::Note(note));
    }
}

/// What a dynamic supervisor is made of.
#[derive(Debug, Clone)]
pub struct DynamicSupervisor<E: Entity> {
    /// The kind of its children.
    pub entity: E,
    /// Where its live children are found.
    pub live: Live<E>,
    /// Which shard it is, of how many.
    pub shard: (u64, u64),
    /// Its own path.
    pub path: String,
    /// Where its events go.
    pub log: Arc<TreeLog>,
}

/// What it knows.
#[derive(Debug)]
pub struct SupervisorState<E: Entity> {
    vitals: Arc<Vitals>,
    /// The children by actor, in the slots of the wheel.
    wheel: Vec<HashMap<ActorId, E::Id>>,
    hand: usize,
    notes: Vec<E::Note>,
    failures: Failures<E::Id>,
    budget: Budget,
}

impl<E: Entity> SupervisorState<E> {
    fn slot(&mut self, actor: ActorId) -> &mut HashMap<ActorId, E::Id> {
        let slots = self.wheel.len();
        let slot = usize::try_from(actor.pid()).unwrap_or(0) % slots;
        &mut self.wheel[slot]
    }

    fn children(&self) -> usize {
        self.wheel.iter().map(HashMap::len).sum()
    }
}

impl<E: Entity> Actor for DynamicSupervisor<E> {
    type Msg = SupervisorMessage<E>;
    type State = SupervisorState<E>;
    type Arguments = Arc<Vitals>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        vitals: Arc<Vitals>,
    ) -> Result<Self::State, ActorProcessingErr> {
        // Whatever an earlier incarnation left is dead: nobody may find it any more.
        self.live.retain(|id, _| E::number(*id) % self.shard.1 != self.shard.0);
        let second = Duration::from_secs(1);
        let turn = self.entity.turn();
        let slots = usize::try_from(turn.as_secs().max(1)).unwrap_or(1);
        let period = if turn < second { turn } else { second };
        let handle = Handle::new(myself.clone(), Arc::clone(&vitals));
        tokio::spawn(tick(handle, period));
        Ok(SupervisorState {
            vitals,
            wheel: std::iter::repeat_with(HashMap::new).take(slots).collect(),
            hand: 0,
            notes: Vec::new(),
            failures: Failures::default(),
            budget: Budget::new(FAILURES_MAX, FAILURES_WITHIN),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let taken = state.vitals.take();
        match message {
            SupervisorMessage::Obtain(mail) => self.obtain(&myself, mail, state).await,
            SupervisorMessage::Idle { id, actor } => self.dismiss(id, actor, state),
            SupervisorMessage::Note(note) => state.notes.push(note),
            SupervisorMessage::Tick => self.tick(state),
            SupervisorMessage::Report(mail) => self.report(mail, state),
        }
        state.vitals.done(taken);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, error) => {
                self.lost(child.get_id(), &error.to_string(), state)
            }
            SupervisionEvent::ActorTerminated(child, _, reason) => {
                self.lost(child.get_id(), reason.as_deref().unwrap_or("stopped"), state)
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }
}

async fn tick<E: Entity>(supervisor: Handle<SupervisorMessage<E>>, period: Duration) {
    let mut ticker = tokio::time::interval(period);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !supervisor.is_gone() {
        ticker.tick().await;
        supervisor.cast(SupervisorMessage::Tick);
    }
}

impl<E: Entity> DynamicSupervisor<E> {
    fn child_path(id: E::Id) -> String {
        format!("{}/{id}", E::KIND)
    }

    async fn obtain(
        &self,
        myself: &ActorRef<SupervisorMessage<E>>,
        mail: Mail<E::Id, Result<Handle<E::Message>, Duration>>,
        state: &mut SupervisorState<E>,
    ) {
        let Some((id, reply)) = mail.open() else { return };
        if let Some(found) = self.live.get(&id) {
            return reply.send(Ok(found.clone()));
        }
        let down = state
            .failures
            .of(id)
            .map(|record| record.down_until().saturating_duration_since(Instant::now()));
        if let Some(down) = down.filter(|down| !down.is_zero()) {
            return reply.send(Err(down));
        }
        let vitals = Vitals::new();
        let parent = Parent(Handle::new(myself.clone(), Arc::clone(&state.vitals)));
        let spawned = self.entity.spawn(id, parent, Arc::clone(&vitals), myself.get_cell()).await;
        match spawned {
            Ok(actor) => {
                let restarted = state.failures.started(id);
                self.log.note(
                    &Self::child_path(id),
                    if restarted { "restarted" } else { "spawned" },
                    "",
                );
                state.slot(actor.get_id()).insert(actor.get_id(), id);
                let handle = Handle::new(actor, vitals);
                self.live.insert(id, handle.clone());
                metrics::gauge!("bellpull_actors", "kind" => E::KIND).increment(1.0);
                reply.send(Ok(handle));
            }
            Err(error) => {
                warn!(path = Self::child_path(id), %error, "an actor could not be spawned");
                let now = Instant::now();
                state.failures.note(id, error.to_string(), self.log.clock().now(), now);
                reply.send(Err(Duration::from_millis(100)));
            }
        }
    }

    fn dismiss(&self, id: E::Id, actor: ActorId, state: &mut SupervisorState<E>) {
        if state.slot(actor).remove(&actor).is_none() {
            return;
        }
        metrics::gauge!("bellpull_actors", "kind" => E::KIND).decrement(1.0);
        let gone = self.live.remove_if(&id, |_, handle| handle.actor().get_id() == actor);
        if let Some((_, handle)) = gone {
            debug!(path = Self::child_path(id), "an idle actor leaves");
            self.log.note(&Self::child_path(id), "stopped", "idle");
            handle.actor().stop(Some("idle".to_owned()));
        }
    }

    /// A child ended without having been dismissed: a failure, whatever it calls it.
    fn lost(
        &self,
        actor: ActorId,
        text: &str,
        state: &mut SupervisorState<E>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(id) = state.slot(actor).remove(&actor) else { return Ok(()) };
        self.live.remove_if(&id, |_, handle| handle.actor().get_id() == actor);
        metrics::gauge!("bellpull_actors", "kind" => E::KIND).decrement(1.0);
        metrics::counter!("bellpull_actor_failures_total", "kind" => E::KIND).increment(1);
        let path = Self::child_path(id);
        warn!(path, text, "an actor failed");
        self.log.note(&path, "failed", text);
        let now = Instant::now();
        state.failures.note(id, text.to_owned(), self.log.clock().now(), now);
        if state.budget.spend(now) {
            return Ok(());
        }
        self.log.note(&self.path, "escalated", text);
        let within = FAILURES_WITHIN.as_secs();
        Err(format!("more than {FAILURES_MAX} failures in {within} s; the last: {path}: {text}")
            .into())
    }

    fn tick(&self, state: &mut SupervisorState<E>) {
        state.hand = (state.hand + 1) % state.wheel.len();
        for id in state.wheel[state.hand].values() {
            if let Some(child) = self.live.get(id) {
                child.cast(E::tick());
            }
        }
        if !state.notes.is_empty() {
            self.entity.settle(std::mem::take(&mut state.notes));
        }
    }

    fn report(&self, mail: Mail<usize, ActorReport>, state: &SupervisorState<E>) {
        let Some((most, reply)) = mail.open() else { return };
        let mut own = ActorReport::new(self.path.clone(), E::KIND, &state.vitals, None);
        own.kind = "supervisor";
        own.children_total = state.children();
        let mut children: Vec<(ActorReport, Handle<E::Message>)> = Vec::new();
        for id in state.wheel.iter().flat_map(HashMap::values) {
            if let Some(child) = self.live.get(id) {
                let record = state.failures.of(*id);
                let path = Self::child_path(*id);
                children
                    .push((ActorReport::new(path, E::KIND, child.vitals(), record), child.clone()));
            }
        }
        children.sort_by_key(|(report, _)| {
            std::cmp::Reverse((report.restarts, report.mailbox_depth, report.handled))
        });
        children.truncate(most);
        tokio::spawn(observe_all::<E>(own, children, reply));
    }
}

/// Asks each child how it is, without the supervisor having to wait for slow ones.
async fn observe_all<E: Entity>(
    mut own: ActorReport,
    children: Vec<(ActorReport, Handle<E::Message>)>,
    reply: Reply<usize, ActorReport>,
) {
    let ask = |(mut report, child): (ActorReport, Handle<E::Message>)| async move {
        let (mail, answer) = Mail::new(());
        child.cast(E::observe(mail));
        match answer.within(OBSERVE_MAX).await {
            crate::mail::Fate::Answered(observed) => report.observed = observed,
            crate::mail::Fate::Returned(()) => report.state = "stopping",
            crate::mail::Fate::Lost => report.state = "busy",
        }
        report
    };
    own.children = futures_util::future::join_all(children.into_iter().map(ask)).await;
    reply.send(own);
}
