//! Limits an account's test calls of webhooks and push services: the hub calls any address that it
//! is given, and waits.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellpull_domain::ids::UserId;
use bellpull_port::SharedLimits;
use bellpull_port::rate::{Quota, retry_after_s};
use bellpull_port::shared_rate::SharedRate;

/// Tests of one account: that many at once, and that many per minute, over all nodes.
const TRIES_MAX: u32 = 10;
/// How many accounts are counted; a test takes a second or so, and at most [`UNDER_WAY_MAX`] are in
/// progress.
const ACCOUNTS_MAX: usize = 4_096;
/// Tests in progress on this node, of all accounts: each may take as long as a call.
const UNDER_WAY_MAX: usize = 64;
/// When an account with a test in progress may try again.
const AGAIN: Duration = Duration::from_secs(1);

/// The limit. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct TryLimit(Arc<Tries>);

#[derive(Debug)]
struct Tries {
    rate: SharedRate<UserId>,
    /// The accounts with a test in progress on this node: one each.
    under_way: Mutex<HashSet<UserId>>,
}

impl Tries {
    fn under_way(&self) -> MutexGuard<'_, HashSet<UserId>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A test in progress, until it is dropped.
#[derive(Debug)]
pub(super) struct Trying {
    tries: Arc<Tries>,
    user: UserId,
}

impl Drop for Trying {
    fn drop(&mut self) {
        self.tries.under_way().remove(&self.user);
    }
}

impl TryLimit {
    /// With the limits that nodes share, if they do.
    pub(super) fn new(shared: Option<Arc<dyn SharedLimits>>) -> Self {
        let quota = Quota::per_minute(TRIES_MAX, TRIES_MAX);
        let rate = SharedRate::new("test_calls", quota, ACCOUNTS_MAX, shared);
        Self(Arc::new(Tries { rate, under_way: Mutex::default() }))
    }

    /// Begins a test of an account.
    ///
    /// # Errors
    /// Seconds until the next one is admitted; this one was not counted.
    pub(super) async fn begin(&self, user: UserId) -> Result<Trying, u32> {
        let trying = self.place(user)?;
        self.0.rate.admit(&user).await.map_err(retry_after_s)?;
        Ok(trying)
    }

    /// Takes a place among the tests in progress.
    fn place(&self, user: UserId) -> Result<Trying, u32> {
        let mut under_way = self.0.under_way();
        if under_way.len() >= UNDER_WAY_MAX || !under_way.insert(user) {
            return Err(retry_after_s(AGAIN));
        }
        Ok(Trying { tries: Arc::clone(&self.0), user })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_and_ten_a_minute() {
        let limit = TryLimit::new(None);
        let first = limit.begin(UserId(1)).await.unwrap();
        assert_eq!(limit.begin(UserId(1)).await.unwrap_err(), 1);
        assert!(limit.begin(UserId(2)).await.is_ok(), "another's");
        drop(first);
        for _ in 1..TRIES_MAX {
            assert!(limit.begin(UserId(1)).await.is_ok());
        }
        assert_eq!(limit.begin(UserId(1)).await.unwrap_err(), 6);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(limit.begin(UserId(1)).await.is_ok());
        assert!(limit.begin(UserId(1)).await.is_err());
        assert!(limit.0.under_way().is_empty(), "a refused one has no place");
    }

    #[tokio::test]
    async fn so_many_are_under_way_at_once() {
        let limit = TryLimit::new(None);
        let user = |n: usize| UserId(i64::try_from(n).unwrap());
        let mut all = Vec::new();
        for n in 0..UNDER_WAY_MAX {
            all.push(limit.begin(user(n)).await.unwrap());
        }
        assert_eq!(limit.begin(UserId(-1)).await.unwrap_err(), 1);
        drop(all);
        assert!(limit.begin(UserId(-1)).await.is_ok());
        assert!(limit.0.under_way().is_empty());
    }
}
