//! The broker port: how a node notifies the others of what it has committed.
//!
//! A node notifies its own actors directly, and only then publishes. The broker is never between a
//! commit and this node's own sessions, and a node without peers neither copies nor encodes. A
//! message is a hint: a lost one causes a delay, because sessions compare their positions with the
//! store, and caches their versions.
//!
//! There is no message for changed escalation policies: no node caches them. A store reads them
//! with each group that it commits.

use std::sync::{Arc, Weak};

use jiff::Timestamp;

use super::outlet::Revoked;
use super::shared_limits::SharedLimits;
use super::tickets::AnnouncedMessage;
use bellpull_domain::ids::{LoginId, ProjectId, Seq, UserId};
use bellpull_domain::inbox::Change;
use bellpull_domain::presence::PresenceNews;
use bellpull_domain::routing::Channels;
use bellpull_domain::stream::TicketNews;

/// A message to the other nodes. It borrows plain data and contains no handle of an actor: a broker
/// between processes encodes it before `publish` returns, and lends what it has decoded to the
/// subscribers.
#[derive(Debug, Clone, Copy)]
pub enum BrokerMessage<'a> {
    /// One user's inbox has changed.
    Changed {
        /// The user.
        user: UserId,
        /// The change.
        change: &'a Change,
    },
    /// Inboxes have reached these numbers; the changes are not in the message.
    Moved(&'a [(UserId, Seq)]),
    /// An announcement was committed: one text for any number of recipients, each with a number of
    /// its own. Its channels have deliveries to make.
    Announced(&'a AnnouncedMessage),
    /// An event of a project's streams.
    ProjectNews {
        /// The project.
        project: ProjectId,
        /// The event, and who may see it.
        news: &'a TicketNews,
    },
    /// A node's sessions on a project's presence stream.
    Presence {
        /// The project.
        project: ProjectId,
        /// The message.
        news: &'a PresenceNews,
    },
    /// A user is not a member of a project any more.
    MemberRemoved {
        /// The project.
        project: ProjectId,
        /// The user.
        user: UserId,
    },
    /// Sessions must be closed: their login has ended, or the account has lost a right.
    SessionsEnded {
        /// The user.
        user: UserId,
        /// Those of one login; `None`: all of them.
        login: Option<LoginId>,
        /// The close reason.
        why: Revoked,
    },
    /// A login has ended: its access tokens are refused.
    LoginEnded {
        /// The login.
        login: LoginId,
        /// When its last access token expires.
        until: Timestamp,
    },
    /// An account was changed: what is cached of it is out of date.
    AccountChanged(UserId),
    /// Templates were changed: those in memory are out of date.
    TemplatesChanged,
    /// There are new deliveries on these channels.
    ChannelsDue(Channels),
    /// Other nodes' messages may be missing, or cannot be read: compare inboxes with the store. A
    /// broker passes it to its own subscribers, again and again while the other nodes are
    /// unreachable.
    Compare,
    /// Other nodes' messages were lost, and are received again from now on: compare inboxes with
    /// the store, and let streams without a sequence begin anew.
    Missed,
}

/// Whether the other nodes can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerState {
    /// There are no other nodes.
    Off,
    /// Messages are sent and received.
    Ok,
    /// Messages may be lost; what they would have caused happens later.
    Degraded,
}

impl BrokerState {
    /// The state's name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Ok => "ok",
            Self::Degraded => "degraded",
        }
    }
}

/// How many messages on the nodes' topic were refused, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefusedMessages {
    /// Without a seal: of an older release, or of no node.
    pub unsealed: u64,
    /// Of nodes on a copy of the database.
    pub other_database: u64,
    /// With a wrong seal.
    pub forged: u64,
    /// Received before.
    pub repeated: u64,
    /// Of nodes that the database does not list.
    pub unlisted: u64,
}

/// Receives the messages of other nodes.
pub trait Subscriber: std::fmt::Debug + Send + Sync + 'static {
    /// Handles a message of another node. It must not wait, and ignores messages that do not
    /// concern it. It must not publish: the publishing node has notified all others.
    ///
    /// Messages may be lost, duplicated or late, and those of two nodes arrive in any order.
    fn receive(&self, message: BrokerMessage<'_>);
}

/// The connection to the other nodes.
pub trait Broker: std::fmt::Debug + Send + Sync + 'static {
    /// Whether there may be other nodes. Without them a caller need not build a message for them.
    fn has_peers(&self) -> bool;

    /// Whether the other nodes can be reached now.
    fn state(&self) -> BrokerState;

    /// Sends a message to all other nodes, never to this one. It does not wait and cannot fail:
    /// while the others are unreachable, messages are dropped. Call it after the commit, and after
    /// this node's own actors were notified.
    fn publish(&self, message: BrokerMessage<'_>);

    /// Passes each message of the other nodes to `subscriber`, until its owner drops it. The broker
    /// owns no subscriber: a subscriber holds handles that hold the broker.
    fn subscribe(&self, subscriber: Weak<dyn Subscriber>);

    /// How many messages were refused since this node has started.
    fn refused(&self) -> RefusedMessages {
        RefusedMessages::default()
    }

    /// The limits that this node shares with the others; `None`: it counts alone.
    fn shared_limits(&self) -> Option<Arc<dyn SharedLimits>> {
        None
    }
}
