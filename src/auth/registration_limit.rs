//! How many accounts may be registered per minute: by one network, and in all, over all nodes.
//!
//! Every well-formed registration counts, whether its name is taken or not: each costs a password's
//! hash, and most notify every super admin.
//!
//! A node asks its own limits first, then those that all nodes share: the same ones, in the same
//! order. While those do not answer, its own stand.

use std::sync::Arc;
use std::time::Duration;

use bellpull_port::rate::{Quota, RateLimit, retry_after_s};
use bellpull_port::shared_limits::{RuleTurn, SharedLimits, SharedRule, outcome};
use bellpull_port::shared_rate::SharedKey;

use super::AuthError;

/// One network's share of the total: six busy ones use it up.
const NETWORKS_MIN: u32 = 6;

/// One part of this many is reserved for networks without a registration in the last minute.
const RESERVE: u32 = 4;

/// How many networks are held: more than can register in a minute.
const NETWORKS_MAX: usize = 16_384;

/// What is asked together.
const GROUP: &str = "registrations";

/// The limits.
#[derive(Debug)]
pub(super) struct RegistrationLimit {
    own: Own,
    quotas: Option<Quotas>,
    /// `None`: this node counts alone.
    shared: Option<Arc<dyn SharedLimits>>,
}

/// This node's own.
#[derive(Debug)]
struct Own {
    /// Per network.
    network: RateLimit<u64>,
    /// Whether a registration is a network's first of a minute.
    first: RateLimit<u64>,
    /// Registrations that are not their network's first.
    further: RateLimit<()>,
    all: RateLimit<()>,
}

/// The quotas of the same names.
#[derive(Debug, Clone, Copy)]
struct Quotas {
    network: Quota,
    first: Quota,
    further: Quota,
    all: Quota,
}

impl Quotas {
    /// `None`: no limit.
    fn per_minute(per_min: u32) -> Option<Self> {
        // A limit of a few leaves each network one, and further ones first come, first served.
        let part = |count: u32| Quota::per_minute(count.max(1), count.max(1));
        Some(Self {
            all: Quota::per_minute(per_min, per_min)?,
            network: part(per_min / NETWORKS_MIN)?,
            first: part(1)?,
            further: part(per_min - per_min / RESERVE)?,
        })
    }

    /// The rules for a network's registration, in the order of [`Own::begin`].
    fn rules(&self, network: u64) -> [SharedRule; 4] {
        let rule = |name, key, quota, turn| SharedRule { name, key, quota, turn };
        [
            rule("network", network.bytes(), self.network, RuleTurn::Require),
            rule("first", network.bytes(), self.first, RuleTurn::InsteadOfNext),
            rule("further", ().bytes(), self.further, RuleTurn::Require),
            rule("all", ().bytes(), self.all, RuleTurn::Require),
        ]
    }
}

impl Own {
    fn new(quotas: Option<Quotas>) -> Self {
        Self {
            network: RateLimit::new(quotas.map(|quotas| quotas.network), NETWORKS_MAX),
            first: RateLimit::new(quotas.map(|quotas| quotas.first), NETWORKS_MAX),
            further: RateLimit::new(quotas.map(|quotas| quotas.further), 1),
            all: RateLimit::new(quotas.map(|quotas| quotas.all), 1),
        }
    }

    fn begin(&self, network: u64) -> Result<(), Duration> {
        // The network's own limit first: a later refusal costs only this network.
        self.network.admit(&network)?;
        if self.first.admit(&network).is_err() {
            self.further.admit(&())?;
        }
        self.all.admit(&())
    }
}

impl RegistrationLimit {
    /// That many per minute in all, on average and at once; 0 means no limit.
    pub(super) fn per_minute(per_min: u32, shared: Option<Arc<dyn SharedLimits>>) -> Self {
        let quotas = Quotas::per_minute(per_min);
        Self { own: Own::new(quotas), quotas, shared }
    }

    /// Counts a registration from a network (see [`bellpull_port::rate::network`]).
    ///
    /// # Errors
    /// [`AuthError::Throttled`]. A refused registration takes nothing from other networks.
    pub(super) async fn begin(&self, network: u64) -> Result<(), AuthError> {
        let throttled =
            |wait: Duration| AuthError::Throttled { retry_after_s: retry_after_s(wait) };
        self.own.begin(network).map_err(throttled)?;
        let (Some(shared), Some(quotas)) = (&self.shared, self.quotas) else { return Ok(()) };
        let rules = quotas.rules(network);
        match shared.ask(GROUP, &rules).await {
            Some(verdicts) => outcome(&rules, &verdicts).map_err(throttled),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bellpull_port::testing::FakeLimits;
    use tokio::time::advance;

    use super::*;

    fn throttled(retry_after_s: u32) -> Result<(), AuthError> {
        Err(AuthError::Throttled { retry_after_s })
    }

    fn alone(per_min: u32) -> RegistrationLimit {
        RegistrationLimit::per_minute(per_min, None)
    }

    async fn admitted(limit: &RegistrationLimit, network: u64, tries: u32) -> usize {
        let mut admitted = 0;
        for _ in 0..tries {
            admitted += usize::from(limit.begin(network).await.is_ok());
        }
        admitted
    }

    #[tokio::test(start_paused = true)]
    async fn one_network_has_a_sixth() {
        let limit = alone(60);
        assert_eq!(admitted(&limit, 1, 100).await, 10);
        assert_eq!(limit.begin(1).await, throttled(6));
        assert_eq!(limit.begin(2).await, Ok(()));
        advance(Duration::from_secs(6)).await;
        assert_eq!(limit.begin(1).await, Ok(()));
        assert_eq!(limit.begin(1).await, throttled(6));
    }

    #[tokio::test(start_paused = true)]
    async fn some_is_kept_for_networks_that_come_for_the_first_time() {
        let limit = alone(60);
        let mut busy = 0;
        for network in 1..=10 {
            busy += admitted(&limit, network, 100).await;
        }
        assert!((45..=55).contains(&busy), "{busy}");
        let mut first = 0;
        for network in 100..200 {
            first += admitted(&limit, network, 1).await;
        }
        assert_eq!(busy + first, 60, "no more than all together may");
        assert!(first >= 5, "{first}");
        assert_eq!(limit.begin(300).await, throttled(1));
        advance(Duration::from_secs(1)).await;
        assert_eq!(limit.begin(301).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_limit_leaves_each_network_one() {
        let limit = alone(2);
        assert_eq!(limit.begin(1).await, Ok(()));
        assert_eq!(limit.begin(1).await, throttled(60));
        assert_eq!(limit.begin(2).await, Ok(()));
        assert_eq!(limit.begin(3).await, throttled(30));
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        let all = FakeLimits::new();
        for limit in [alone(0), RegistrationLimit::per_minute(0, Some(Arc::clone(&all) as _))] {
            assert_eq!(admitted(&limit, 1, 10_000).await, 10_000);
        }
        assert_eq!(all.asked(), 0);
    }

    /// Requests that go to two nodes in turn are admitted or refused as by a single one.
    #[tokio::test(start_paused = true)]
    async fn two_nodes_decide_as_one() {
        let all = FakeLimits::new();
        let node = || RegistrationLimit::per_minute(60, Some(Arc::clone(&all) as _));
        let (single, nodes) = (alone(60), [node(), node()]);
        for (nth, network) in [1, 1, 2, 3, 4, 5, 6, 7].into_iter().cycle().take(400).enumerate() {
            let decided = nodes[nth % 2].begin(network).await;
            assert_eq!(decided, single.begin(network).await, "{nth}: {network}");
            advance(Duration::from_millis(100)).await;
        }
        all.set_away(true);
        let alone = admitted(&nodes[0], 99, 100).await + admitted(&nodes[1], 99, 100).await;
        assert!(alone > 10, "{alone}: each by itself");
    }
}
