//! What user and project actors are sent. The two kinds hold each other's handles, so that their
//! messages stand together, apart from the actors that handle them.

use std::ops::Range;
use std::sync::Arc;

use ractor::ActorId;
use serde_json::Value;

use crate::call::Call;
use crate::domain::ids::{LoginId, ProjectId, Seq, TicketId, UserId};
use crate::domain::inbox::Change;
use crate::domain::presence::SessionNumber;
use crate::domain::stream::{Present, SharedStreamEvent, StreamKind, TicketNews};
use crate::domain::ticket::Caller;
use crate::domain::user::User;
use crate::fan_out::FanOutGuard;
use crate::port::outlet::Ending;
use crate::session::{Heard, SessionStart};
use crate::supervisor::Protocol;
use crate::user::own::OwnMessage;
use crate::vitals::Handle;

/// A session that wants in.
#[derive(Debug)]
pub struct Attach {
    /// Whose.
    pub account: Arc<User>,
    /// The session.
    pub start: SessionStart,
}

/// What a user actor is sent. Each of them has room for a few, so that what is large is in a box.
#[derive(Debug)]
pub enum UserMessage {
    /// A session wants in.
    Attach(Call<Attach, Result<Session, AttachError>>),
    /// The inbox changed.
    Changed {
        /// How.
        change: Change,
        /// Where others are told at the same time: dropped once it was shown.
        fan_out: Option<FanOutGuard>,
    },
    /// The inbox changed several times at once, by what others are told at the same time.
    ChangedTogether {
        /// In the order of their numbers.
        changes: Vec<Change>,
        /// Dropped once they were shown.
        fan_out: FanOutGuard,
    },
    /// A session's reader heard something.
    Heard {
        /// Which session.
        session: u32,
        /// What.
        heard: Heard,
    },
    /// End the sessions of a login (`None`: all).
    End {
        /// Which login's.
        login: Option<LoginId>,
        /// What they are told.
        why: Ending,
    },
    /// End all sessions and save; answered once that is done. They are told to come back within
    /// this range of milliseconds, each at a time of its own.
    Drain(Call<Range<u32>, ()>),
    /// Something is heard of a project.
    Stream(Box<StreamMessage>),
    /// The supervisor's wheel has turned.
    Tick,
    /// How is it?
    Observe(Call<(), Value>),
    /// A task of its own has something to say.
    Own(OwnMessage),
    /// Fail, to show what a failure does.
    #[cfg(feature = "testing")]
    Panic,
}

/// How user actors are addressed.
#[derive(Debug)]
pub struct UserProtocol;

impl Protocol for UserProtocol {
    type Id = UserId;
    type Message = UserMessage;
    /// What was delivered to whom: saved for all users of a shard at once.
    type Note = (UserId, Seq);

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

/// A session that its user's actor has taken in: its reader's way to that actor.
#[derive(Debug, Clone)]
pub struct Session {
    pub(crate) actor: Handle<UserMessage>,
    pub(crate) id: u32,
}

/// The way of a session's reader to its user's actor.
#[derive(Debug, Clone)]
pub struct Line(Handle<UserMessage>);

impl Line {
    /// As [`Session::heard`].
    pub fn heard(&self, session: u32, heard: Heard) {
        self.0.cast(UserMessage::Heard { session, heard });
    }
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

impl Session {
    /// The actor, and the session's number there: for callers with room for one apart
    /// from the other.
    #[must_use]
    pub fn into_parts(self) -> (Line, u32) {
        (Line(self.actor), self.id)
    }

    /// Tells the user's actor what was heard. Once the actor is gone this does nothing: its
    /// outlet has closed the connection.
    pub fn heard(&self, heard: Heard) {
        self.actor.cast(UserMessage::Heard { session: self.id, heard });
    }
}

/// What is heard of projects.
#[derive(Debug)]
pub enum StreamMessage {
    /// A subscription stands; it does until the watch is dropped.
    Begun {
        /// The subscription.
        watch: Watch,
        /// Who is there, on a stream of presence.
        present: Option<Vec<Present>>,
    },
    /// What a stream tells.
    News(Arc<SharedStreamEvent>),
    /// All subscriptions to a project have ended.
    Ended {
        /// Which project.
        project: ProjectId,
        /// Which of its actors says so: by now another one may be subscribed to.
        actor: ActorId,
        /// Why.
        why: Parting,
    },
    /// One does not stand, or should not.
    Failed(Failed),
}

/// A subscription that came to nothing.
#[derive(Debug)]
pub struct Failed {
    pub(crate) id: SubscriptionId,
    pub(crate) why: NoSubscription,
}

/// Why a subscription does not stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSubscription {
    /// There is no such project, or it is not for this person to know.
    NoRight,
    /// The store or the project's actor does not answer now.
    Unavailable,
}

/// What a project actor is sent.
#[derive(Debug)]
pub enum ProjectMessage {
    /// A session subscribes to a stream.
    Subscribe(Call<Subscribe, ()>),
    /// A subscription has ended.
    Leave(Watcher),
    /// A session looks at another ticket, or at none.
    View {
        /// Whose.
        watcher: Watcher,
        /// Its place among its person's looks: the newest counts.
        order: u64,
        /// At what.
        ticket: Option<TicketId>,
    },
    /// A session types, or has ended.
    Type {
        /// Whose.
        watcher: Watcher,
        /// On what.
        ticket: TicketId,
        /// Whether it types.
        is_typing: bool,
    },
    /// Something became of one of its tickets.
    Tell(TicketNews),
    /// A user has lost the right to watch.
    Withdraw(UserId),
    /// A user's typing may have ended.
    TypingDue,
    /// The supervisor's wheel has turned.
    Tick,
    /// How is it?
    Observe(Call<(), Value>),
    /// Fail, to show what a failure does.
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

/// Tells apart the subscriptions of one user actor, over all its sessions and projects; a
/// subscription that begins anew is another one.
pub type SubscriptionId = SessionNumber;

/// A session's subscription to a stream; the right was checked.
#[derive(Debug)]
pub struct Subscribe {
    /// The user's actor.
    pub actor: Handle<UserMessage>,
    /// Whose session.
    pub caller: Caller,
    /// Which of the project's streams.
    pub kind: StreamKind,
    /// What the user's actor calls the subscription.
    pub id: SubscriptionId,
}

/// Whose subscription it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watcher {
    /// The user.
    pub user: UserId,
    /// Which of the user's actors, of which there is one at a time.
    pub actor: ActorId,
    /// Which of that actor's subscriptions.
    pub id: SubscriptionId,
}

/// Why a project's actor tells a user no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// It died: something may have been missed.
    Lost,
    /// The right was withdrawn.
    Withdrawn,
}

/// The user's end of a subscription that stands; dropping it ends the subscription.
#[derive(Debug)]
pub struct Watch {
    project: Handle<ProjectMessage>,
    watcher: Watcher,
}

impl Watch {
    pub(crate) fn new(project: Handle<ProjectMessage>, watcher: Watcher) -> Self {
        Self { project, watcher }
    }

    /// What the user's actor calls the subscription.
    pub(crate) fn id(&self) -> SubscriptionId {
        self.watcher.id
    }

    /// The project's actor that it stands at.
    pub(crate) fn stands_at(&self) -> ActorId {
        self.project.actor().get_id()
    }

    /// This session looks at another ticket, or at none.
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
