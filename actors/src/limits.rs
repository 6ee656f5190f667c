//! Limits and names that several actors share.

use std::sync::Arc;
use std::time::Duration;

use bellpull_port::epoch::Epoch;
pub use bellpull_port::retention::Retention;

/// The first chunk's recipients. With an external delivery each they take some 8 ms of the store's
/// time, which a ticket's commit may have to wait for a send.
pub const CHUNK: u32 = 512;

/// The node's identity for clients.
#[derive(Debug, Clone)]
pub struct HubNames {
    /// The store: positions of one mean nothing to another.
    pub epoch: Epoch,
    /// This process among the cluster's.
    pub node: Arc<str>,
}

/// The tree's limits.
#[derive(Debug, Clone)]
pub struct HubLimits {
    /// The most that a session is sent of its backlog (`replay.limit`; 500).
    pub replay_max: u32,
    /// The most sessions that one user may have on this node (`ws.max_sessions_per_user`; 32).
    pub sessions_per_user_max: usize,
    /// A session that was silent so long is pinged (25 s).
    pub ping_after: Duration,
    /// A session that was silent so long is closed with 4408 (75 s).
    pub silent_max: Duration,
    /// A ticket actor without a command for so long passivates (60 s).
    pub passivate_after: Duration,
    /// How often delivered positions are saved while users stay connected (5 s).
    pub save_delivered_every: Duration,
    /// The memory of everything that all connections have not accepted yet (`ws.max_unsent_bytes`;
    /// 64 MiB).
    pub unsent_bytes_max: usize,
    /// For how long things are kept.
    pub retention: Retention,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self {
            replay_max: 500,
            sessions_per_user_max: 32,
            ping_after: Duration::from_secs(25),
            silent_max: Duration::from_secs(75),
            passivate_after: Duration::from_secs(60),
            save_delivered_every: Duration::from_secs(5),
            unsent_bytes_max: 64 << 20,
            retention: Retention::default(),
        }
    }
}
