//! A dynamic supervisor: spawns entity actors on demand, one per id, and stops idle ones.
//!
//! Its parent is the hub, which restarts it. Its children are created on demand, so a child that
//! fails is not restarted here: the next request for it creates a new one from the store. A child
//! that keeps failing is kept down for increasing times ([`crate::failures`]). When children fail
//! more often than [`FAILURES_MAX`] in [`FAILURES_WITHIN`], what they share is broken and the
//! supervisor fails too (the hub then decides). Its children stop with it.
//!
//! A child leaves in two steps, so that no message to it is lost: it sends [`Idle`] and from then
//! on returns every request unopened; the supervisor, which handles `Idle` before any later
//! `Obtain`, removes it and stops it; a caller whose request was returned asks here for a new one.
//!
//! [`Idle`]: SupervisorMessage::Idle

mod children;
mod entity;
mod report;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Instant;
use tracing::{debug, info, warn};

pub use entity::{
    Entity, Id, Live, Message, Note, ObtainRequest, Parent, Protocol, RestartRequest,
    SupervisorMessage, Wanted,
};

use children::Children;

use crate::failures::{Budget, Failures};
use crate::observe::{RestartCause, TreeLog};
use crate::vitals::{Handle, Vitals};

/// More failures of children than this …
const FAILURES_MAX: usize = 100;
/// … in this long are not their own fault.
const FAILURES_WITHIN: Duration = Duration::from_secs(10);

/// The shortest interval of the wheel, whatever the limits: a timer with interval 0 would be an
/// error.
const TURN_MIN: Duration = Duration::from_millis(10);

/// The dependencies of a dynamic supervisor.
#[derive(Debug, Clone)]
pub struct DynamicSupervisor<E: Entity> {
    /// The kind of its children.
    pub entity: E,
    /// Where its live children are registered.
    pub live: Live<E::Protocol>,
    /// Which shard it is, of how many.
    pub shard: (u64, u64),
    /// Its own path.
    pub path: String,
    /// Where its events go.
    pub log: Arc<TreeLog>,
}

/// Its state.
#[derive(Debug)]
pub struct SupervisorState<E: Entity> {
    vitals: Arc<Vitals>,
    children: Children<Id<E>>,
    /// Callers that wait for the successor of an actor that is stopping.
    waiting: HashMap<ActorId, Vec<ObtainRequest<E::Protocol>>>,
    /// Children that were killed because an operator requested their restart, with the operator's
    /// name, until their end is reported.
    asked: HashMap<ActorId, Arc<str>>,
    notes: Vec<Note<E>>,
    failures: Failures<Id<E>>,
    budget: Budget,
}

impl<E: Entity> Actor for DynamicSupervisor<E> {
    type Msg = SupervisorMessage<E::Protocol>;
    type State = SupervisorState<E>;
    type Arguments = Arc<Vitals>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        vitals: Arc<Vitals>,
    ) -> Result<Self::State, ActorProcessingErr> {
        // Actors of an earlier incarnation are dead: they must not be found any more.
        self.live.retain(|id, _| <E::Protocol>::number(*id) % self.shard.1 != self.shard.0);
        let second = Duration::from_secs(1);
        let turn = self.entity.turn().max(TURN_MIN);
        let slots = usize::try_from(turn.as_secs().max(1)).unwrap_or(1);
        let period = if turn < second { turn } else { second };
        let handle = Handle::new(myself.clone(), Arc::clone(&vitals));
        tokio::spawn(tick(handle, period));
        Ok(SupervisorState {
            vitals,
            children: Children::new(slots, <E::Protocol>::KIND),
            waiting: HashMap::new(),
            asked: HashMap::new(),
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
        let taken = state.vitals.take(&message);
        match message {
            SupervisorMessage::Obtain(call) => self.obtain(&myself, call, state).await,
            SupervisorMessage::Idle { id, actor } => self.dismiss(id, actor, state),
            SupervisorMessage::Note(note) => state.notes.push(note),
            SupervisorMessage::Tick => self.tick(state),
            SupervisorMessage::Report(call) => self.report(call, state),
            SupervisorMessage::Restart(call) => self.restart(call, state),
            #[cfg(feature = "testing")]
            SupervisorMessage::Panic => {
                #[expect(clippy::panic, reason = "tests ask for it")]
                {
                    panic!("told to panic")
                }
            }
        }
        state.vitals.done(taken);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let ended = match event {
            SupervisionEvent::ActorFailed(child, error) => {
                self.lost(child.get_id(), &error.to_string(), state)?;
                child.get_id()
            }
            SupervisionEvent::ActorTerminated(child, _, reason) => {
                self.lost(child.get_id(), reason.as_deref().unwrap_or("stopped"), state)?;
                child.get_id()
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        for call in state.waiting.remove(&ended).unwrap_or_default() {
            self.obtain(&myself, call, state).await;
        }
        Ok(())
    }
}

async fn tick<P: Protocol>(supervisor: Handle<SupervisorMessage<P>>, period: Duration) {
    let mut ticker = tokio::time::interval(period);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !supervisor.is_gone() {
        ticker.tick().await;
        supervisor.cast(SupervisorMessage::Tick);
    }
}

impl<E: Entity> DynamicSupervisor<E> {
    fn child_path(id: Id<E>) -> String {
        format!("{}/{id}", <E::Protocol>::KIND)
    }

    async fn obtain(
        &self,
        myself: &ActorRef<SupervisorMessage<E::Protocol>>,
        call: ObtainRequest<E::Protocol>,
        state: &mut SupervisorState<E>,
    ) {
        let Some(Wanted { id, successor_of }) = call.question().copied() else { return };
        let found = self.live.get(&id).map(|entry| entry.clone());
        if let Some(found) = found {
            let actor = found.actor().get_id();
            if successor_of == Some(actor) {
                // Its end is not reported yet: the answer is its successor.
                state.waiting.entry(actor).or_default().push(call);
            } else if let Some((_, reply)) = call.open() {
                reply.send(Ok(found));
            }
            return;
        }
        let Some((_, reply)) = call.open() else { return };
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
                let restart = state.failures.started(id, self.log.clock().now());
                self.log.note_start(&format_args!("{}/{id}", <E::Protocol>::KIND), restart);
                state.children.insert(actor.get_id(), id);
                let handle = Handle::new(actor, vitals);
                self.live.insert(id, handle.clone());
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

    fn dismiss(&self, id: Id<E>, actor: ActorId, state: &mut SupervisorState<E>) {
        if state.children.remove(actor).is_none() {
            return;
        }
        state.asked.remove(&actor);
        let gone = self.live.remove_if(&id, |_, handle| handle.actor().get_id() == actor);
        if let Some((_, handle)) = gone {
            debug!(path = Self::child_path(id), "an idle actor leaves");
            self.log.note(&Self::child_path(id), "stopped", "idle");
            handle.actor().stop(Some("idle".to_owned()));
        }
    }

    /// Kills a child because an operator requests its restart, or lets one start at once that is
    /// kept down.
    fn restart(&self, call: RestartRequest<Id<E>>, state: &mut SupervisorState<E>) {
        let Some(((id, operator), reply)) = call.open() else { return };
        let found = self.live.get(&id).map(|entry| entry.clone());
        let Some(child) = found else { return reply.send(state.failures.hasten(id, &operator)) };
        state.asked.insert(child.actor().get_id(), operator);
        child.actor().kill();
        reply.send(true);
    }

    /// A child ended without having been stopped: a failure, whatever the reason, unless an
    /// operator requested it.
    fn lost(
        &self,
        actor: ActorId,
        text: &str,
        state: &mut SupervisorState<E>,
    ) -> Result<(), ActorProcessingErr> {
        let asked = state.asked.remove(&actor);
        let Some(id) = state.children.remove(actor) else { return Ok(()) };
        self.live.remove_if(&id, |_, handle| handle.actor().get_id() == actor);
        let (path, now) = (Self::child_path(id), Instant::now());
        if let Some(operator) = asked {
            info!(path, %operator, "actor restarted by operator");
            let cause = RestartCause::Operator(Arc::clone(&operator));
            self.log.note(&path, "stopped", &cause.to_string());
            state.failures.note_asked(id, operator, now);
            return Ok(());
        }
        metrics::counter!("bellpull_actor_failures_total", "kind" => <E::Protocol>::KIND)
            .increment(1);
        warn!(path, text, "an actor failed");
        self.log.note(&path, "failed", text);
        state.failures.note(id, text.to_owned(), self.log.clock().now(), now);
        if state.budget.spend(now) {
            return Ok(());
        }
        let within = FAILURES_WITHIN.as_secs();
        let why =
            format!("more than {FAILURES_MAX} failures in {within} s; the last: {path}: {text}");
        self.log.note(&self.path, "escalated", &why);
        Err(why.into())
    }

    fn tick(&self, state: &mut SupervisorState<E>) {
        for id in state.children.turn() {
            if let Some(child) = self.live.get(id) {
                child.cast(<E::Protocol>::tick());
            }
        }
        if !state.notes.is_empty() {
            self.entity.settle(std::mem::take(&mut state.notes));
        }
    }
}
