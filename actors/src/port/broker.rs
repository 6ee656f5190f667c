//! The broker: how a node tells the others what it has committed.
//!
//! A node tells its own actors directly, and only then publishes. The broker is never between a
//! commit and this node's own sessions, and a node without peers neither copies nor encodes. A
//! message is a hint: one that is lost delays, because a session compares its position with the
//! store, and each cache its version.
//!
//! No message tells of changed escalation policies: no node caches them. A store reads them with
//! each group that it commits.

use std::sync::Weak;

use jiff::Timestamp;

use super::outlet::Revoked;
use super::tickets::AnnouncedMessage;
use crate::domain::ids::{LoginId, ProjectId, UserId};
use crate::domain::inbox::Change;
use crate::domain::routing::Channels;
use crate::domain::stream::TicketNews;

/// What a node tells the others. It borrows plain data, and has no handle of an actor in it: a
/// broker that leaves the process encodes it before `publish` returns, and on the other side lends
/// what it has decoded to the subscribers.
#[derive(Debug, Clone, Copy)]
pub enum BrokerMessage<'a> {
    /// One user's inbox has changed.
    Changed {
        /// Whose.
        user: UserId,
        /// What happened.
        change: &'a Change,
    },
    /// An announcement was committed: one text for any number of recipients, each with a number of
    /// its own. Its channels have deliveries to make.
    Announced(&'a AnnouncedMessage),
    /// Something happened in a project that its streams tell.
    ProjectNews {
        /// Which project.
        project: ProjectId,
        /// What happened, and who may see it.
        news: &'a TicketNews,
    },
    /// A user is not a member of a project any more.
    MemberRemoved {
        /// Which project.
        project: ProjectId,
        /// Who.
        user: UserId,
    },
    /// Sessions are to be closed: their login has ended, or the account has lost a right.
    SessionsEnded {
        /// Whose.
        user: UserId,
        /// Those of one login; `None`: all of them.
        login: Option<LoginId>,
        /// What they are told.
        why: Revoked,
    },
    /// A login has ended: its access tokens are refused.
    LoginEnded {
        /// Which.
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
}

/// What a broker hands the messages of other nodes to.
pub trait Subscriber: std::fmt::Debug + Send + Sync + 'static {
    /// Takes a message of another node. It must not wait, and ignores what it has no use for. It
    /// must not publish in turn: the node that published has told every other.
    ///
    /// Messages may be lost, doubled or late, and those of two nodes arrive in any order.
    fn receive(&self, message: BrokerMessage<'_>);
}

/// The way to the other nodes.
pub trait Broker: std::fmt::Debug + Send + Sync + 'static {
    /// Whether there may be other nodes. Without them a caller need not make a message that only
    /// they would be told.
    fn has_peers(&self) -> bool;

    /// Hands a message to all other nodes, never to this one. It does not wait and cannot fail:
    /// while the others cannot be reached, messages are dropped. Call it after the commit, and
    /// after this node's own actors were told.
    fn publish(&self, message: BrokerMessage<'_>);

    /// Hands each message of the other nodes to `subscriber`, until its owner drops it. The broker
    /// owns no subscriber: a subscriber holds handles that hold the broker.
    fn subscribe(&self, subscriber: Weak<dyn Subscriber>);
}
