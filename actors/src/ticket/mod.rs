//! The ticket actor: the only writer of one ticket on this node.
//!
//! Owns the ticket's state as it was last read or written. Its parent is a dynamic supervisor; it
//! lives from the first command until it has had none for `passivate_after`, and is created again
//! from the store by the next command. A refused command is a reply, and so is a failing store;
//! only a panic or a kill ends it otherwise, and the next command gets a new one.
//!
//! [`bellpull_domain::ticket`] decides a command, the store commits it, the recipients' user actors
//! are notified, then the caller is answered. Commit and notification run in a task of their own,
//! so that the death of this actor cannot come between them. A rival on another node makes the
//! commit conflict: the ticket is read again and the command decided again, at most [`TRIES`]
//! times. It may also have made possible what the known state refuses: a command is refused only
//! after the ticket was read again.

mod comment;
pub(crate) mod message;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::SpanKind;
use quick_cache::sync::Cache;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use serde_json::{Value, json};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use crate::directory::{Projects, Users};
use crate::supervisor::{Entity, Parent};
use crate::vitals::Vitals;
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{ProjectId, TicketId};
use bellpull_domain::stream::{StreamEvent, TicketAction, TicketLine, TicketNews};
use bellpull_domain::ticket::{
    Caller, Command, Creator, Decision, Membership, NewTicket, Project, Refusal, Ticket, create,
    decide, decide_at, outsiders,
};
use bellpull_domain::user::User;
use bellpull_port::call::Call;
use bellpull_port::in_time;
use bellpull_port::tickets::Committed;
use bellpull_port::trace::Trace;
use bellpull_port::{Clock, CommentStore, StoreError, TicketStore};
use message::{Answer, CommandError, TicketAsk, TicketProtocol, unavailable};
pub use message::{CommentAsk, TicketMessage};

/// How often a command is decided against a rival's newer version before it is refused.
const TRIES: usize = 3;

/// How many projects are remembered for new tickets. Most hubs have fewer.
pub(crate) const SEEN_PROJECTS_MAX: usize = 1_024;

/// The dependencies that all ticket actors of this node share.
#[derive(Debug, Clone)]
pub struct TicketEntity {
    pub(crate) store: Arc<dyn TicketStore>,
    pub(crate) comments: Arc<dyn CommentStore>,
    pub(crate) users: Users,
    pub(crate) projects: Projects,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) passivate_after: Duration,
    /// The projects of new tickets, as they were last read; the store refuses a decision that stood
    /// on another state.
    pub(crate) seen_projects: Arc<Cache<ProjectId, Project>>,
}

impl Entity for TicketEntity {
    type Protocol = TicketProtocol;

    async fn spawn(
        &self,
        id: TicketId,
        parent: Parent<TicketProtocol>,
        vitals: Arc<Vitals>,
        supervisor: ActorCell,
    ) -> Result<ActorRef<TicketMessage>, SpawnErr> {
        let args = TicketState {
            id,
            parent,
            vitals,
            known: None,
            is_leaving: false,
            is_blank: false,
            last_command: Instant::now(),
        };
        let (actor, _) = Actor::spawn_linked(None, self.clone(), args, supervisor).await?;
        Ok(actor)
    }

    fn turn(&self) -> Duration {
        self.passivate_after / 4
    }

    fn settle(&self, _notes: Vec<()>) {}
}

/// A ticket and its project, as they were last read or written.
#[derive(Debug)]
struct Known {
    ticket: Ticket,
    project: Project,
}

/// The state of a ticket actor.
#[derive(Debug)]
pub struct TicketState {
    id: TicketId,
    parent: Parent<TicketProtocol>,
    vitals: Arc<Vitals>,
    /// Read by the first command that needs it; dropped when a rival or a failure makes it
    /// doubtful.
    known: Option<Known>,
    is_leaving: bool,
    /// Whether the last command left no known ticket. The actor then stops, but after the waiting
    /// requests: if each were passed on to a successor, the last of many would never be answered.
    is_blank: bool,
    last_command: Instant,
}

impl Actor for TicketEntity {
    type Msg = TicketMessage;
    type State = TicketState;
    type Arguments = TicketState;

    async fn pre_start(
        &self,
        _myself: ActorRef<TicketMessage>,
        state: TicketState,
    ) -> Result<TicketState, ActorProcessingErr> {
        // The ticket itself is read by the first command: a store that does not answer must not
        // count as a failure of this actor, nor keep its supervisor waiting.
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<TicketMessage>,
        message: TicketMessage,
        state: &mut TicketState,
    ) -> Result<(), ActorProcessingErr> {
        let taken = state.vitals.take(&message);
        match message {
            TicketMessage::Ask(call) => self.ask(call, state).await,
            TicketMessage::Comment(call) => self.take_comment(call, state).await,
            TicketMessage::Tick => self.tick(&myself, state),
            TicketMessage::Observe(call) => observe(call, state),
            #[cfg(feature = "testing")]
            TicketMessage::Panic => {
                #[expect(clippy::panic, reason = "tests ask for it")]
                {
                    panic!("told to panic")
                }
            }
        }
        if state.is_blank && state.vitals.depth() == 0 {
            self.leave(&myself, state); // asking for ids must not fill the memory
        }
        state.vitals.done(taken);
        Ok(())
    }
}

fn observe(call: Call<(), Value>, state: &TicketState) {
    if let Some(((), reply)) = call.open() {
        reply.send(state.known.as_ref().map_or(Value::Null, |Known { ticket, .. }| {
            let texts = [&ticket.title, &ticket.description, &ticket.key, &ticket.project_name];
            let texts: usize = texts.map(String::len).iter().sum();
            let developers = size_of_val(&*ticket.assigned_to);
            json!({
                "key": ticket.key,
                "status": ticket.status.as_str(),
                "version": ticket.version,
                "assigned_to": ticket.assigned_to,
                "memory_bytes": size_of::<TicketState>() + texts + developers,
            })
        }));
    }
}

impl TicketEntity {
    async fn ask(&self, call: Call<TicketAsk, Answer>, state: &mut TicketState) {
        if state.is_leaving {
            return; // unopened: it goes back, and on to this actor's successor
        }
        state.last_command = Instant::now();
        let Some((ask, reply)) = call.open() else { return };
        let mut span = reply.trace().span("ticket", SpanKind::Internal);
        span.set("bellpull.ticket", state.id.0);
        let answer = span.trace().within(self.obey(ask, state)).await;
        if let Err(error) = &answer {
            span.fail(|| error.to_string());
        }
        state.is_blank = state.known.is_none();
        reply.send(answer);
    }

    async fn obey(&self, ask: TicketAsk, state: &mut TicketState) -> Answer {
        match ask {
            TicketAsk::Create { project, new, caller, key } => {
                self.create(project, new, &caller, key, state).await
            }
            TicketAsk::Command { command, caller, seen } => {
                self.command(&command, &caller, seen, state).await
            }
        }
    }

    fn tick(&self, myself: &ActorRef<TicketMessage>, state: &mut TicketState) {
        if state.last_command.elapsed() >= self.passivate_after {
            self.leave(myself, state);
        }
    }

    fn leave(&self, myself: &ActorRef<TicketMessage>, state: &mut TicketState) {
        if !state.is_leaving {
            state.is_leaving = true;
            state.parent.idle(state.id, myself.get_id());
        }
    }

    async fn create(
        &self,
        project: ProjectId,
        new: NewTicket,
        caller: &Caller,
        key: Option<IdempotencyKey>,
        state: &mut TicketState,
    ) -> Answer {
        let no_such_project = || Refusal::Invalid {
            field: "project",
            message: format!("Invalid pk \"{project}\" - object does not exist."),
        };
        for _ in 0..TRIES {
            let seen = self.seen_project(project).await?;
            let (project, was_known) = seen.ok_or_else(no_such_project)?;
            let membership = self.membership(&project, caller).await?;
            let (new, now) = (new.clone(), self.clock.now());
            let decision = match create(state.id, &project, new, caller, membership, now) {
                Ok(decision) => decision,
                // What is remembered may be older than the caller's right.
                Err(_) if was_known => {
                    self.seen_projects.remove(&project.id);
                    continue;
                }
                Err(_) => return Err(no_such_project().into()),
            };
            let key = key.clone();
            match self.commit(Decision { key, ..decision }).await {
                Ok(ticket) => {
                    state.known = Some(Known { ticket: ticket.clone(), project });
                    return Ok(ticket);
                }
                Err(StoreError::Conflict) => drop(self.seen_projects.remove(&project.id)),
                Err(error) => return Err(unavailable(error)),
            }
        }
        Err(contended())
    }

    /// The project, as it was last read, and whether that was before.
    async fn seen_project(&self, id: ProjectId) -> Result<Option<(Project, bool)>, CommandError> {
        if let Some(project) = self.seen_projects.get(&id) {
            return Ok(Some((project, true)));
        }
        let found = in_time(self.store.project(id)).await.map_err(unavailable)?;
        if let Some(project) = &found {
            self.seen_projects.insert(id, project.clone());
        }
        Ok(found.map(|project| (project, false)))
    }

    async fn command(
        &self,
        command: &Command,
        caller: &Caller,
        seen: Option<i64>,
        state: &mut TicketState,
    ) -> Answer {
        for _ in 0..TRIES {
            let was_known = state.known.is_some();
            let known = self.known(state).await?;
            let membership = self.membership(&known.project, caller);
            let (membership, creator) =
                tokio::try_join!(membership, self.creator(&mut known.ticket))?;
            let now = self.clock.now();
            let decided = decide_at(&known.ticket, command, caller, membership, creator, seen, now);
            let decided = match decided {
                Ok(decision) => self.admit(decision, &known.project, command).await?,
                Err(refusal) => Err(refusal),
            };
            let decision = match decided {
                Ok(decision) => decision,
                Err(_) if was_known => {
                    state.known = None;
                    continue;
                }
                Err(refusal) => return Err(refusal.into()),
            };
            let is_deleted = decision.deleted;
            match self.commit(decision).await {
                Ok(ticket) if is_deleted => {
                    state.known = None;
                    return Ok(ticket);
                }
                Ok(ticket) => {
                    known.ticket = ticket.clone();
                    return self.keep_members(ticket, command, caller, state).await;
                }
                Err(StoreError::Conflict) => state.known = None,
                Err(error) => {
                    // It may or may not have been written: the next command reads it.
                    state.known = None;
                    return Err(unavailable(error));
                }
            }
        }
        Err(contended())
    }

    /// Whether the ticket's creator is there, whose present name it takes: an account may have been
    /// renamed or deactivated since the ticket was read.
    async fn creator(&self, ticket: &mut Ticket) -> Result<Creator, CommandError> {
        let found = in_time(self.store.users(&[ticket.created_by])).await.map_err(unavailable)?;
        let Some(user) = found.first() else { return Ok(Creator::Gone) };
        if ticket.created_by_name != user.display_name() {
            user.display_name().clone_into(&mut ticket.created_by_name);
        }
        Ok(if user.is_active { Creator::There } else { Creator::Gone })
    }

    /// The decision, unless it assigns users who are no members of the project.
    async fn admit(
        &self,
        decision: Decision,
        project: &Project,
        command: &Command,
    ) -> Result<Result<Decision, Refusal>, CommandError> {
        let Command::Assign { developers } = command else { return Ok(Ok(decision)) };
        let are_members = self.are_members(project, developers).await?;
        Ok(outsiders(developers, &are_members).map_or(Ok(decision), Err))
    }

    async fn are_members(
        &self,
        project: &Project,
        users: &[User],
    ) -> Result<Vec<bool>, CommandError> {
        let mut are_members = Vec::with_capacity(users.len());
        for user in users {
            let is_member = project.is_open
                || in_time(self.store.is_member(project.id, user.id)).await.map_err(unavailable)?;
            are_members.push(is_member);
        }
        Ok(are_members)
    }

    /// Takes those off the ticket again who were removed from its project while they were assigned:
    /// the removal has not seen the assignment.
    async fn keep_members(
        &self,
        mut ticket: Ticket,
        command: &Command,
        caller: &Caller,
        state: &mut TicketState,
    ) -> Answer {
        let (Command::Assign { developers }, Some(known)) = (command, &mut state.known) else {
            return Ok(ticket);
        };
        let are_members = self.are_members(&known.project, developers).await?;
        for (user, _) in developers.iter().zip(are_members).filter(|(_, is_member)| !is_member) {
            let command = Command::Unassign { developer: user.clone() };
            let now = self.clock.now();
            let decision = decide(&known.ticket, &command, caller, Membership::Member, now)?;
            ticket = self.commit(decision).await.map_err(unavailable)?;
            known.ticket = ticket.clone();
        }
        Ok(ticket)
    }

    /// The known ticket, or the one in the store.
    async fn known<'a>(&self, state: &'a mut TicketState) -> Result<&'a mut Known, CommandError> {
        if state.known.is_none() {
            let found = in_time(self.store.ticket(state.id)).await.map_err(unavailable)?;
            let ticket = found.ok_or(Refusal::NotFound)?;
            let project = in_time(self.store.project(ticket.project)).await.map_err(unavailable)?;
            let project = project.ok_or(Refusal::NotFound)?;
            state.known = Some(Known { ticket, project });
        }
        state.known.as_mut().ok_or(CommandError::Refused(Refusal::NotFound))
    }

    /// Only a closed project's list distinguishes members from others; admins need not be on it.
    async fn membership(
        &self,
        project: &Project,
        caller: &Caller,
    ) -> Result<Membership, CommandError> {
        if project.is_open || caller.role.is_admin() {
            return Ok(Membership::Member);
        }
        let is_member = in_time(self.store.is_member(project.id, caller.id)).await;
        let is_member = is_member.map_err(unavailable)?;
        Ok(if is_member { Membership::Member } else { Membership::NonMember })
    }

    /// Commits, then notifies the recipients and the project's watchers, even if this actor is
    /// killed or gives up meanwhile.
    async fn commit(&self, decision: Decision) -> Result<Ticket, StoreError> {
        let (store, users) = (Arc::clone(&self.store), self.users.clone());
        let projects = self.projects.clone();
        let action = match (decision.deleted, decision.ticket.version) {
            (true, _) => TicketAction::Deleted,
            (false, 1) => TicketAction::Created,
            (false, _) => TicketAction::Updated,
        };
        let work = async move {
            let Committed { ticket, announced } = store.commit(decision).await?;
            metrics::counter!("bellpull_ticket_changes_total").increment(1);
            if let Some(announced) = &announced {
                users.tell_all(announced);
            }
            let line = || StreamEvent::Ticket { action, line: TicketLine::from(&ticket) };
            projects.tell(ticket.project, || TicketNews::new(&ticket, line()));
            Ok(ticket)
        };
        outlive(tokio::spawn(Trace::current().within(work))).await
    }
}

/// Other nodes changed the ticket each time.
fn contended() -> CommandError {
    CommandError::Unavailable("others keep changing this ticket".to_owned())
}

/// Waits for work that continues even if the waiting task is cancelled.
async fn outlive<T>(work: JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    let ended = |error: JoinError| StoreError::Unavailable(error.to_string());
    in_time(async { work.await.map_err(ended)? }).await
}
