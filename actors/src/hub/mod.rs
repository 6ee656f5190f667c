//! The root of the supervision tree, and the handle by which the process holds it.
//!
//! The root itself is in [`root`]; this is what the process starts, queries, drains and stops.

mod by_hand;
#[cfg(feature = "testing")]
mod faults;
mod root;
mod single;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use quick_cache::sync::Cache;
use ractor::Actor;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use crate::broker::ActorSubscriber;
use crate::channel::{ChannelActor, ChannelPlace};
use crate::directory::{Channels, Directory, Projects, SessionCount, Tickets, Users};
pub use crate::limits::{HubLimits, HubNames};
use crate::messages::{ProjectProtocol, UserMessage, UserProtocol};
use crate::observe::{ActorReport, TreeEvents, TreeLog};
use crate::project::ProjectEntity;
use crate::sends::Sends;
use crate::supervisor::{Protocol, SupervisorMessage};
use crate::ticket::message::TicketProtocol;
use crate::ticket::{SEEN_PROJECTS_MAX, TicketEntity};
use crate::user::{UserEntity, UserShared};
use crate::vitals::{Handle, Vitals};
use crate::write_rate::WriteRate;
use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_port::budget::Budget;
use bellpull_port::call::{Call, CallOutcome};
use bellpull_port::rate::{Quota, RateLimit, retry_after_s};
use bellpull_port::slow::SlowLog;
use bellpull_port::{
    Broker, BrokerMessage, Clock, CommentStore, InboxStore, LeaseOwner, RetentionStore, SendStore,
    TicketStore,
};
pub use by_hand::ByHand;
use root::{HubMessage, Root, Standing};

/// Supervisors of user actors: spawns and ticks are distributed over this many mailboxes.
const USER_SHARDS: usize = 4;
/// Supervisors of ticket actors.
const TICKET_SHARDS: usize = 2;
/// Supervisors of project actors: there are few, for few projects are watched at once.
const PROJECT_SHARDS: usize = 2;
/// The time limit of the root's answer.
const ROOT_ANSWER_MAX: Duration = Duration::from_secs(5);
/// How many sessions are ended at once when the hub drains.
const DRAIN_BATCH: usize = 256;
/// How long the hub waits for sessions to end and be saved, all of them together: a store that
/// hangs must not hold up the end of the process.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How long the hub waits for attempts in progress. One that is aborted is sent again after the
/// next start, with the same key.
const SENDING_MAX: Duration = Duration::from_secs(10);

/// Restarts that operators ask for, all operators together: a script may restart each actor that a
/// page of the tree lists (50 of each supervisor's), but a loop must not keep the tree down.
const RESTARTS_PER_S: u32 = 1;
/// See [`RESTARTS_PER_S`].
const RESTARTS_BURST: u32 = 60;

/// The dependencies of the tree.
#[derive(Debug, Clone)]
pub struct HubParts {
    /// Where tickets are.
    pub tickets: Arc<dyn TicketStore>,
    /// Where inboxes are.
    pub inboxes: Arc<dyn InboxStore>,
    /// Where sends are.
    pub sends: Arc<dyn SendStore>,
    /// Removes old rows.
    pub retention: Arc<dyn RetentionStore>,
    /// Where comments are.
    pub comments: Arc<dyn CommentStore>,
    /// The way to the other nodes.
    pub broker: Arc<dyn Broker>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The node's identity for clients.
    pub names: HubNames,
    /// What the claims of its scheduler are known by.
    pub owner: LeaseOwner,
    /// Limits.
    pub limits: HubLimits,
    /// How fast an account may write, shared with the edges.
    pub writes: WriteRate,
    /// The enabled delivery channels; without any there is no branch for them.
    pub channels: Vec<ChannelActor>,
    /// Where slow frames are logged.
    pub slow: SlowLog,
}

/// The process' hold on its tree.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Handles to the user actors.
    pub users: Users,
    /// Handles to the ticket actors.
    pub tickets: Tickets,
    /// Sends: messages that users write.
    pub sends: Sends,
    /// Handles to the project actors.
    pub projects: Projects,
    /// Handles to the channel actors.
    pub channels: Channels,
    /// Held, for the broker does not hold it.
    _subscriber: Arc<ActorSubscriber>,
    root: Handle<HubMessage>,
    log: Arc<TreeLog>,
    restarts: Arc<RateLimit<()>>,
    standing: watch::Receiver<Standing>,
}

/// Why an operator's restart was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestartError {
    /// No actor has that path.
    #[error("no actor has that path")]
    NotFound,
    /// The tree does not answer.
    #[error("the tree does not answer")]
    Unavailable,
    /// Operators requested too many restarts.
    #[error("too many restarts; try again in {retry_after_s} seconds")]
    TooMany {
        /// When the next one is admitted.
        retry_after_s: u32,
    },
}

impl Hub {
    /// Starts the tree.
    ///
    /// # Errors
    /// A text when the root could not be spawned.
    #[expect(clippy::too_many_lines, reason = "a list of parts in the order of their dependencies")]
    pub async fn start(parts: HubParts) -> Result<Self, String> {
        let HubParts { tickets: ticket_store, inboxes, sends, comments, clock, .. } = parts;
        let HubParts { names, owner, limits, retention, writes, broker, slow, .. } = parts;
        let places = parts.channels.into_iter().map(ChannelPlace::new);
        let channels = Channels { places: places.collect(), ..Channels::default() };
        let log = TreeLog::new(Arc::clone(&clock));
        let sessions = SessionCount::new();
        let passivate_after = limits.passivate_after;

        let (project_slots, directory) = root::directory(PROJECT_SHARDS);
        let store = Arc::clone(&ticket_store);
        let projects = Projects { directory, store, broker: Arc::clone(&broker) };
        let project_entity = ProjectEntity {
            passivate_after,
            store: projects.store.clone(),
            broker: Arc::clone(&broker),
            node: owner.as_str().into(),
            clock: Arc::clone(&clock),
        };
        let (user_slots, directory) = root::directory(USER_SHARDS);
        let users = Users {
            directory,
            inboxes: Arc::clone(&inboxes),
            sessions: Arc::clone(&sessions),
            is_draining: Arc::new(AtomicBool::new(false)),
            is_comparing: Arc::new(AtomicBool::new(false)),
            channels: channels.clone(),
            broker: Arc::clone(&broker),
        };
        let subscriber = ActorSubscriber::subscribe(&*broker, &users, &projects);
        let kept = (retention, limits.retention);
        let (place, sends) = single::scheduler((sends, owner), &ticket_store, &users, &clock, kept);
        let user_entity = UserEntity::new(UserShared {
            inboxes,
            projects: projects.clone(),
            clock: Arc::clone(&clock),
            unsent: Budget::new(limits.unsent_bytes_max),
            limits,
            names,
            sessions,
            users: users.clone(),
            sends: sends.clone(),
            writes,
            slow,
        });
        let ticket_entity = TicketEntity {
            store: Arc::clone(&ticket_store),
            comments,
            users: users.clone(),
            projects: projects.clone(),
            clock,
            passivate_after,
            seen_projects: Arc::new(Cache::new(SEEN_PROJECTS_MAX)),
        };
        let (ticket_slots, directory) = root::directory(TICKET_SHARDS);
        let tickets = Tickets { directory, store: ticket_store };

        let (standing, standing_now) = watch::channel(Standing::Starting);
        let vitals = Vitals::new();
        let root = Root {
            children: root::shards(&user_entity, &users.directory.live, user_slots)
                .chain(root::shards(&ticket_entity, &tickets.directory.live, ticket_slots))
                .chain(root::shards(&project_entity, &projects.directory.live, project_slots))
                .chain([Box::new(place) as Box<dyn root::Permanent>])
                .chain(single::channels(&channels, &log))
                .collect(),
            log: Arc::clone(&log),
            standing,
        };
        let spawned = Actor::spawn(None, root, Arc::clone(&vitals)).await;
        let (actor, _) = spawned.map_err(|error| error.to_string())?;
        let root = Handle::new(actor, vitals);
        let quota = Quota::per_second(RESTARTS_PER_S, RESTARTS_BURST);
        Ok(Self {
            users,
            tickets,
            sends,
            projects,
            channels,
            _subscriber: subscriber,
            root,
            log,
            restarts: Arc::new(RateLimit::new(quota, 1)),
            standing: standing_now,
        })
    }

    /// The whole tree; at most `children_max` children of each supervisor, the busiest first.
    ///
    /// # Errors
    /// [`RestartError::Unavailable`] when the root does not answer within 5 s.
    pub async fn tree(&self, children_max: usize) -> Result<ActorReport, RestartError> {
        let (call, answer) = Call::new(children_max);
        self.root.cast(HubMessage::Report(call));
        match answer.within(ROOT_ANSWER_MAX).await {
            CallOutcome::Answered(report) => Ok(report),
            CallOutcome::Returned(_) | CallOutcome::Lost => Err(RestartError::Unavailable),
        }
    }

    /// The tree's events after the one with that id, and future ones: see [`TreeLog::listen`].
    #[must_use]
    pub fn events(&self, after: Option<u64>) -> TreeEvents {
        self.log.listen(after)
    }

    /// Restarts the actor at `path` (`user/42`, `users/0`, `scheduler`, …) at the request of the
    /// operator with that name. It is killed, even while it handles a message, and starts without a
    /// back-off; that is no failure, and spends no budget.
    ///
    /// # Errors
    /// See [`RestartError`].
    pub async fn restart(&self, path: &str, operator: &str) -> Result<(), RestartError> {
        self.restarts
            .admit(&())
            .map_err(|wait| RestartError::TooMany { retry_after_s: retry_after_s(wait) })?;
        let operator: Arc<str> = operator.into();
        if let Some((kind, id)) = path.split_once('/')
            && let Ok(number) = id.parse::<i64>()
        {
            match kind {
                UserProtocol::KIND => {
                    return restart(&self.users.directory, UserId(number), operator).await;
                }
                TicketProtocol::KIND => {
                    return restart(&self.tickets.directory, TicketId(number), operator).await;
                }
                ProjectProtocol::KIND => {
                    return restart(&self.projects.directory, ProjectId(number), operator).await;
                }
                _ => {}
            }
        }
        let (call, answer) = Call::new((path.to_owned(), operator));
        self.root.cast(HubMessage::Restart(call));
        outcome(answer.within(ROOT_ANSWER_MAX).await)
    }

    /// Whether all supervisors are up and within their restart budgets, and the hub accepts
    /// sessions (it does not while it drains).
    #[must_use]
    pub fn is_ready(&self) -> bool {
        // Without its sender, the root, the last value is meaningless.
        let is_rooted = self.standing.has_changed().is_ok();
        is_rooted
            && *self.standing.borrow() == Standing::Up
            && !self.users.is_draining.load(Relaxed)
    }

    /// Returns once the tree has failed (a supervisor is over its budget): the process must then
    /// exit with an error.
    pub async fn escalated(&self) {
        let mut standing = self.standing.clone();
        // The root owns the sender: if it is gone, so is the tree.
        let _ = standing.wait_for(|standing| *standing == Standing::Escalated).await;
    }

    /// Ends every session, then all sending, and then the tree: see [`Self::end_sessions`],
    /// [`Self::end_sending`] and [`Self::stop`].
    pub async fn drain(&self, window: Duration) {
        self.end_sessions(window).await;
        self.end_sending().await;
        self.stop().await;
    }

    /// Closes every session with 1012, in batches, each with its own reconnect delay within
    /// `window`, and saves the delivered positions. Commands to tickets still work afterwards.
    pub async fn end_sessions(&self, window: Duration) {
        self.users.is_draining.store(true, Relaxed);
        let end = Instant::now() + DRAIN_MAX;
        let online: Vec<Handle<UserMessage>> =
            self.users.directory.live.iter().map(|entry| entry.value().clone()).collect();
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let count = u64::try_from(online.len()).unwrap_or(1).max(1);
        let mut nth = 0;
        for batch in online.chunks(DRAIN_BATCH) {
            let ends = batch.iter().map(|actor| {
                // A slice of the window each, which the actor spreads over its sessions.
                let begin =
                    |nth| u32::try_from(window_ms.saturating_mul(nth) / count).unwrap_or(u32::MAX);
                let (call, answer) = Call::new(begin(nth)..begin(nth + 1));
                nth += 1;
                actor.cast(UserMessage::Drain(call));
                answer.within(end.saturating_duration_since(Instant::now()))
            });
            futures_util::future::join_all(ends.collect::<Vec<_>>()).await;
        }
    }

    /// Stops all sending: attempts in progress are awaited and recorded, leases that have not begun
    /// are returned, and other nodes are told that there may be something to send.
    pub async fn end_sending(&self) {
        if !self.channels.drain(SENDING_MAX).await {
            warn!("attempts that took longer than {} s were cut off", SENDING_MAX.as_secs());
        }
        let which = self.channels.places.iter().map(ChannelPlace::channel).collect();
        self.users.publish(BrokerMessage::ChannelsDue(which));
    }

    /// Stops the tree, and releases what its scheduler has claimed; nothing works afterwards.
    pub async fn stop(&self) {
        // A tree that does not stop in time is cut off by the end of the process.
        let _ = self.root.actor().stop_and_wait(None, Some(ROOT_ANSWER_MAX)).await;
        self.sends.release().await;
    }
}

async fn restart<P: Protocol>(
    directory: &Directory<P>,
    id: P::Id,
    operator: Arc<str>,
) -> Result<(), RestartError> {
    let supervisor = directory.parent(id).ok_or(RestartError::Unavailable)?;
    let (call, answer) = Call::new((id, operator));
    supervisor.0.cast(SupervisorMessage::Restart(call));
    outcome(answer.within(ROOT_ANSWER_MAX).await)
}

fn outcome<Q>(outcome: CallOutcome<Q, bool>) -> Result<(), RestartError> {
    match outcome {
        CallOutcome::Answered(true) => Ok(()),
        CallOutcome::Answered(false) => Err(RestartError::NotFound),
        CallOutcome::Returned(_) | CallOutcome::Lost => Err(RestartError::Unavailable),
    }
}
