//! The store port of the nodes: which processes run on this database.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use bellpull_domain::node::{Node, NodeName, NodeState};

/// A node that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// Its name.
    pub name: NodeName,
    /// Where it serves clients, without a trailing slash.
    pub url: String,
    /// Where it serves operators and the other nodes, without a trailing slash.
    pub operator_url: String,
    /// Its program's version.
    pub version: String,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its name.
    pub name: NodeName,
    /// When it was registered.
    pub started_at: Timestamp,
    /// Its state; [`NodeState::Left`] is its last word.
    pub state: NodeState,
    /// How many sessions it has.
    pub sessions: u32,
}

/// The nodes. All times here are by the store's own clock, and callers pass none: a node whose
/// clock is wrong must not count as left, nor stay listed when it is gone. (Where several machines
/// share a store, its clock is the database server's.)
///
/// Each method is one transaction. When a node counts as left is a rule of
/// [`bellpull_domain::node`].
///
/// A store that only one process can open forgets all nodes when that process opens it: none of
/// them can be alive.
#[async_trait]
pub trait NodeStore: std::fmt::Debug + Send + Sync + 'static {
    /// Registers a node as up, and as it then is. One of that name that has left is replaced; nodes
    /// that are no longer listed are removed.
    ///
    /// [`StoreError::Taken`] with `node`, without a change, if a live node has the name; of two
    /// that register it at once, one gets it.
    async fn register_node(&self, new: NewNode) -> Result<Node, StoreError>;

    /// Stores a node's state and that it was seen now; `false`, without a change, if this process
    /// is not registered: another has taken its name, or its row was removed. Idempotent.
    async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<bool, StoreError>;

    /// What tells this database from every copy of it, on this server or another: all nodes of the
    /// database read the same, and it does not change while they run.
    async fn database_id(&self) -> Result<String, StoreError>;

    /// All live nodes and those that left within the hour, by name, each in its present state.
    async fn nodes(&self) -> Result<Vec<Node>, StoreError>;
}
