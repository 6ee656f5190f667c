//! This process as one node of several: it is registered, its heartbeat goes on, it counts the
//! others, and it takes its leave.
//!
//! [`Membership`] is the handle; [`address`] finds the URL at which other machines reach a node;
//! [`peers`] calls another node's operator endpoints. The rules are those of
//! [`bellpull_domain::node`], the rows those of [`NodeStore`].

pub mod address;
pub mod peers;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bellpull_domain::node::{HEARTBEAT_EVERY, LEFT_AFTER, Node, NodeName, NodeState, live_count};
use bellpull_port::nodes::{Heartbeat, NewNode};
use bellpull_port::{LeaseOwner, NodeStore, StoreError};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use peers::Peers;

use bellpull_auth::NodePasses;
use bellpull_tls::Certificate;

/// How often a node that starts looks whether its name has become free.
const NAME_ASKED_EVERY: Duration = Duration::from_millis(500);

/// How long a node that stops waits for the store to note it.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// Why a process did not become a node.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Another node has the name.
    #[error("a node named {0} is running on this database; choose another name")]
    Taken(NodeName),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Other nodes cannot be called.
    #[error("the client for other nodes: {0}")]
    Client(#[from] reqwest::Error),
}

/// This process among the nodes. Clones share the state.
#[derive(Debug, Clone)]
pub struct Membership {
    own: Arc<Own>,
}

#[derive(Debug)]
struct Own {
    store: Arc<dyn NodeStore>,
    new: NewNode,
    owner: LeaseOwner,
    peers: Peers,
    /// When the row was written: the heartbeat is for that row.
    started_at: Mutex<Timestamp>,
    state: watch::Sender<NodeState>,
    /// How many nodes are live.
    live: watch::Sender<u32>,
    /// Whether an operator has told this node to stop.
    is_told_to_drain: watch::Sender<bool>,
}

impl Membership {
    /// Registers this process. A name that a killed process had is free after 15 s, so a live
    /// holder that is silent is waited for: a node that is started again at once with its name must
    /// not fail.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub async fn join(
        store: Arc<dyn NodeStore>,
        new: NewNode,
        certificate: Option<&Arc<Certificate>>,
        passes: NodePasses,
    ) -> Result<Self, JoinError> {
        let peers = Peers::new(certificate, passes)?;
        let node = register(&*store, &new).await?;
        info!(node = %node.name, url = node.url, "this node has joined");
        let owner = LeaseOwner::new(node.name.as_str(), node.started_at);
        let live = live_count(&store.nodes().await?);
        Ok(Self {
            own: Arc::new(Own {
                store,
                new,
                owner,
                peers,
                started_at: Mutex::new(node.started_at),
                state: watch::Sender::new(NodeState::Up),
                live: watch::Sender::new(live),
                is_told_to_drain: watch::Sender::new(false),
            }),
        })
    }

    /// This node's name.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.own.new.name
    }

    /// The owner of this process' leases and claims.
    #[must_use]
    pub fn lease_owner(&self) -> &LeaseOwner {
        &self.own.owner
    }

    /// Calls the other nodes.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.own.peers
    }

    /// All nodes, by name.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn all(&self) -> Result<Vec<Node>, StoreError> {
        self.own.store.nodes().await
    }

    /// How many nodes are live, this one among them: limits of all nodes together are divided by
    /// it. It follows a change within a heartbeat's time.
    #[must_use]
    pub fn live(&self) -> watch::Receiver<u32> {
        self.own.live.subscribe()
    }

    /// Writes the heartbeat until this node has left.
    pub async fn keep(self, sessions: impl Fn() -> usize) {
        let mut state = self.own.state.subscribe();
        while *state.borrow_and_update() != NodeState::Left {
            self.beat(sessions()).await;
            tokio::select! {
                () = sleep(HEARTBEAT_EVERY) => {}
                changed = state.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Whether another node is up, which can take over from this one.
    pub async fn has_others(&self) -> bool {
        let Ok(Ok(nodes)) = timeout(LEAVE_MAX, self.all()).await else { return false };
        nodes.iter().any(|node| node.name != *self.name() && node.state == NodeState::Up)
    }

    /// Tells the others that this node is stopping.
    pub fn begin_drain(&self) {
        self.own.state.send_replace(NodeState::Draining);
    }

    /// Tells the others that this node has stopped. If the store does not answer, they see it by
    /// its silence.
    pub async fn leave(&self) {
        self.own.state.send_replace(NodeState::Left);
        let said = self.own.store.heartbeat(self.heartbeat(0));
        match timeout(LEAVE_MAX, said).await {
            Ok(Ok(_)) => info!(node = %self.name(), "this node has left"),
            Ok(Err(error)) => warn!(%error, "that this node has left could not be stored"),
            Err(_) => warn!("that this node has left was not stored in time"),
        }
    }

    /// Stops this process as SIGTERM does, for an operator.
    pub fn drain(&self) {
        self.own.is_told_to_drain.send_replace(true);
    }

    /// Returns once an operator has told this node to stop.
    pub async fn told_to_drain(&self) {
        let mut told = self.own.is_told_to_drain.subscribe();
        // The sender lives as long as this handle.
        let _ = told.wait_for(|told| *told).await;
    }

    async fn beat(&self, sessions: usize) {
        let sessions = u32::try_from(sessions).unwrap_or(u32::MAX);
        match self.own.store.heartbeat(self.heartbeat(sessions)).await {
            Ok(true) => {}
            Ok(false) => self.register_again().await,
            Err(error) => return warn!(%error, "the heartbeat was not stored"),
        }
        if let Ok(nodes) = self.own.store.nodes().await {
            let live = live_count(&nodes);
            self.own.live.send_if_modified(|known| {
                let is_new = *known != live;
                *known = live;
                is_new
            });
        }
    }

    fn heartbeat(&self, sessions: u32) -> Heartbeat {
        Heartbeat {
            name: self.name().clone(),
            started_at: *self.own.started_at.lock().unwrap_or_else(PoisonError::into_inner),
            state: *self.own.state.borrow(),
            sessions,
        }
    }

    /// The row is gone: this process was frozen for so long that it was removed, or that another
    /// took its name.
    async fn register_again(&self) {
        match self.own.store.register_node(self.own.new.clone()).await {
            Ok(node) => {
                let mut started_at =
                    self.own.started_at.lock().unwrap_or_else(PoisonError::into_inner);
                *started_at = node.started_at;
            }
            Err(StoreError::Taken(_)) => {
                error!(node = %self.name(), "another process has taken this node's name: stop one");
            }
            Err(error) => warn!(%error, "this node could not be registered again"),
        }
    }
}

async fn register(store: &dyn NodeStore, new: &NewNode) -> Result<Node, JoinError> {
    let until = Instant::now() + LEFT_AFTER + HEARTBEAT_EVERY;
    let mut known = None;
    loop {
        match store.register_node(new.clone()).await {
            Err(StoreError::Taken(_)) => {}
            outcome => return Ok(outcome?),
        }
        let holder = store.nodes().await?.into_iter().find(|node| node.name == new.name);
        if let Some(holder) = holder {
            let seen = (holder.started_at, holder.last_seen_at);
            if known.is_none() {
                info!(node = %new.name, "the name is in use; waiting for a sign of its holder");
            }
            if *known.get_or_insert(seen) != seen {
                return Err(JoinError::Taken(new.name.clone()));
            }
        }
        if Instant::now() >= until {
            return Err(JoinError::Taken(new.name.clone()));
        }
        sleep(NAME_ASKED_EVERY).await;
    }
}
