//! Rate limits over all nodes: a node's own bucket first, then the one that all nodes share.
//!
//! The own bucket is a shield: a flood that it refuses asks no other machine. It counts what the
//! shared one refuses, too, so it never admits more than it would alone. Where nodes share nothing,
//! or [`SharedLimits`] does not answer, it decides.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use crate::rate::{Quota, RateLimit};
use crate::shared_limits::{RuleTurn, SharedLimits, SharedRule, outcome};
use bellpull_domain::ids::UserId;

/// The key of a bucket. Its bytes are the same on every node, unlike its hash.
pub trait SharedKey: Hash {
    /// The bytes, different for different keys of one limit.
    fn bytes(&self) -> Vec<u8>;
}

impl SharedKey for () {
    fn bytes(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl SharedKey for str {
    fn bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl SharedKey for u64 {
    fn bytes(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }
}

impl SharedKey for i64 {
    fn bytes(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }
}

impl SharedKey for UserId {
    fn bytes(&self) -> Vec<u8> {
        self.0.bytes()
    }
}

/// A limit with one bucket for each key of type `K`, for all nodes together.
#[derive(Debug)]
pub struct SharedRate<K: ?Sized> {
    name: &'static str,
    quota: Option<Quota>,
    own: RateLimit<K>,
    shared: Option<Arc<dyn SharedLimits>>,
}

impl<K: SharedKey + ?Sized> SharedRate<K> {
    /// A limit of that name (each has another) whose own part remembers the buckets of at most
    /// `keys_max` keys. Without a quota it admits everything.
    #[must_use]
    pub fn new(
        name: &'static str,
        quota: Option<Quota>,
        keys_max: usize,
        shared: Option<Arc<dyn SharedLimits>>,
    ) -> Self {
        Self { name, quota, own: RateLimit::new(quota, keys_max), shared }
    }

    /// Takes a token from the key's bucket.
    ///
    /// # Errors
    /// How long it takes until there is one.
    pub async fn admit(&self, key: &K) -> Result<(), Duration> {
        self.admit_here(key)?;
        self.admit_everywhere(key).await
    }

    /// Takes one from this node's bucket alone: the first half of [`SharedRate::admit`], for a
    /// request that must pass several limits, so that none adds keys elsewhere for what another
    /// refuses here.
    ///
    /// # Errors
    /// How long it takes until there is one.
    pub fn admit_here(&self, key: &K) -> Result<(), Duration> {
        self.own.admit(key)
    }

    /// Takes one from the bucket that all nodes share: the second half.
    ///
    /// # Errors
    /// How long it takes until there is one.
    pub async fn admit_everywhere(&self, key: &K) -> Result<(), Duration> {
        let (Some(shared), Some(quota)) = (&self.shared, self.quota) else { return Ok(()) };
        let rule = SharedRule { name: "key", key: key.bytes(), quota, turn: RuleTurn::Require };
        let rules = [rule];
        match shared.ask(self.name, &rules).await {
            Some(verdicts) => outcome(&rules, &verdicts),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeLimits;

    #[tokio::test(start_paused = true)]
    async fn two_nodes_share_a_bucket_and_each_has_its_own_while_that_is_away() {
        let all = FakeLimits::new();
        let node = || {
            let shared: Arc<dyn SharedLimits> = Arc::clone(&all) as _;
            SharedRate::<str>::new("test", Quota::per_minute(10, 10), 100, Some(shared))
        };
        let (a, b) = (node(), node());
        for _ in 0..5 {
            assert_eq!(a.admit("ada").await, Ok(()));
            assert_eq!(b.admit("ada").await, Ok(()));
        }
        for node in [&a, &b] {
            assert_eq!(node.admit("ada").await, Err(Duration::from_secs(6)));
            assert_eq!(node.admit("bob").await, Ok(()));
        }
        all.set_away(true);
        for _ in 0..4 {
            assert_eq!(a.admit("ada").await, Ok(()), "four are left of its own");
        }
        assert_eq!(a.admit("ada").await, Err(Duration::from_secs(6)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_node_refuses_asks_no_other() {
        let all = FakeLimits::new();
        let shared: Arc<dyn SharedLimits> = Arc::clone(&all) as _;
        let limit = SharedRate::<u64>::new("test", Quota::per_minute(3, 3), 100, Some(shared));
        for _ in 0..100 {
            let _ = limit.admit(&1).await;
        }
        assert_eq!(all.asked(), 3);
        let open = SharedRate::<u64>::new("open", None, 100, None);
        assert_eq!(open.admit(&1).await, Ok(()));
    }
}
