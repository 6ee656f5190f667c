//! The root of the supervision tree, and the handle by which the process holds it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use crate::directory::{Tickets, Users};
use crate::observe::{ActorReport, TreeEvent};
use crate::port::{Clock, InboxStore, TicketStore};

/// What the tree is built from.
#[derive(Debug, Clone)]
pub struct HubParts {
    /// Where tickets are.
    pub tickets: Arc<dyn TicketStore>,
    /// Where inboxes are.
    pub inboxes: Arc<dyn InboxStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Limits.
    pub limits: HubLimits,
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
        }
    }
}

/// The process' hold on its tree.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The way to the user actors.
    pub users: Users,
    /// The way to the ticket actors.
    pub tickets: Tickets,
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
}

impl Hub {
    /// Starts the tree.
    ///
    /// # Errors
    /// A text when the root could not be spawned.
    pub async fn start(parts: HubParts) -> Result<Self, String> {
        todo!()
    }

    /// The whole tree; at most `children_max` children of each supervisor, the busiest first.
    ///
    /// # Errors
    /// [`RestartError::Unavailable`] when the root does not answer within 5 s.
    pub async fn tree(&self, children_max: usize) -> Result<ActorReport, RestartError> {
        todo!()
    }

    /// What happens in the tree from now on; a receiver that lags is told how many it missed.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<TreeEvent> {
        todo!()
    }

    /// Kills the actor at `path` (`user/42`, `users/0`, …), so that its supervisor does what it
    /// does after a failure.
    ///
    /// # Errors
    /// See [`RestartError`].
    pub async fn restart(&self, path: &str) -> Result<(), RestartError> {
        todo!()
    }

    /// Whether all supervisors are up and within their restart budgets.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        todo!()
    }

    /// Returns once the tree has given up (a supervisor is over its budget): the process must end
    /// with an error then.
    pub async fn escalated(&self) {
        todo!()
    }

    /// Ends every session with 1012, spread over `window` in batches, each told its own time to
    /// come back; saves the delivered positions; stops the tree.
    pub async fn drain(&self, window: Duration) {
        todo!()
    }
}
