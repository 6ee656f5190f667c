//! How many accounts may be registered per minute: by one network, and in all.
//!
//! Every well-formed registration counts, whether its name is taken or not: each costs a password's
//! hash, and most notify every super admin.

use std::time::Duration;

use bellpull_actors::rate::{Quota, RateLimit, retry_after_s};

use super::AuthError;

/// One network's share of the total: six busy ones use it up.
const NETWORKS_MIN: u32 = 6;

/// One part of this many is reserved for networks without a registration in the last minute.
const RESERVE: u32 = 4;

/// How many networks are held: more than can register in a minute.
const NETWORKS_MAX: usize = 16_384;

/// The limits.
#[derive(Debug)]
pub(super) struct RegistrationLimit {
    /// Per network.
    network: RateLimit<u64>,
    /// Whether a registration is a network's first of a minute.
    first: RateLimit<u64>,
    /// Registrations that are not their network's first.
    further: RateLimit<()>,
    all: RateLimit<()>,
}

impl RegistrationLimit {
    /// That many per minute in all, on average and at once; 0 means no limit.
    pub(super) fn per_minute(per_min: u32) -> Self {
        let quota = |count: u32| Quota::per_minute(count, count);
        // A limit of a few leaves each network one, and further ones first come, first served.
        let part = |count: u32| if per_min == 0 { None } else { quota(count.max(1)) };
        Self {
            network: RateLimit::new(part(per_min / NETWORKS_MIN), NETWORKS_MAX),
            first: RateLimit::new(part(1), NETWORKS_MAX),
            further: RateLimit::new(part(per_min - per_min / RESERVE), 1),
            all: RateLimit::new(quota(per_min), 1),
        }
    }

    /// Counts a registration from a network (see [`bellpull_actors::rate::network`]).
    ///
    /// # Errors
    /// [`AuthError::Throttled`]. A refused registration takes nothing from other networks.
    pub(super) fn begin(&self, network: u64) -> Result<(), AuthError> {
        let throttled =
            |wait: Duration| AuthError::Throttled { retry_after_s: retry_after_s(wait) };
        // The network's own limit first: a later refusal costs only this network.
        self.network.admit(&network).map_err(throttled)?;
        if self.first.admit(&network).is_err() {
            self.further.admit(&()).map_err(throttled)?;
        }
        self.all.admit(&()).map_err(throttled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn throttled(retry_after_s: u32) -> Result<(), AuthError> {
        Err(AuthError::Throttled { retry_after_s })
    }

    fn admitted(limit: &RegistrationLimit, network: u64, tries: u32) -> usize {
        (0..tries).filter(|_| limit.begin(network).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn one_network_has_a_sixth() {
        let limit = RegistrationLimit::per_minute(60);
        assert_eq!(admitted(&limit, 1, 100), 10);
        assert_eq!(limit.begin(1), throttled(6));
        assert_eq!(limit.begin(2), Ok(()));
        advance(Duration::from_secs(6)).await;
        assert_eq!(limit.begin(1), Ok(()));
        assert_eq!(limit.begin(1), throttled(6));
    }

    #[tokio::test(start_paused = true)]
    async fn some_is_kept_for_networks_that_come_for_the_first_time() {
        let limit = RegistrationLimit::per_minute(60);
        let busy: usize = (1..=10).map(|network| admitted(&limit, network, 100)).sum();
        assert!((45..=55).contains(&busy), "{busy}");
        let first = (100..200).filter(|network| limit.begin(*network).is_ok()).count();
        assert_eq!(busy + first, 60, "no more than all together may");
        assert!(first >= 5, "{first}");
        assert_eq!(limit.begin(300), throttled(1));
        advance(Duration::from_secs(1)).await;
        assert_eq!(limit.begin(301), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_limit_leaves_each_network_one() {
        let limit = RegistrationLimit::per_minute(2);
        assert_eq!(limit.begin(1), Ok(()));
        assert_eq!(limit.begin(1), throttled(60));
        assert_eq!(limit.begin(2), Ok(()));
        assert_eq!(limit.begin(3), throttled(30));
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        let limit = RegistrationLimit::per_minute(0);
        assert_eq!(admitted(&limit, 1, 10_000), 10_000);
    }
}
