//! The root actor: supervises the supervisors and the scheduler, one for one.
//!
//! A child that ends is started again after a back-off; more than [`RESTARTS_MAX`] restarts
//! of all of them together within [`RESTARTS_WITHIN`] and the root gives up: readiness is false
//! from the first failure until all are up again, and for good once it gave up; the process then
//! exits with an error, so that whatever runs it starts it afresh.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, warn};

use super::single::SchedulerPlace;
use crate::directory::SupervisorSlot;
use crate::failures::{Budget, Failures};
use crate::mail::{Fate, Mail, Reply};
use crate::observe::{ActorReport, TreeLog};
use crate::supervisor::{DynamicSupervisor, Entity, Live, SupervisorMessage};
use crate::ticket::TicketEntity;
use crate::user::UserEntity;
use crate::vitals::{Handle, Vitals};

/// So many restarts of supervisors …
const RESTARTS_MAX: usize = 5;
/// … in this long are too many.
const RESTARTS_WITHIN: Duration = Duration::from_secs(10);
/// How long a child may take to report.
pub(super) const REPORT_MAX: Duration = Duration::from_secs(3);

/// Whether the tree stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not all supervisors are up yet, or again.
    Starting,
    /// They are.
    Up,
    /// They failed too often.
    Escalated,
}

/// What the root is sent.
#[derive(Debug)]
pub(super) enum HubMessage {
    /// A supervisor's back-off is over.
    Respawn(usize),
    /// How is everybody?
    Report(Mail<usize, ActorReport>),
    /// Kill the supervisor of that path; answers whether there is one.
    Kill(Mail<String, bool>),
}

type SlotSender<E> = watch::Sender<Option<Handle<SupervisorMessage<E>>>>;

/// Empty slots for supervisors, and their readers' ends.
pub(super) fn slots<E: Entity>(count: usize) -> (Vec<SlotSender<E>>, Arc<[SupervisorSlot<E>]>) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| watch::channel(None)).unzip();
    (senders, receivers.into())
}

/// All supervisors of one kind.
#[derive(Debug)]
pub(super) struct Branch<E: Entity> {
    entity: E,
    live: Live<E>,
    slots: Vec<SlotSender<E>>,
}

impl<E: Entity> Branch<E> {
    pub(super) fn new(entity: E, live: &Live<E>, slots: Vec<SlotSender<E>>) -> Self {
        Self { entity, live: Arc::clone(live), slots }
    }

    fn path(shard: usize) -> String {
        format!("{}s/{shard}", E::KIND)
    }

    async fn spawn(
        &self,
        shard: usize,
        log: &Arc<TreeLog>,
        root: ActorCell,
    ) -> Result<ActorCell, ActorProcessingErr> {
        let vitals = Vitals::new();
        let number = |n: usize| u64::try_from(n).unwrap_or(0);
        let supervisor = DynamicSupervisor {
            entity: self.entity.clone(),
            live: Arc::clone(&self.live),
            shard: (number(shard), number(self.slots.len())),
            path: Self::path(shard),
            log: Arc::clone(log),
        };
        let (actor, _) = Actor::spawn_linked(None, supervisor, Arc::clone(&vitals), root).await?;
        let cell = actor.get_cell();
        self.slots[shard].send_replace(Some(Handle::new(actor, vitals)));
        Ok(cell)
    }

    /// Asks a supervisor for its report; the answer comes to the returned future.
    fn report(
        &self,
        shard: usize,
        most: usize,
    ) -> impl Future<Output = Option<ActorReport>> + Send + 'static {
        let supervisor = self.slots[shard].borrow().clone();
        async move {
            let (mail, answer) = Mail::new(most);
            supervisor?.cast(SupervisorMessage::Report(mail));
            match answer.within(REPORT_MAX).await {
                Fate::Answered(report) => Some(report),
                Fate::Returned(_) | Fate::Lost => None,
            }
        }
    }
}

/// The root, with all that its children are built from.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) users: Branch<UserEntity>,
    pub(super) tickets: Branch<TicketEntity>,
    pub(super) scheduler: SchedulerPlace,
    pub(super) log: Arc<TreeLog>,
    pub(super) standing: watch::Sender<Standing>,
}

/// What the root knows: its children, users' supervisors first.
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
        let users = (0..self.users.slots.len()).map(Branch::<UserEntity>::path);
        let tickets = (0..self.tickets.slots.len()).map(Branch::<TicketEntity>::path);
        let supervisors = users.chain(tickets).map(|path| (path, "supervisor"));
        let path = SchedulerPlace::PATH;
        let children = supervisors
            .chain([(path.to_owned(), path)])
            .map(|(path, kind)| Child { path, kind, actor: None })
            .collect();
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
        let taken = state.vitals.take();
        match message {
            HubMessage::Respawn(index) => self.spawn(&myself, index, state).await?,
            HubMessage::Report(mail) => self.report(mail, state),
            HubMessage::Kill(mail) => kill(mail, state),
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
        let (users, tickets) = (self.users.slots.len(), self.tickets.slots.len());
        let root = myself.get_cell();
        let actor = if index < users {
            self.users.spawn(index, &self.log, root).await?
        } else if index < users + tickets {
            self.tickets.spawn(index - users, &self.log, root).await?
        } else {
            self.scheduler.spawn(root).await?
        };
        let restarted = state.failures.started(index);
        let child = &mut state.children[index];
        child.actor = Some(actor);
        self.log.note(&child.path, if restarted { "restarted" } else { "spawned" }, "");
        if state.children.iter().all(|child| child.actor.is_some()) {
            self.standing.send_replace(Standing::Up);
        }
        Ok(())
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
        state.children[index].actor = None;
        let (path, kind) = (state.children[index].path.clone(), state.children[index].kind);
        warn!(path, text, "a child of the root failed");
        metrics::counter!("bellpull_actor_failures_total", "kind" => kind).increment(1);
        self.log.note(&path, "failed", text);
        let now = Instant::now();
        let record = state.failures.note(index, text.to_owned(), self.log.clock().now(), now);
        let wait = record.down_until().saturating_duration_since(now);
        if !state.budget.spend(now) {
            error!(path, text, "supervisors fail too often: giving up");
            self.log.note(&"hub", "escalated", &format!("{path}: {text}"));
            self.standing.send_replace(Standing::Escalated);
            return Err(format!("supervisors fail too often; the last: {path}: {text}").into());
        }
        let own = Handle::new(myself.clone(), Arc::clone(&state.vitals));
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            own.cast(HubMessage::Respawn(index));
        });
        Ok(())
    }

    fn report(&self, mail: Mail<usize, ActorReport>, state: &RootState) {
        let Some((most, reply)) = mail.open() else { return };
        let mut own = ActorReport::new("hub".to_owned(), "hub", &state.vitals, None);
        own.children_total = state.children.len();
        // What is known here of each child, for one that is down or does not answer.
        let known: Vec<ActorReport> =
            state.children.iter().enumerate().map(|(n, child)| absent(n, child, state)).collect();
        let users = (0..self.users.slots.len()).map(|shard| self.users.report(shard, most));
        let users = futures_util::future::join_all(users.collect::<Vec<_>>());
        let tickets = (0..self.tickets.slots.len()).map(|shard| self.tickets.report(shard, most));
        let tickets = futures_util::future::join_all(tickets.collect::<Vec<_>>());
        let scheduler = self.scheduler.report();
        tokio::spawn(async move {
            let (users, tickets, scheduler) =
                futures_util::future::join3(users, tickets, scheduler).await;
            collect(own, known, users.into_iter().chain(tickets).chain([scheduler]), reply);
        });
    }
}

fn absent(index: usize, child: &Child, state: &RootState) -> ActorReport {
    let vitals = Vitals::new();
    let record = state.failures.of(index);
    let mut report = ActorReport::new(child.path.clone(), child.kind, &vitals, record);
    report.state = if child.actor.is_some() { "busy" } else { "backing_off" };
    report.age_ms = 0;
    report
}

/// Puts the children's own reports in place of what the root knows, but for their failures,
/// which only the root knows.
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
            Some(report) => {
                ActorReport { restarts: known.restarts, last_failure: known.last_failure, ..report }
            }
            None => known,
        })
        .collect();
    reply.send(own);
}

fn kill(mail: Mail<String, bool>, state: &RootState) {
    let Some((path, reply)) = mail.open() else { return };
    let child = state.children.iter().find(|child| child.path == path);
    let actor = child.and_then(|child| child.actor.as_ref());
    if let Some(actor) = actor {
        actor.kill();
    }
    reply.send(actor.is_some());
}
