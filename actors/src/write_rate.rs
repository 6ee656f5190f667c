//! How fast an account may write, over REST and over sockets together.
//!
//! A write is one request, however many rows it changes and whatever its outcome: a rejected one
//! has cost the hub its work as well. Reads are not counted. Each node counts for itself: the limit
//! is for its own store connection and processors, and a write must not wait for another machine.

use std::sync::Arc;
use std::time::Duration;

use bellpull_domain::ids::UserId;
use bellpull_domain::user::Role;
use bellpull_port::rate::{Quota, RateLimit};

/// The burst, in seconds of the rate: for a user who clicks through a list.
const BURST_S: u32 = 5;

/// Admins and services write for many others.
const ADMIN_FACTOR: u32 = 10;

/// The accounts whose buckets are kept, of each kind. A bucket is full again 5 s after a burst, so
/// this is how many may have written within the last few seconds: ten times what one node's store
/// commits. An evicted bucket is a full one, and to have one evicted takes writes of as many other
/// accounts.
const ACCOUNTS_MAX: usize = 65_536;

/// The limit. Cheap to clone; all clones share their buckets.
#[derive(Debug, Clone)]
pub struct WriteRate(Arc<Rates>);

#[derive(Debug)]
struct Rates {
    accounts: RateLimit<UserId>,
    admins: RateLimit<UserId>,
}

impl WriteRate {
    /// This many writes per second for an account (`http.writes_per_s`), and ten times as many for
    /// an admin or a service; 0: no limit.
    #[must_use]
    pub fn per_second(count: u32) -> Self {
        let limit = |count: u32| {
            let quota = Quota::per_second(count, count.saturating_mul(BURST_S));
            RateLimit::new(quota, ACCOUNTS_MAX)
        };
        let admins = limit(count.saturating_mul(ADMIN_FACTOR));
        Self(Arc::new(Rates { accounts: limit(count), admins }))
    }

    /// Counts a write of an account. Services share one account, whose id is 0.
    ///
    /// # Errors
    /// How long it takes until the next one is admitted; nothing was counted.
    pub fn admit(&self, user: UserId, role: &Role) -> Result<(), Duration> {
        let admitted = match role.is_admin() {
            true => self.0.admins.admit(&user),
            false => self.0.accounts.admit(&user),
        };
        if admitted.is_err() {
            metrics::counter!("bellpull_writes_throttled_total").increment(1);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(rate: &WriteRate, user: i64, role: &Role) -> usize {
        (0..10_000).take_while(|_| rate.admit(UserId(user), role).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_has_its_rate_and_admins_ten_times_that() {
        let rate = WriteRate::per_second(10);
        for (user, role, burst, rate_per_s) in [
            (1, Role::Client, 50, 10),
            (2, Role::Developer, 50, 10),
            (3, Role::Admin, 500, 100),
            (0, Role::SuperAdmin, 500, 100),
        ] {
            assert_eq!(admitted(&rate, user, &role), burst, "{role}");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(admitted(&rate.clone(), user, &role), rate_per_s, "{role}");
            let wait = rate.admit(UserId(user), &role).unwrap_err();
            assert!(wait <= Duration::from_millis(100), "{wait:?}");
        }
    }

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(admitted(&WriteRate::per_second(0), 1, &Role::Client), 10_000);
    }
}
