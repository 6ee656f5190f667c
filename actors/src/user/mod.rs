//! The user actor: owns one user's sessions on this node, and follows the user's inbox.
//!
//! Its parent is a dynamic supervisor; it lives from the user's first session until the last one
//! has ended, delivered positions are saved, and the wheel has made another rotation. When it
//! panics or is killed its sessions close with 1012, the clients reconnect, and a new actor reads
//! the store, which is authoritative.
//!
//! It owns the write side of every session (a reader casts its client's messages), the heartbeat,
//! the replay of the backlog, the sessions' requests, and the end of sessions whose token expires.
//! It never waits for the store: reads, marks and saves are tasks that cast their results back.
//!
//! Limits: sessions per user ([`HubLimits::sessions_per_user_max`]), waiting hints (`follow`),
//! changes behind a backlog and its portions (`session`), rows read at once (`backlog`), waiting
//! requests (`asking`), frames for a slow reader (the outlet), bytes for all slow readers of the
//! user (`handlers`) and of the node ([`HubLimits::unsent_bytes_max`]).

mod anew;
mod asking;
mod backlog;
mod confirm;
mod displaced;
mod drain;
mod early;
mod follow;
mod gap;
mod handlers;
pub(crate) mod own;
mod queue;
mod requests;
mod rights;
mod session;
mod store_tasks;
mod streams;
mod stretch;
mod subscription;
#[cfg(test)]
mod tests;
mod waiting;
mod wheel;

use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::directory::{Projects, SessionCount, Users};
use crate::limits::{HubLimits, HubNames};
use crate::messages::{UserMessage, UserProtocol};
use crate::sends::Sends;
use crate::supervisor::{Entity, Parent};
use crate::vitals::{Handle, Vitals};
use crate::write_rate::WriteRate;
use bellpull_domain::ids::UserId;
use bellpull_domain::inbox::Reached;
use bellpull_domain::user::User;
use bellpull_port::budget::Budget;
use bellpull_port::slow::{Slow, SlowKind, SlowLog};
use bellpull_port::{Clock, InboxStore, in_time};
use follow::{Follow, Source};
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

/// The dependencies that all user actors of this node share.
#[derive(Debug)]
pub(crate) struct UserShared {
    pub(crate) inboxes: Arc<dyn InboxStore>,
    pub(crate) projects: Projects,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: HubLimits,
    pub(crate) names: HubNames,
    /// Bytes that all sessions hold because their connections have not accepted them, and texts of
    /// their backlogs.
    pub(crate) unsent: Budget,
    /// How many sessions there are.
    pub(crate) sessions: Arc<SessionCount>,
    /// All user actors: a request's changes are sent to the sessions that exist by then.
    pub(crate) users: Users,
    /// The service to notify others.
    pub(crate) sends: Sends,
    /// How fast each of them may write.
    pub(crate) writes: WriteRate,
    /// Frames that took long.
    pub(crate) slow: SlowLog,
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
            earlier: Vec::new(),
            sessions: SmallVec::new(),
            last_session: 0,
            last_number: 0,
            follow: Follow::default(),
            gap: Gap::None,
            reached: Reached::default(),
            noted: Reached::default(),
            saved: Reached::default(),
            is_saving: false,
            is_idle: false,
            is_leaving: false,
            is_asking: false,
            unflushed: 0,
            unflushed_since: None,
            compared_at: Instant::now(),
        });
        let (actor, _) = Actor::spawn_linked(None, self.clone(), args, supervisor).await?;
        Ok(actor)
    }

    fn turn(&self) -> Duration {
        let limits = &self.shared.limits;
        (limits.ping_after / 5).min(limits.save_delivered_every)
    }

    fn settle(&self, positions: Vec<(UserId, Reached)>) {
        let shared = self.shared();
        tokio::spawn(async move {
            // Not saved is not lost: the positions only ever spare clients a repetition.
            if let Err(error) = in_time(shared.inboxes.save_reached(&positions)).await {
                tracing::warn!(%error, "delivered positions could not be saved");
            }
        });
    }
}

/// The state of missing numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// None are missing, as far as known.
    None,
    /// They may still arrive.
    Waiting,
    /// The store is being read.
    Reading,
}

/// The state of a user actor.
#[derive(Debug)]
pub struct UserState {
    id: UserId,
    vitals: Arc<Vitals>,
    /// As read for the newest session's token, and shared with the reader of the token.
    account: Option<Arc<User>>,
    /// The accounts of the sessions that were opened with other rights than the newest one.
    earlier: Vec<(u32, Arc<User>)>,
    /// Nearly every user has one.
    sessions: SmallVec<[SessionState; 1]>,
    last_session: u32,
    /// Counts subscriptions, and the views of the user's sessions, so that the newest of either is
    /// known.
    last_number: u64,
    follow: Follow,
    gap: Gap,
    /// Up to where everything has arrived at some session, without anything left out before it.
    reached: Reached,
    /// The part of it that was passed to the supervisor to be saved.
    noted: Reached,
    /// The part of it that is known to be saved.
    saved: Reached,
    is_saving: bool,
    /// Whether it had no session at the last tick. It stops at the next one: a tick may come before
    /// the session for which the actor was created, and a client that reconnects soon finds it.
    is_idle: bool,
    is_leaving: bool,
    /// Whether a session has requests in progress.
    is_asking: bool,
    /// Messages since the sessions were last flushed.
    unflushed: u32,
    /// When the oldest new entry among them was announced; always `None` while slow frames are not
    /// logged.
    unflushed_since: Option<std::time::Instant>,
    /// When the inbox was last compared with the store.
    compared_at: Instant,
}

impl UserState {
    /// Whether some session is shown something of the inbox.
    fn follows(&self) -> bool {
        self.sessions.iter().any(|session| session.shows() != Shows::Nothing)
    }

    /// The handle for this actor's own tasks to cast their results.
    fn own(&self, myself: &ActorRef<UserMessage>) -> Handle<UserMessage> {
        Handle::new(myself.clone(), Arc::clone(&self.vitals))
    }
}

impl Actor for UserEntity {
    type Msg = UserMessage;
    /// Boxed: an actor's task has room for it twice, as argument and as state.
    type State = Box<UserState>;
    type Arguments = Box<UserState>;

    async fn pre_start(
        &self,
        _myself: ActorRef<UserMessage>,
        state: Box<UserState>,
    ) -> Result<Box<UserState>, ActorProcessingErr> {
        // A task reads the inbox when the first session starts: a supervisor that spawns ten
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
        let taken = state.vitals.take(&message);
        let mut fan_out = None;
        match message {
            UserMessage::Attach(call) => self.attach(myself, call, state),
            UserMessage::Changed { change, fan_out: of } => {
                fan_out = of;
                self.changed(myself, change, Source::Own, state);
            }
            UserMessage::ChangedTogether { changes, fan_out: of } => {
                fan_out = Some(of);
                for change in changes {
                    self.changed(myself, change, Source::Own, state);
                }
            }
            UserMessage::ChangedElsewhere(change) => {
                self.changed(myself, change, Source::Peer, state)
            }
            UserMessage::Heard { session, heard } => self.heard(myself, session, heard, state),
            UserMessage::End { login, why } => self.end(myself, login, why, state),
            UserMessage::Rights(account) => self.rights(myself, account, state),
            UserMessage::Drain(call) => self.drain(call, state),
            UserMessage::Stream(message) => self.stream(myself, *message, state),
            UserMessage::Reached(last) => self.reached(myself, last, state),
            UserMessage::Compare => self.compare_now(myself, state),
            UserMessage::Tick => self.tick(myself, state),
            UserMessage::Close(call) => self.close_one(myself, call, state),
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
        let taken_at = taken.at;
        let took = state.vitals.done(taken);
        if state.unflushed == 0
            && let Some(announced) = state.unflushed_since.take()
        {
            self.note_frame(announced, taken_at, took, state.id);
        }
    }

    /// The frames of a new entry were written.
    fn note_frame(
        &self,
        announced: std::time::Instant,
        taken: std::time::Instant,
        handled: Duration,
        user: UserId,
    ) {
        let waited = taken.saturating_duration_since(announced);
        self.shared.slow.note(SlowKind::Frame, waited + handled, || Slow {
            what: format!("user/{user}"),
            waits: vec![("mailbox", waited), ("write", handled)],
            status: None,
            trace: None,
        });
    }
}
