//! The root actor: supervises the supervisors and the scheduler, one for one.
//!
//! A child that ends is restarted after a back-off. After more than [`RESTARTS_MAX`] restarts of
//! all of them together within [`RESTARTS_WITHIN`] the root fails. Readiness is false from the
//! first failure until all are up again, and for good once the root has failed; the process then
//! exits with an error, so that its service manager restarts it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::directory::{Directory, SupervisorSlot};
use crate::failures::{Budget, Failures};
use crate::observe::{ActorReport, RestartCause, TreeLog};
use crate::supervisor::{
    DynamicSupervisor, Entity, Live, Protocol, RestartRequest, SupervisorMessage,
};
use crate::vitals::{Handle, Vitals};
use bellpull_port::call::{Call, CallOutcome, Reply};

/// At most this many restarts of supervisors …
const RESTARTS_MAX: usize = 5;
/// … in this long are too many.
const RESTARTS_WITHIN: Duration = Duration::from_secs(10);
/// The time limit of a child's report.
pub(super) const REPORT_MAX: Duration = Duration::from_secs(3);

/// The state of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not all supervisors are up yet, or again.
    Starting,
    /// They are.
    Up,
    /// They failed too often.
    Escalated,
}

/// The messages of the root.
#[derive(Debug)]
pub(super) enum HubMessage {
    /// A supervisor's back-off is over.
    Respawn(usize),
    /// A report on all actors.
    Report(Call<usize, ActorReport>),
    /// An operator wants the actor at that path started again.
    Restart(RestartRequest<String>),
    /// The counters of the actor at that path.
    Vitals(Call<String, Option<Arc<Vitals>>>),
    /// Kill the child at that path, as if it had failed; answers whether there is one.
    #[cfg(feature = "testing")]
    Kill(Call<String, bool>),
}

type SlotSender<P> = watch::Sender<Option<Handle<SupervisorMessage<P>>>>;

/// Empty slots for this many supervisors, and the directory that finds them there.
pub(super) fn directory<P: Protocol>(count: usize) -> (Vec<SlotSender<P>>, Directory<P>) {
    let (slots, shards): (Vec<_>, Vec<SupervisorSlot<P>>) =
        (0..count).map(|_| watch::channel(None)).unzip();
    (slots, Directory { live: Live::<P>::default(), shards: shards.into() })
}

/// A permanent child of the root: how it is started and queried.
#[async_trait]
pub(super) trait Permanent: Debug + Send + Sync + 'static {
    /// Its path in the tree.
    fn path(&self) -> String;

    /// Its kind, as operators see it.
    fn kind(&self) -> &'static str;

    /// Starts it, for the first time or again.
    async fn spawn(&self, log: &Arc<TreeLog>, root: ActorCell) -> Result<ActorCell, SpawnErr>;

    /// Requests its report, with at most `most` children; the future resolves to the answer.
    fn report(&self, most: usize) -> BoxFuture<'static, Option<ActorReport>>;

    /// Its counters, or those of a child at that path which is not found by an id; `None`: it is
    /// down, or there is none.
    fn vitals(&self, path: &str) -> Option<Arc<Vitals>>;

    /// An operator wants a child of it started again that is not found by an id.
    fn restart_below(&self, call: RestartRequest<String>) {
        if let Some((_, reply)) = call.open() {
            reply.send(false);
        }
    }
}

/// One of the supervisors of a kind.
#[derive(Debug)]
struct Shard<E: Entity> {
    entity: E,
    live: Live<E::Protocol>,
    slot: SlotSender<E::Protocol>,
    /// Which one, of how many.
    number: (usize, usize),
}

/// All supervisors of a kind.
pub(super) fn shards<E: Entity>(
    entity: &E,
    live: &Live<E::Protocol>,
    slots: Vec<SlotSender<E::Protocol>>,
) -> impl Iterator<Item = Box<dyn Permanent>> {
    let count = slots.len();
    slots.into_iter().enumerate().map(move |(nth, slot)| {
        let (entity, live) = (entity.clone(), Arc::clone(live));
        Box::new(Shard { entity, live, slot, number: (nth, count) }) as Box<dyn Permanent>
    })
}

#[async_trait]
impl<E: Entity> Permanent for Shard<E> {
    fn path(&self) -> String {
        format!("{}s/{}", <E::Protocol>::KIND, self.number.0)
    }

    fn kind(&self) -> &'static str {
        "supervisor"
    }

    async fn spawn(&self, log: &Arc<TreeLog>, root: ActorCell) -> Result<ActorCell, SpawnErr> {
        let vitals = Vitals::new();
        let number = |n: usize| u64::try_from(n).unwrap_or(0);
        let supervisor = DynamicSupervisor {
            entity: self.entity.clone(),
            live: Arc::clone(&self.live),
            shard: (number(self.number.0), number(self.number.1)),
            path: self.path(),
            log: Arc::clone(log),
        };
        let (actor, _) = Actor::spawn_linked(None, supervisor, Arc::clone(&vitals), root).await?;
        let cell = actor.get_cell();
        self.slot.send_replace(Some(Handle::new(actor, vitals)));
        Ok(cell)
    }

    fn vitals(&self, path: &str) -> Option<Arc<Vitals>> {
        let up = self.slot.borrow();
        up.as_ref().filter(|_| path == self.path()).map(|up| Arc::clone(up.vitals()))
    }

    fn report(&self, most: usize) -> BoxFuture<'static, Option<ActorReport>> {
        let supervisor = self.slot.borrow().clone();
        Box::pin(async move {
            let (call, answer) = Call::new(most);
            supervisor?.cast(SupervisorMessage::Report(call));
            match answer.within(REPORT_MAX).await {
                CallOutcome::Answered(report) => Some(report),
                CallOutcome::Returned(_) | CallOutcome::Lost => None,
            }
        })
    }
}

/// The root, with all that its children are started from.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) children: Vec<Box<dyn Permanent>>,
    pub(super) log: Arc<TreeLog>,
    pub(super) standing: watch::Sender<Standing>,
}

/// The state of the root: its children, in the order of [`Root::children`].
#[derive(Debug)]
pub(super) struct RootState {
    vitals: Arc<Vitals>,
    children: Vec<Child>,
    failures: Failures<usize>,
    budget: Budget,
}

#[derive(Debug)]
struct Child {
    path: String,
    kind: &'static str,
    actor: Option<ActorCell>,
    /// The operator who requested its restart, until its end is reported.
    asked: Option<Arc<str>>,
}

impl Actor for Root {
    type Msg = HubMessage;
    type State = RootState;
    type Arguments = Arc<Vitals>;

    async fn pre_start(
        &self,
        myself: ActorRef<HubMessage>,
        vitals: Arc<Vitals>,
    ) -> Result<RootState, ActorProcessingErr> {
        let known = self.children.iter().map(|child| (child.path(), child.kind()));
        let children =
            known.map(|(path, kind)| Child { path, kind, actor: None, asked: None }).collect();
        let budget = Budget::new(RESTARTS_MAX, RESTARTS_WITHIN);
        let mut state = RootState { vitals, children, failures: Failures::default(), budget };
        for index in 0..state.children.len() {
            self.spawn(&myself, index, &mut state).await?;
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<HubMessage>,
        message: HubMessage,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        let taken = state.vitals.take(&message);
        match message {
            HubMessage::Respawn(index) => self.spawn(&myself, index, state).await?,
            HubMessage::Report(call) => self.report(call, state),
            HubMessage::Restart(call) => self.restart(&myself, call, state),
            HubMessage::Vitals(call) => self.vitals(call, state),
            #[cfg(feature = "testing")]
            HubMessage::Kill(call) => kill(call, state),
        }
        state.vitals.done(taken);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<HubMessage>,
        event: SupervisionEvent,
        state: &mut RootState,
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

impl Root {
    async fn spawn(
        &self,
        myself: &ActorRef<HubMessage>,
        index: usize,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        if state.children[index].actor.is_some() {
            return Ok(()); // an operator was faster than its back-off
        }
        let actor = self.children[index].spawn(&self.log, myself.get_cell()).await?;
        let restart = state.failures.started(index, self.log.clock().now());
        let child = &mut state.children[index];
        child.actor = Some(actor);
        self.log.note_start(&child.path, restart);
        if state.children.iter().all(|child| child.actor.is_some()) {
            self.standing.send_replace(Standing::Up);
        }
        Ok(())
    }

    fn vitals(&self, call: Call<String, Option<Arc<Vitals>>>, state: &RootState) {
        let Some((path, reply)) = call.open() else { return };
        let found = match path.as_str() {
            "hub" => Some(Arc::clone(&state.vitals)),
            path => self.children.iter().find_map(|child| child.vitals(path)),
        };
        reply.send(found);
    }

    /// Kills the child at a path because an operator requested its restart, or starts one at once
    /// that is down.
    fn restart(
        &self,
        myself: &ActorRef<HubMessage>,
        call: RestartRequest<String>,
        state: &mut RootState,
    ) {
        let Some((path, _)) = call.question() else { return };
        let Some(index) = state.children.iter().position(|child| child.path == *path) else {
            let above = path.split_once('/').map_or("", |(above, _)| above);
            let parent = self.children.iter().find(|child| child.path() == above);
            if let Some(parent) = parent {
                parent.restart_below(call);
            } else if let Some((_, reply)) = call.open() {
                reply.send(false);
            }
            return;
        };
        let Some(((_, operator), reply)) = call.open() else { return };
        let child = &mut state.children[index];
        if let Some(actor) = &child.actor {
            child.asked = Some(operator);
            actor.kill();
        } else {
            state.failures.hasten(index, &operator);
            respawn(Handle::new(myself.clone(), Arc::clone(&state.vitals)), index, None);
        }
        reply.send(true);
    }

    fn lost(
        &self,
        myself: &ActorRef<HubMessage>,
        actor: ActorId,
        text: &str,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        let is_it = |child: &Child| child.actor.as_ref().is_some_and(|one| one.get_id() == actor);
        let Some(index) = state.children.iter().position(is_it) else { return Ok(()) };
        self.standing.send_replace(Standing::Starting);
        let child = &mut state.children[index];
        child.actor = None;
        let (path, kind, asked) = (child.path.clone(), child.kind, child.asked.take());
        let now = Instant::now();
        let own = Handle::new(myself.clone(), Arc::clone(&state.vitals));
        if let Some(operator) = asked {
            info!(path, %operator, "actor restarted by operator");
            let cause = RestartCause::Operator(Arc::clone(&operator));
            self.log.note(&path, "stopped", &cause.to_string());
            state.failures.note_asked(index, operator, now);
            respawn(own, index, None);
            return Ok(());
        }
        warn!(path, text, "a child of the root failed");
        metrics::counter!("bellpull_actor_failures_total", "kind" => kind).increment(1);
        self.log.note(&path, "failed", text);
        let record = state.failures.note(index, text.to_owned(), self.log.clock().now(), now);
        let wait = record.down_until();
        if !state.budget.spend(now) {
            error!(path, text, "supervisors fail too often: giving up");
            let within = RESTARTS_WITHIN.as_secs();
            let why = format!(
                "more than {RESTARTS_MAX} failures of supervisors in {within} s; the last: \
                 {path}: {text}"
            );
            self.log.note(&"hub", "escalated", &why);
            self.standing.send_replace(Standing::Escalated);
            return Err(why.into());
        }
        respawn(own, index, Some(wait));
        Ok(())
    }

    fn report(&self, call: Call<usize, ActorReport>, state: &RootState) {
        let Some((most, reply)) = call.open() else { return };
        let mut own = ActorReport::new("hub".to_owned(), "hub", &state.vitals, None);
        own.children_total = state.children.len();
        // What the root knows of each child, for one that is down or does not answer.
        let known: Vec<ActorReport> =
            state.children.iter().enumerate().map(|(n, child)| absent(n, child, state)).collect();
        let reports: Vec<_> = self.children.iter().map(|child| child.report(most)).collect();
        tokio::spawn(async move {
            let reports = futures_util::future::join_all(reports).await;
            collect(own, known, reports.into_iter(), reply);
        });
    }
}

/// Restarts a child, at once or at that time.
fn respawn(own: Handle<HubMessage>, index: usize, at: Option<Instant>) {
    let Some(at) = at else { return own.cast(HubMessage::Respawn(index)) };
    tokio::spawn(async move {
        tokio::time::sleep_until(at).await;
        own.cast(HubMessage::Respawn(index));
    });
}

fn absent(index: usize, child: &Child, state: &RootState) -> ActorReport {
    let vitals = Vitals::new();
    let record = state.failures.of(index);
    let mut report = ActorReport::new(child.path.clone(), child.kind, &vitals, record);
    report.state = if child.actor.is_some() { "busy" } else { "backing_off" };
    report.age_ms = 0;
    report
}

/// Replaces what the root knows with the children's own reports, except their failures and
/// restarts, which only the root knows.
fn collect(
    mut own: ActorReport,
    known: Vec<ActorReport>,
    reports: impl Iterator<Item = Option<ActorReport>>,
    reply: Reply<usize, ActorReport>,
) {
    own.children = known
        .into_iter()
        .zip(reports)
        .map(|(known, report)| match report {
            Some(report) => ActorReport {
                restarts: known.restarts,
                last_failure: known.last_failure,
                last_restart: known.last_restart,
                ..report
            },
            None => known,
        })
        .collect();
    reply.send(own);
}

#[cfg(feature = "testing")]
fn kill(call: Call<String, bool>, state: &RootState) {
    let Some((path, reply)) = call.open() else { return };
    let child = state.children.iter().find(|child| child.path == path);
    let actor = child.and_then(|child| child.actor.as_ref());
    if let Some(actor) = actor {
        actor.kill();
    }
    reply.send(actor.is_some());
}
