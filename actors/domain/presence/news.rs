//! The messages about presence between nodes.

use std::sync::Arc;

use super::super::ids::{TicketId, UserId};
use super::super::stream::Person;

/// A node: its name and the start of its process.
pub type NodeKey = Arc<str>;

/// What the sessions of a user on one node do together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The user.
    pub person: Person,
    /// The newest view of a ticket, with its position among the user's views on all nodes.
    pub viewing: Option<(u64, TicketId)>,
    /// The tickets that are typed on, in the order of their ids.
    pub typing: Vec<TicketId>,
}

/// A node's message about its sessions on one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceNews {
    /// The node.
    pub node: NodeKey,
    /// Rises by one with each change of the node's sessions; begins anew at a higher number with
    /// the project's actor.
    pub version: u64,
    /// The message.
    pub report: PresenceReport,
}

/// A message about presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceReport {
    /// A user's sessions have changed; `None`: the last one has left.
    Changed {
        /// The user.
        user: UserId,
        /// What they do now.
        held: Option<Held>,
    },
    /// Nothing has changed, and the node is alive.
    Alive,
    /// All users with sessions on the node, in one message or several.
    All {
        /// The next of them.
        held: Vec<Held>,
        /// Whether these are the first.
        is_first: bool,
        /// Whether these are the last.
        is_last: bool,
    },
    /// A node that misses something asks for all; `None`: every other node.
    Asked {
        /// Which node.
        of: Option<NodeKey>,
    },
}
