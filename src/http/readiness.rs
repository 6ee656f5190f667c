//! Whether this hub accepts work: for load balancers.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::hub::Hub;
use bellpull_port::{Broker, RefusedMessages, Store};
use tokio::sync::watch;

/// How long the store may take to answer before it counts as unavailable. Probes time out after a
/// second or more by default.
const ANSWER_MAX: Duration = Duration::from_millis(900);

/// What readiness depends on. Cheap to clone; clones share the state.
#[derive(Debug, Clone)]
pub struct Readiness {
    drain: watch::Sender<Drain>,
    hub: Hub,
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
}

/// How far this hub has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    No,
    /// Load balancers are told; everything is still served.
    Announced,
    /// What would never end by itself ends.
    Begun,
}

/// The result of each check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checks {
    /// The hub is not shutting down.
    pub(super) is_staying: bool,
    /// All supervisors are up and within their budgets.
    pub(super) are_supervisors_up: bool,
    /// The last write succeeded, or a probe did.
    pub(super) does_store_write: bool,
}

impl Readiness {
    /// Ready as soon as the hub and the store are.
    #[must_use]
    pub fn new(hub: Hub, store: Arc<dyn Store>, broker: Arc<dyn Broker>) -> Self {
        Self { drain: watch::Sender::new(Drain::No), hub, store, broker }
    }

    /// Makes the hub not ready, for good: it is shutting down.
    pub fn announce_drain(&self) {
        self.drain.send_replace(Drain::Announced);
    }

    /// Ends the streams that would never end otherwise.
    pub fn begin_drain(&self) {
        self.drain.send_replace(Drain::Begun);
    }

    /// Whether the hub is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.drain.borrow() != Drain::No
    }

    /// Returns once streams end.
    pub(super) fn drain_begun(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut drain = self.drain.subscribe();
        async move {
            let _ = drain.wait_for(|drain| *drain == Drain::Begun).await;
        }
    }

    /// The state of the way to the other nodes: `ok`, `degraded`, or `off` without one.
    pub(super) fn broker(&self) -> &'static str {
        self.broker.state().as_str()
    }

    /// Why the broker has refused messages, and how many; `None`: it has refused none.
    pub(super) fn broker_refused(&self) -> Option<String> {
        let RefusedMessages { unsealed, other_database, forged, repeated, unlisted } =
            self.broker.refused();
        let all = [
            ("unsealed", unsealed),
            ("of another database", other_database),
            ("forged", forged),
            ("repeated", repeated),
            ("of unlisted nodes", unlisted),
        ];
        let some = all.iter().filter(|(_, count)| *count > 0);
        let some: Vec<String> = some.map(|(why, count)| format!("{count} {why}")).collect();
        (!some.is_empty()).then(|| some.join(", "))
    }

    /// Runs all checks.
    pub(super) async fn check(&self) -> Checks {
        let answer = tokio::time::timeout(ANSWER_MAX, self.store.answers()).await;
        Checks {
            is_staying: !self.is_draining(),
            are_supervisors_up: self.hub.is_ready(),
            does_store_write: matches!(answer, Ok(Ok(()))),
        }
    }
}

impl Checks {
    /// Whether all checks pass.
    pub(super) fn all(self) -> bool {
        self.is_staying && self.are_supervisors_up && self.does_store_write
    }
}
