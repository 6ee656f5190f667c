//! Typed find-or-spawn: the handles through which the edges reach user and ticket actors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::domain::ids::{LoginId, ProjectId, TicketId, UserId};
use crate::domain::inbox::{Change, Mark, Marked};
use crate::domain::ticket::{Caller, Command, NewTicket, Refusal, Ticket};
use crate::mail::{Fate, Mail};
use crate::port::inbox::Selection;
use crate::port::outlet::Ending;
use crate::port::tickets::Told;
use crate::port::{InboxStore, StoreError};
use crate::session::{Heard, SessionStart};
use crate::supervisor::{Entity, Live, SupervisorMessage, Wanted};
use crate::ticket::{TicketAsk, TicketEntity, TicketMessage};
use crate::user::{Attach, UserEntity, UserMessage};
use crate::vitals::Handle;

/// How long an edge waits for an actor to be found or spawned.
const OBTAIN_MAX: Duration = Duration::from_secs(5);
/// How long to wait before the successor of a supervisor that has just ended is asked.
const OBTAIN_RETRY: Duration = Duration::from_millis(1);
/// So many messages may wait for an actor; further questions are refused at once (hints and
/// control messages are not: they are few, or merge into one reading of the store).
const DEPTH_MAX: u32 = 4_096;
/// How long an edge waits for an actor's answer; the store's own limit is 5 s.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How often a returned question is asked again before the edge gives up.
const TRIES: usize = 4;

/// What a session is told that cannot be taken in now.
const COME_BACK: Ending = Ending::Restarting { retry_after_ms: 1_000 };

/// A shard's supervisor, while there is one.
pub(crate) type SupervisorSlot<E> = watch::Receiver<Option<Handle<SupervisorMessage<E>>>>;

/// The way to all actors of a kind.
#[derive(Debug)]
pub(crate) struct Directory<E: Entity> {
    pub(crate) live: Live<E>,
    pub(crate) shards: Arc<[SupervisorSlot<E>]>,
}

impl<E: Entity> Clone for Directory<E> {
    fn clone(&self) -> Self {
        Self { live: Arc::clone(&self.live), shards: Arc::clone(&self.shards) }
    }
}

/// Why a question got no answer.
#[derive(Debug)]
enum Unanswered<Q> {
    /// It was certainly not handled; here it is.
    Returned(Q),
    /// It may have been handled.
    Lost,
}

impl<E: Entity> Directory<E> {
    /// Asks the actor of `id`, spawned if need be; asks its successor where it was leaving.
    async fn ask<Q, A>(
        &self,
        id: E::Id,
        mut question: Q,
        wrap: fn(Mail<Q, A>) -> E::Message,
    ) -> Result<A, Unanswered<Q>> {
        // Only the first try may trust the map: an actor that returns mail is about to leave it,
        // and its supervisor knows that before it answers.
        let mut found = self.live.get(&id).map(|entry| entry.clone());
        let mut but_not = None;
        for _ in 0..TRIES {
            let actor = match found.take() {
                Some(actor) => actor,
                None => match self.obtain(Wanted { id, but_not }).await {
                    Some(actor) => actor,
                    None => break,
                },
            };
            if actor.vitals().depth() >= DEPTH_MAX {
                break;
            }
            let (mail, answer) = Mail::new(question);
            actor.cast(wrap(mail));
            match answer.within(ANSWER_MAX).await {
                Fate::Answered(answer) => return Ok(answer),
                Fate::Returned(unasked) => question = unasked,
                Fate::Lost => return Err(Unanswered::Lost),
            }
            but_not = Some(actor.actor().get_id());
        }
        Err(Unanswered::Returned(question))
    }

    /// The actor wanted, by its supervisor; `None` when the supervisor is down for long or keeps
    /// the actor down.
    async fn obtain(&self, wanted: Wanted<E::Id>) -> Option<Handle<E::Message>> {
        tokio::time::timeout(OBTAIN_MAX, async {
            loop {
                let supervisor = self.supervisor(wanted.id).await?;
                let (mail, answer) = Mail::new(wanted);
                supervisor.cast(SupervisorMessage::Obtain(mail));
                match answer.within(OBTAIN_MAX).await {
                    Fate::Answered(found) => return found.ok(),
                    // It ended before it came to this: its successor is asked. The pause is for
                    // the moment in which it has ended and does not look so yet.
                    Fate::Returned(_) => tokio::time::sleep(OBTAIN_RETRY).await,
                    Fate::Lost => return None,
                }
            }
        })
        .await
        .ok()?
    }

    /// The supervisor of the shard that `id` belongs to, waited for while it is down.
    async fn supervisor(&self, id: E::Id) -> Option<Handle<SupervisorMessage<E>>> {
        let shards = self.shards.len().max(1);
        let shard = usize::try_from(E::number(id)).unwrap_or(0) % shards;
        let mut slot = self.shards.get(shard)?.clone();
        loop {
            let up = slot.borrow_and_update().clone().filter(|handle| !handle.is_gone());
            if let Some(supervisor) = up {
                return Some(supervisor);
            }
            slot.changed().await.ok()?;
        }
    }
}

/// The way to the user actors.
#[derive(Debug, Clone)]
pub struct Users {
    pub(crate) directory: Directory<UserEntity>,
    pub(crate) inboxes: Arc<dyn InboxStore>,
    pub(crate) sessions: Arc<AtomicUsize>,
    pub(crate) is_draining: Arc<AtomicBool>,
}

/// The way to the ticket actors.
#[derive(Debug, Clone)]
pub struct Tickets {
    pub(crate) directory: Directory<TicketEntity>,
    pub(crate) store: Arc<dyn crate::port::TicketStore>,
}

/// A session that its user's actor has taken in: its reader's way to that actor.
#[derive(Debug, Clone)]
pub struct Session {
    pub(crate) actor: Handle<UserMessage>,
    pub(crate) id: u32,
}

/// Why a session was not taken in. The outlet comes back closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The user has as many sessions as one may have.
    #[error("the user has too many sessions")]
    TooMany,
    /// The hub cannot take it in now.
    #[error("the hub cannot take a session in now")]
    Unavailable,
}

/// Why a ticket command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store or the actor cannot answer now; nothing was acknowledged.
    #[error("the hub cannot carry this out now: {0}")]
    Unavailable(String),
}

impl Users {
    /// Gives a session to its user's actor, which greets it, sends its backlog and then what
    /// comes live. When it cannot, the outlet has been closed with the fitting [`Ending`].
    ///
    /// # Errors
    /// See [`AttachError`].
    pub async fn attach(
        &self,
        caller: Caller,
        start: SessionStart,
    ) -> Result<Session, AttachError> {
        if self.is_draining.load(Relaxed) {
            start.outlet.close(COME_BACK);
            return Err(AttachError::Unavailable);
        }
        let id = caller.id;
        match self.directory.ask(id, Attach { caller, start }, UserMessage::Attach).await {
            Ok(attached) => attached,
            Err(Unanswered::Returned(attach)) => {
                attach.start.outlet.close(COME_BACK);
                Err(AttachError::Unavailable)
            }
            // The actor died with the outlet, which has closed itself.
            Err(Unanswered::Lost) => Err(AttachError::Unavailable),
        }
    }

    /// Tells the user's actor of a change, if the user has a session on this node.
    pub fn tell(&self, user: UserId, change: Change) {
        if let Some(actor) = self.directory.live.get(&user) {
            actor.cast(UserMessage::Changed(change));
        }
    }

    /// Tells all recipients of an announcement, those with a session on this node.
    pub fn tell_all(&self, told: &Told) {
        for placed in &told.births {
            if let Some(actor) = self.directory.live.get(&placed.recipient) {
                let (birth, unread_count) = (told.birth(*placed), placed.unread_count);
                actor.cast(UserMessage::Changed(Change::Born { birth, unread_count }));
            }
        }
    }

    /// Marks rows of the user's inbox and tells all of the user's sessions. Whoever calls may be
    /// cancelled at any time: what was written is told all the same.
    ///
    /// # Errors
    /// See [`InboxStore::mark`].
    pub async fn mark(
        &self,
        user: UserId,
        selection: Selection,
        mark: Mark,
        now: Timestamp,
    ) -> Result<Option<Marked>, StoreError> {
        let users = self.clone();
        let work = tokio::spawn(async move {
            let marked = users.inboxes.mark(user, selection, mark, now).await?;
            if let Some(marked) = &marked {
                users.tell(user, Change::Marked(marked.clone()));
            }
            Ok(marked)
        });
        work.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }

    /// Ends the user's sessions that were opened with a login (`None`: all of them).
    pub fn end_sessions(&self, user: UserId, login: Option<LoginId>, why: Ending) {
        if let Some(actor) = self.directory.live.get(&user) {
            actor.cast(UserMessage::End { login, why });
        }
    }

    /// How many sessions this node has.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.load(Relaxed)
    }
}

impl Session {
    /// Tells the user's actor what was heard. Once the actor is gone this does nothing: its
    /// outlet has closed the connection.
    pub fn heard(&self, heard: Heard) {
        self.actor.cast(UserMessage::Heard { session: self.id, heard });
    }
}

impl Tickets {
    /// Raises a ticket in a project. When this returns `Ok`, ticket, history and notifications
    /// are on the disk.
    ///
    /// # Errors
    /// See [`CommandError`]; an unknown project is [`Refusal::Invalid`] of `project`.
    pub async fn create(
        &self,
        project: ProjectId,
        new: NewTicket,
        caller: Caller,
    ) -> Result<Ticket, CommandError> {
        let id = self.store.reserve_ticket_id().await.map_err(unavailable)?;
        self.ask(id, TicketAsk::Create { project, new, caller }).await
    }

    /// Carries out a command on a ticket; the ticket after it.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn command(
        &self,
        id: TicketId,
        command: Command,
        caller: Caller,
    ) -> Result<Ticket, CommandError> {
        self.ask(id, TicketAsk::Command { command, caller }).await
    }

    async fn ask(&self, id: TicketId, ask: TicketAsk) -> Result<Ticket, CommandError> {
        match self.directory.ask(id, ask, TicketMessage::Ask).await {
            Ok(answer) => answer,
            Err(Unanswered::Returned(_)) => Err(CommandError::Unavailable(
                "the ticket's actor is down or overloaded".to_owned(),
            )),
            Err(Unanswered::Lost) => {
                Err(CommandError::Unavailable("the ticket's actor did not answer".to_owned()))
            }
        }
    }
}

pub(crate) fn unavailable(error: StoreError) -> CommandError {
    CommandError::Unavailable(error.to_string())
}
