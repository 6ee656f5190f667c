//! The channels' supervisor: one permanent child for each channel that is switched on.
//!
//! Its parent is the root. A channel actor that ends is started again after a back-off; its
//! siblings are untouched. More than [`RESTARTS_MAX`] restarts within [`RESTARTS_WITHIN`] and the
//! supervisor fails itself (whatever the channels share is broken), its children with it, and the
//! root starts it again within the root's own budget.

use std::sync::Arc;
use std::sync::atomic::{Ordering::Release, Ordering::SeqCst};
use std::time::Duration;

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Instant;
use tracing::{info, warn};

use super::place::{self, ChannelPlace, GONE_MAX};
use super::{ChannelMessage, ChannelStart};
use crate::directory::Channels;
use crate::failures::{Budget, Failures};
use crate::observe::{ActorReport, RestartCause, TreeLog};
use crate::supervisor::RestartRequest;
use crate::vitals::{Handle, Vitals};
use bellpull_port::call::{Call, CallOutcome};

/// At most this many restarts of channel actors …
const RESTARTS_MAX: usize = 5;
/// … in this long are too many.
const RESTARTS_WITHIN: Duration = Duration::from_secs(10);
/// How long a channel may take to report its state; the report goes on without it.
const OBSERVE_MAX: Duration = Duration::from_millis(500);

/// The messages of the supervisor.
#[derive(Debug)]
pub(crate) enum ChannelsMessage {
    /// A child's back-off is over.
    Respawn(usize),
    /// How are you all?
    Report(Call<usize, ActorReport>),
    /// An operator wants the child at that path started again.
    Restart(RestartRequest<String>),
}

/// The supervisor, with all that its children are started from.
#[derive(Debug, Clone)]
pub(crate) struct ChannelSupervisor {
    pub(crate) channels: Channels,
    pub(crate) log: Arc<TreeLog>,
}

/// The state of the supervisor: its children, in the order of their places.
#[derive(Debug)]
pub(crate) struct SupervisorState {
    vitals: Arc<Vitals>,
    failures: Failures<usize>,
    budget: Budget,
    /// Which actor is at each place; `None` while it is down.
    children: Vec<Option<ActorId>>,
    /// The operator who requested a restart at each place, until the actor's end is reported.
    asked: Vec<Option<Arc<str>>>,
}

impl Actor for ChannelSupervisor {
    type Msg = ChannelsMessage;
    type State = SupervisorState;
    type Arguments = Arc<Vitals>;

    async fn pre_start(
        &self,
        myself: ActorRef<ChannelsMessage>,
        vitals: Arc<Vitals>,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let count = self.channels.places.len();
        let mut state = SupervisorState {
            vitals,
            failures: Failures::default(),
            budget: Budget::new(RESTARTS_MAX, RESTARTS_WITHIN),
            children: vec![None; count],
            asked: vec![None; count],
        };
        for index in 0..count {
            self.spawn(&myself, index, &mut state).await?;
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<ChannelsMessage>,
        message: ChannelsMessage,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        let taken = state.vitals.take(&message);
        match message {
            ChannelsMessage::Respawn(index) => self.spawn(&myself, index, state).await?,
            ChannelsMessage::Report(call) => self.report(call, state),
            ChannelsMessage::Restart(call) => self.restart(&myself, call, state),
        }
        state.vitals.done(taken);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<ChannelsMessage>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, error) => {
                self.lost(&myself, child.get_id(), &error.to_string(), state)
            }
            SupervisionEvent::ActorTerminated(child, _, reason) => {
                let reason = reason.as_deref().unwrap_or("stopped");
                self.lost(&myself, child.get_id(), reason, state)
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }
}

impl ChannelSupervisor {
    /// Its path in the tree.
    pub(crate) const PATH: &'static str = place::PATH;

    async fn spawn(
        &self,
        myself: &ActorRef<ChannelsMessage>,
        index: usize,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        if self.channels.is_draining.load(SeqCst) {
            return Ok(()); // it would only begin what is to be ended
        }
        if state.children[index].is_some() {
            return Ok(()); // an operator was faster than its back-off
        }
        let place = &self.channels.places[index];
        let before = place.slot.borrow().clone();
        if let Some(before) = before {
            // An actor that has not ended by then hangs in its own code, which sends nothing.
            let _ = before.actor().wait(Some(GONE_MAX)).await;
        }
        let vitals = Vitals::new();
        let start = ChannelStart {
            vitals: Arc::clone(&vitals),
            nudged: Arc::clone(&place.nudged),
            leasing: Arc::clone(&place.leasing),
            hold: Arc::clone(&place.hold),
        };
        let parent = myself.get_cell();
        let spawning = Actor::spawn_linked(None, place.actor.clone(), start, parent);
        let (actor, _) = match &place.actor.runtime {
            Some(runtime) => runtime.spawn(spawning).await??,
            None => spawning.await?,
        };
        state.children[index] = Some(actor.get_id());
        let handle = Handle::new(actor, vitals);
        place.slot.send_replace(Some(handle.clone()));
        // A drain sets its flag before it looks for actors: either it has found this one, or the
        // flag is seen here.
        if self.channels.is_draining.load(SeqCst) {
            handle.actor().kill();
            return Ok(());
        }
        // Only now that it can be found: a nudge that went to its predecessor is made good.
        place.nudged.store(false, Release);
        handle.cast(ChannelMessage::Nudge);
        let restart = state.failures.started(index, self.log.clock().now());
        self.log.note_start(&place.path(), restart);
        Ok(())
    }

    fn restart(
        &self,
        myself: &ActorRef<ChannelsMessage>,
        call: RestartRequest<String>,
        state: &mut SupervisorState,
    ) {
        let Some(((path, operator), reply)) = call.open() else { return };
        let is_there = |place: &ChannelPlace| place.path() == path;
        let Some(index) = self.channels.places.iter().position(is_there) else {
            return reply.send(false);
        };
        match self.channels.places[index].slot.borrow().as_ref() {
            Some(actor) if state.children[index].is_some() => {
                state.asked[index] = Some(operator);
                actor.actor().kill();
            }
            Some(_) | None => {
                state.failures.hasten(index, &operator);
                respawn(Handle::new(myself.clone(), Arc::clone(&state.vitals)), index, None);
            }
        }
        reply.send(true);
    }

    fn lost(
        &self,
        myself: &ActorRef<ChannelsMessage>,
        actor: ActorId,
        text: &str,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(index) = state.children.iter().position(|child| *child == Some(actor)) else {
            return Ok(());
        };
        state.children[index] = None;
        let (path, now) = (self.channels.places[index].path(), Instant::now());
        let own = Handle::new(myself.clone(), Arc::clone(&state.vitals));
        if let Some(operator) = state.asked[index].take() {
            info!(path, %operator, "actor restarted by operator");
            let cause = RestartCause::Operator(Arc::clone(&operator));
            self.log.note(&path, "stopped", &cause.to_string());
            state.failures.note_asked(index, operator, now);
            respawn(own, index, None);
            return Ok(());
        }
        warn!(path, text, "a channel failed");
        metrics::counter!("bellpull_actor_failures_total", "kind" => "channel").increment(1);
        self.log.note(&path, "failed", text);
        let record = state.failures.note(index, text.to_owned(), self.log.clock().now(), now);
        let wait = record.down_until();
        if !self.channels.is_draining.load(SeqCst) && !state.budget.spend(now) {
            let within = RESTARTS_WITHIN.as_secs();
            let why = format!(
                "more than {RESTARTS_MAX} failures of channels in {within} s; the last: {path}: \
                 {text}"
            );
            self.log.note(&Self::PATH, "escalated", &why);
            return Err(why.into());
        }
        respawn(own, index, Some(wait));
        Ok(())
    }

    fn report(&self, call: Call<usize, ActorReport>, state: &SupervisorState) {
        let Some((most, reply)) = call.open() else { return };
        let mut own = ActorReport::new(Self::PATH.to_owned(), "supervisor", &state.vitals, None);
        own.children_total = state.children.len();
        let reports = self.channels.places.iter().enumerate().take(most).map(|(index, place)| {
            let actor = place.slot.borrow().clone().filter(|_| state.children[index].is_some());
            let down = Vitals::new();
            let vitals = actor.as_ref().map_or(&down, Handle::vitals);
            let record = state.failures.of(index);
            observe(ActorReport::new(place.path(), "channel", vitals, record), actor)
        });
        let reports = futures_util::future::join_all(reports.collect::<Vec<_>>());
        tokio::spawn(async move {
            own.children = reports.await;
            reply.send(own);
        });
    }
}

/// Restarts a child, at once or at that time.
fn respawn(own: Handle<ChannelsMessage>, index: usize, at: Option<Instant>) {
    let Some(at) = at else { return own.cast(ChannelsMessage::Respawn(index)) };
    tokio::spawn(async move {
        tokio::time::sleep_until(at).await;
        own.cast(ChannelsMessage::Respawn(index));
    });
}

/// Requests a channel's report in a task, so that its supervisor does not wait.
async fn observe(mut report: ActorReport, actor: Option<Handle<ChannelMessage>>) -> ActorReport {
    let Some(actor) = actor else {
        report.state = "backing_off";
        return report;
    };
    let (call, answer) = Call::new(());
    actor.cast(ChannelMessage::Observe(call));
    match answer.within(OBSERVE_MAX).await {
        CallOutcome::Answered(observed) => report.observed = observed,
        CallOutcome::Returned(()) => report.state = "stopping",
        CallOutcome::Lost => report.state = "busy",
    }
    report
}
