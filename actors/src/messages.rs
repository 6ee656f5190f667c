//! The messages of user and project actors. The two kinds hold each other's handles, so their
//! messages are defined together, apart from the actors that handle them.

use std::ops::Range;
use std::sync::Arc;

use ractor::ActorId;
use serde_json::Value;

use crate::fan_out::FanOutGuard;
use crate::supervisor::Protocol;
use crate::user::own::OwnMessage;
use crate::vitals::Handle;
use bellpull_domain::ids::{LoginId, ProjectId, Seq, TicketId, UserId};
use bellpull_domain::inbox::{Change, Reached};
use bellpull_domain::presence::{PresenceNews, SessionNumber};
use bellpull_domain::stream::{Present, SharedStreamEvent, StreamKind, TicketNews};
use bellpull_domain::ticket::Caller;
use bellpull_domain::user::User;
use bellpull_port::call::Call;
use bellpull_port::outlet::Ending;
use bellpull_port::session::{Heard, SessionStart};

/// A session that wants in.
#[derive(Debug)]
pub struct Attach {
    /// The user.
    pub account: Arc<User>,
    /// The session.
    pub start: SessionStart,
}

/// The messages of a user actor. A task has room for a few of them, so large ones are boxed.
#[derive(Debug)]
pub enum UserMessage {
    /// A session wants in.
    Attach(Call<Attach, Result<Session, AttachError>>),
    /// The inbox changed.
    Changed {
        /// How.
        change: Change,
        /// If others are notified at the same time: dropped once it was shown.
        fan_out: Option<FanOutGuard>,
    },
    /// The inbox changed several times at once, by announcements to many.
    ChangedTogether {
        /// In the order of their numbers.
        changes: Vec<Change>,
        /// Dropped once they were shown.
        fan_out: FanOutGuard,
    },
    /// The inbox changed, as another node has announced.
    ChangedElsewhere(Change),
    /// The inbox has reached that number; the changes are in the store.
    Reached(Seq),
    /// The inbox may have changed: compare it with the store.
    Compare,
    /// A message of a session's reader.
    Heard {
        /// Which session.
        session: u32,
        /// The event.
        heard: Heard,
    },
    /// End the sessions of a login (`None`: all).
    End {
        /// Which login's.
        login: Option<LoginId>,
        /// The close reason.
        why: Ending,
    },
    /// The account has these rights now: end the sessions that were opened with others.
    Rights(Arc<User>),
    /// Close all sessions and save; answered once that is done. Their clients are told to reconnect
    /// within this range of milliseconds, each after a delay of its own.
    Drain(Call<Range<u32>, ()>),
    /// A message of a project's actor.
    Stream(Box<StreamMessage>),
    /// The supervisor's wheel has turned.
    Tick,
    /// An operator ends the session with that number; the answer is whether there was one.
    Close(Call<u32, bool>),
    /// How is it?
    Observe(Call<(), Value>),
    /// The result of one of the actor's own tasks.
    Own(OwnMessage),
    /// Fail: for tests of failures.
    #[cfg(feature = "testing")]
    Panic,
}

/// How user actors are addressed.
#[derive(Debug)]
pub struct UserProtocol;

impl Protocol for UserProtocol {
    type Id = UserId;
    type Message = UserMessage;
    /// How far inboxes have come, saved for all users of a shard at once.
    type Note = (UserId, Reached);

    const KIND: &'static str = "user";

    fn number(id: UserId) -> u64 {
        id.0.unsigned_abs()
    }

    fn tick() -> UserMessage {
        UserMessage::Tick
    }

    fn observe(call: Call<(), Value>) -> UserMessage {
        UserMessage::Observe(call)
    }
}

/// A session that its user's actor has accepted: its reader's handle to that actor.
#[derive(Debug, Clone)]
pub struct Session {
    pub(crate) actor: Handle<UserMessage>,
    pub(crate) id: u32,
}

/// A reader's handle to its user's actor.
#[derive(Debug, Clone)]
pub struct Line(Handle<UserMessage>);

impl Line {
    /// As [`Session::heard`].
    pub fn heard(&self, session: u32, heard: Heard) {
        self.0.cast(UserMessage::Heard { session, heard });
    }
}

/// Why a session was not accepted. The outlet was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The user has as many sessions as one may have.
    #[error("the user has too many sessions")]
    TooMany,
    /// The hub cannot accept it now.
    #[error("the hub cannot take a session in now")]
    Unavailable,
}

impl Session {
    /// The actor, and the session's number there: for callers with room for one apart
    /// from the other.
    #[must_use]
    pub fn into_parts(self) -> (Line, u32) {
        (Line(self.actor), self.id)
    }

    /// Passes a client's message to the user's actor. Once the actor is gone this does nothing: its
    /// outlet has closed the connection.
    pub fn heard(&self, heard: Heard) {
        self.actor.cast(UserMessage::Heard { session: self.id, heard });
    }
}

/// Messages of project actors.
#[derive(Debug)]
pub enum StreamMessage {
    /// A subscription stands, until the watch is dropped.
    Begun {
        /// The subscription.
        watch: Watch,
        /// The present users, for a presence stream.
        present: Option<Vec<Present>>,
    },
    /// A stream's event.
    News(Arc<SharedStreamEvent>),
    /// All subscriptions to a project have ended.
    Ended {
        /// Which project.
        project: ProjectId,
        /// Which of the project's actors: another one may have succeeded it.
        actor: ActorId,
        /// Why.
        why: Parting,
    },
    /// A subscription does not stand, or has ended.
    Failed(Failed),
}

/// A subscription that failed.
#[derive(Debug)]
pub struct Failed {
    pub(crate) id: SubscriptionId,
    pub(crate) why: NoSubscription,
}

/// Why a subscription does not stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSubscription {
    /// There is no such project, or this user may not know that it exists.
    NoRight,
    /// The store or the project's actor does not answer now.
    Unavailable,
}

/// The messages of a project actor.
#[derive(Debug)]
pub enum ProjectMessage {
    /// A session subscribes to a stream.
    Subscribe(Call<Subscribe, ()>),
    /// A subscription has ended.
    Leave(Watcher),
    /// A session views another ticket, or none.
    View {
        /// The user.
        watcher: Watcher,
        /// The position of the view among its user's: the newest counts.
        order: u64,
        /// The ticket.
        ticket: Option<TicketId>,
    },
    /// A session types, or has ended.
    Type {
        /// The user.
        watcher: Watcher,
        /// The ticket.
        ticket: TicketId,
        /// Whether it types.
        is_typing: bool,
    },
    /// Something became of one of its tickets.
    Tell(TicketNews),
    /// Events of other nodes were lost: subscriptions begin anew, as after a failure of this actor.
    BeginAnew,
    /// Another node's message about presence.
    Presence(Box<PresenceNews>),
    /// A heartbeat to the other nodes is due.
    PresenceDue,
    /// A user has lost the right to watch.
    Withdraw(UserId),
    /// A user's typing may have ended.
    TypingDue,
    /// The supervisor's wheel has turned.
    Tick,
    /// How is it?
    Observe(Call<(), Value>),
    /// Fail: for tests of failures.
    #[cfg(feature = "testing")]
    Panic,
}

/// How project actors are addressed.
#[derive(Debug)]
pub struct ProjectProtocol;

impl Protocol for ProjectProtocol {
    type Id = ProjectId;
    type Message = ProjectMessage;
    type Note = ();

    const KIND: &'static str = "project";

    fn number(id: ProjectId) -> u64 {
        id.0.unsigned_abs()
    }

    fn tick() -> ProjectMessage {
        ProjectMessage::Tick
    }

    fn observe(call: Call<(), Value>) -> ProjectMessage {
        ProjectMessage::Observe(call)
    }
}

/// Identifies a subscription of one user actor, over all its sessions and projects; a subscription
/// that begins again has another one.
pub type SubscriptionId = SessionNumber;

/// A session's subscription to a stream; the right was checked.
#[derive(Debug)]
pub struct Subscribe {
    /// The user's actor.
    pub actor: Handle<UserMessage>,
    /// The session's user.
    pub caller: Caller,
    /// Which of the project's streams.
    pub kind: StreamKind,
    /// The subscription's id at the user's actor.
    pub id: SubscriptionId,
}

/// The subscription's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watcher {
    /// The user.
    pub user: UserId,
    /// Which of the user's actors, of which there is one at a time.
    pub actor: ActorId,
    /// Which of that actor's subscriptions.
    pub id: SubscriptionId,
}

/// Why a project's actor has ended a user's subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// It died: something may have been missed.
    Lost,
    /// The right was withdrawn.
    Withdrawn,
}

/// The user's end of a subscription; dropping it ends the subscription.
#[derive(Debug)]
pub struct Watch {
    project: Handle<ProjectMessage>,
    watcher: Watcher,
}

impl Watch {
    pub(crate) fn new(project: Handle<ProjectMessage>, watcher: Watcher) -> Self {
        Self { project, watcher }
    }

    /// The subscription's id at the user's actor.
    pub(crate) fn id(&self) -> SubscriptionId {
        self.watcher.id
    }

    /// The project's actor.
    pub(crate) fn stands_at(&self) -> ActorId {
        self.project.actor().get_id()
    }

    /// This session views another ticket, or none.
    pub(crate) fn view(&self, order: u64, ticket: Option<TicketId>) {
        self.project.cast(ProjectMessage::View { watcher: self.watcher, order, ticket });
    }

    /// This session types, or has ended.
    pub(crate) fn type_on(&self, ticket: TicketId, is_typing: bool) {
        self.project.cast(ProjectMessage::Type { watcher: self.watcher, ticket, is_typing });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.project.cast(ProjectMessage::Leave(self.watcher));
    }
}
