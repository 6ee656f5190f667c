//! The user actor: owns one user's sessions on this node, and follows the user's inbox.
//!
//! Its parent is a dynamic supervisor; it lives from the user's first session until its last one
//! has ended, what was delivered is saved, and the wheel has turned once more. When it panics or is
//! killed its sessions close with 1012, the clients come back, and a new actor reads the store: the
//! store is the truth.
//!
//! It owns the write side of every session (a reader casts what it hears), the heartbeat, the
//! replay of the backlog, the sessions' requests, and the end of sessions whose token ends. It
//! never waits for the store: reads, marks and saves are tasks that cast their result back.
//!
//! Limits: sessions a user ([`HubLimits::sessions_per_user_max`]), hints that wait
//! (`follow`), changes behind a backlog and its portions (`session`), rows that are read at once
//! (`backlog`), requests that wait (`asking`), frames for a slow reader (the outlet), bytes for all
//! slow readers of the user (`handlers`) and of the node ([`HubLimits::unsent_bytes_max`]).

mod asking;
mod backlog;
mod displaced;
mod early;
mod follow;
mod handlers;
pub(crate) mod own;
mod queue;
mod requests;
mod session;
mod store_tasks;
mod streams;
mod stretch;
mod subscription;
#[cfg(test)]
mod tests;
mod wheel;

use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::budget::Budget;
use crate::directory::{Projects, SessionCount, Users};
use crate::domain::ids::{Seq, UserId};
use crate::domain::user::User;
use crate::limits::{HubLimits, HubNames};
use crate::messages::{UserMessage, UserProtocol};
use crate::port::{Clock, InboxStore, in_time};
use crate::sends::Sends;
use crate::supervisor::{Entity, Parent};
use crate::vitals::{Handle, Vitals};
use crate::write_rate::WriteRate;
use follow::Follow;
use own::{Own, OwnMessage};
use session::SessionState;
use stretch::Shows;

impl From<Own> for UserMessage {
    fn from(own: Own) -> Self {
        Self::Own(OwnMessage(Box::new(own)))
    }
}

/// The user actors of this node: each has a copy, so it is but a pointer.
#[derive(Debug, Clone)]
pub struct UserEntity {
    shared: Arc<UserShared>,
}

/// What all user actors of this node share.
#[derive(Debug)]
pub(crate) struct UserShared {
    pub(crate) inboxes: Arc<dyn InboxStore>,
    pub(crate) projects: Projects,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: HubLimits,
    pub(crate) names: HubNames,
    /// What all sessions hold that their connections have not taken, and texts of their backlogs.
    pub(crate) unsent: Budget,
    /// How many sessions there are.
    pub(crate) sessions: Arc<SessionCount>,
    /// All user actors: what a request changed is sent to the sessions that exist by then.
    pub(crate) users: Users,
    /// The way to notify others.
    pub(crate) sends: Sends,
    /// How fast each of them may write.
    pub(crate) writes: WriteRate,
}

impl UserEntity {
    pub(crate) fn new(shared: UserShared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// For a task.
    fn shared(&self) -> Arc<UserShared> {
        Arc::clone(&self.shared)
    }
}

impl Entity for UserEntity {
    type Protocol = UserProtocol;

    async fn spawn(
        &self,
        id: UserId,
        _parent: Parent<UserProtocol>,
        vitals: Arc<Vitals>,
        supervisor: ActorCell,
    ) -> Result<ActorRef<UserMessage>, SpawnErr> {
        let args = Box::new(UserState {
            id,
            vitals,
            account: None,
            sessions: SmallVec::new(),
            last_session: 0,
            last_number: 0,
            follow: Follow::default(),
            gap: Gap::None,
            delivered: Seq::ZERO,
            noted: Seq::ZERO,
            saved: Seq::ZERO,
            is_saving: false,
            is_idle: false,
            is_leaving: false,
            is_asking: false,
            unflushed: 0,
            compared_at: Instant::now(),
        });
        let (actor, _) = Actor::spawn_linked(None, self.clone(), args, supervisor).await?;
        Ok(actor)
    }

    fn turn(&self) -> Duration {
        let limits = &self.shared.limits;
        (limits.ping_after / 5).min(limits.save_delivered_every)
    }

    fn settle(&self, positions: Vec<(UserId, Seq)>) {
        let shared = self.shared();
        tokio::spawn(async move {
            // Not saved is not lost: the positions only ever spare clients a repetition.
            if let Err(error) = in_time(shared.inboxes.save_delivered(&positions)).await {
                tracing::warn!(%error, "delivered positions could not be saved");
            }
        });
    }
}

/// What is being done about missing numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// Nothing: there are none, as far as is known.
    None,
    /// They are given a moment to arrive.
    Waiting,
    /// The store is being read.
    Reading,
}

/// What a user actor knows.
#[derive(Debug)]
pub struct UserState {
    id: UserId,
    vitals: Arc<Vitals>,
    /// As read for the newest session's token, and shared with the reader of the token.
    account: Option<Arc<User>>,
    /// Nearly every user has one.
    sessions: SmallVec<[SessionState; 1]>,
    last_session: u32,
    /// Counts subscriptions, and the tickets that the user's sessions looked at, so that the newest
    /// of either is known.
    last_number: u64,
    follow: Follow,
    gap: Gap,
    /// The highest number that some session was sent, without anything left out before it.
    delivered: Seq,
    /// What of it was given to the supervisor to save.
    noted: Seq,
    /// What of it is known to be saved.
    saved: Seq,
    is_saving: bool,
    /// Whether it had no session at the last turn of the wheel. It leaves at the next: a tick may
    /// come before the session for which it was made, and a client that comes back soon finds it.
    is_idle: bool,
    is_leaving: bool,
    /// Whether some session has requests under way.
    is_asking: bool,
    /// Messages since the sessions were last flushed.
    unflushed: u32,
    /// When the inbox was last compared with the store.
    compared_at: Instant,
}

impl UserState {
    /// Whether some session is shown something of the inbox.
    fn follows(&self) -> bool {
        self.sessions.iter().any(|session| session.shows() != Shows::Nothing)
    }

    /// The way for this actor's own tasks to cast back.
    fn own(&self, myself: &ActorRef<UserMessage>) -> Handle<UserMessage> {
        Handle::new(myself.clone(), Arc::clone(&self.vitals))
    }
}

impl Actor for UserEntity {
    type Msg = UserMessage;
    /// In a box: an actor's task has room for it twice, as it was given and as it is.
    type State = Box<UserState>;
    type Arguments = Box<UserState>;

    async fn pre_start(
        &self,
        _myself: ActorRef<UserMessage>,
        state: Box<UserState>,
    ) -> Result<Box<UserState>, ActorProcessingErr> {
        // The inbox is read when the first session comes, by a task: a supervisor that spawns ten
        // thousand users must not wait for ten thousand reads.
        Ok(state)
    }

    /// Nothing here waits, so it is done at once: a future that did it later would have room for a
    /// message in each actor's task.
    fn handle(
        &self,
        myself: ActorRef<UserMessage>,
        message: UserMessage,
        state: &mut Box<UserState>,
    ) -> impl Future<Output = Result<(), ActorProcessingErr>> + Send {
        self.take(&myself, message, state);
        ready(Ok(()))
    }

    /// It has no children. ractor's own answer would have room for an event in each actor's task.
    fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<UserMessage>,
        _event: SupervisionEvent,
        _state: &mut Box<UserState>,
    ) -> impl Future<Output = Result<(), ActorProcessingErr>> + Send {
        ready(Ok(()))
    }
}

impl UserEntity {
    fn take(&self, myself: &ActorRef<UserMessage>, message: UserMessage, state: &mut UserState) {
        let taken = state.vitals.take();
        let mut fan_out = None;
        match message {
            UserMessage::Attach(call) => self.attach(myself, call, state),
            UserMessage::Changed { change, fan_out: of } => {
                fan_out = of;
                self.changed(myself, change, state);
            }
            UserMessage::ChangedTogether { changes, fan_out: of } => {
                fan_out = Some(of);
                changes.into_iter().for_each(|change| self.changed(myself, change, state));
            }
            UserMessage::Heard { session, heard } => self.heard(myself, session, heard, state),
            UserMessage::End { login, why } => self.end(myself, login, why, state),
            UserMessage::Drain(call) => self.drain(call, state),
            UserMessage::Stream(message) => self.stream(myself, *message, state),
            UserMessage::Tick => self.tick(myself, state),
            UserMessage::Observe(call) => handlers::observe(call, state),
            UserMessage::Own(OwnMessage(own)) => self.own(myself, *own, state),
            #[cfg(feature = "testing")]
            UserMessage::Panic => {
                #[expect(clippy::panic, reason = "tests ask for it")]
                {
                    panic!("told to panic")
                }
            }
        }
        if state.is_asking {
            self.go_on(myself, state);
        }
        self.flush(myself, state);
        drop(fan_out);
        state.vitals.done(taken);
    }
}
