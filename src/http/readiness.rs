//! Whether this hub should be sent work: what a load balancer asks.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::hub::Hub;
use bellpull_actors::port::AccountStore;
use tokio::sync::watch;

/// How long the store may take to answer before it counts as away. Probes give up after a second
/// or more by default, and an answer that comes later than they wait is none.
const PING_MAX: Duration = Duration::from_millis(900);

/// What readiness depends on. Cheap to clone; all clones drain together.
#[derive(Debug, Clone)]
pub struct Readiness {
    draining: watch::Sender<bool>,
    hub: Hub,
    accounts: Arc<dyn AccountStore>,
}

/// What was found, check by check: whether it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checks {
    /// The hub is not on its way out.
    pub(super) is_staying: bool,
    /// All supervisors are up and within their budgets.
    pub(super) are_supervisors_up: bool,
    /// The store took the last write, or a probe.
    pub(super) does_store_write: bool,
}

impl Readiness {
    /// Ready as soon as the hub and the store are.
    #[must_use]
    pub fn new(hub: Hub, accounts: Arc<dyn AccountStore>) -> Self {
        Self { draining: watch::Sender::new(false), hub, accounts }
    }

    /// From now on this hub is on its way out: it is not ready, and stays so.
    pub fn begin_drain(&self) {
        self.draining.send_replace(true);
    }

    /// Whether the hub is on its way out.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Returns once the hub is on its way out: what would never end by itself ends then.
    pub(super) fn drain_begun(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut draining = self.draining.subscribe();
        async move {
            let _ = draining.wait_for(|draining| *draining).await;
        }
    }

    /// Looks at everything.
    pub(super) async fn check(&self) -> Checks {
        let ping = tokio::time::timeout(PING_MAX, self.accounts.ping()).await;
        Checks {
            is_staying: !self.is_draining(),
            are_supervisors_up: self.hub.is_ready(),
            does_store_write: matches!(ping, Ok(Ok(()))),
        }
    }
}

impl Checks {
    /// Whether everything holds.
    pub(super) fn all(self) -> bool {
        self.is_staying && self.are_supervisors_up && self.does_store_write
    }
}
