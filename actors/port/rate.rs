//! Rate limits: a token bucket for each key, in bounded memory.
//!
//! Every limit of the form "N per second, with bursts" goes through [`RateLimit`]: logins,
//! registrations, writes, notes, handshakes; those that all nodes count together
//! ([`crate::shared_rate`]) begin with it, too. The buckets are `governor`'s; this module adds a
//! bound on their number, a check that takes nothing, and a clock that tests can pause.
//!
//! A key is stored as a hash with a random seed: an entry's size does not depend on a client's
//! input, and a client cannot choose keys that collide. When the table is full, the entries that
//! were used least are evicted. An evicted key starts again with a full bucket, so the bound must
//! be chosen so that filling the table costs an attacker more than the limit would have.

use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// How many requests are admitted: one each `period` on average, and `burst` at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    period: Duration,
    burst: NonZeroU32,
}

impl Quota {
    /// `count` a second and bursts of `burst`; `None`, which is no limit, where either is 0.
    #[must_use]
    pub fn per_second(count: u32, burst: u32) -> Option<Self> {
        Self::per(Duration::from_secs(1), count, burst)
    }

    /// `count` a minute and bursts of `burst`; `None`, which is no limit, where either is 0.
    #[must_use]
    pub fn per_minute(count: u32, burst: u32) -> Option<Self> {
        Self::per(Duration::from_secs(60), count, burst)
    }

    /// `count` an hour and bursts of `burst`; `None`, which is no limit, where either is 0.
    #[must_use]
    pub fn per_hour(count: u32, burst: u32) -> Option<Self> {
        Self::per(Duration::from_secs(3_600), count, burst)
    }

    /// The time in which one token comes back.
    #[must_use]
    pub fn period(self) -> Duration {
        self.period
    }

    /// How many tokens a full bucket has; 1 at least.
    #[must_use]
    pub fn burst(self) -> u32 {
        self.burst.get()
    }

    fn per(time: Duration, count: u32, burst: u32) -> Option<Self> {
        let period = time.checked_div(count)?;
        Some(Self { period, burst: NonZeroU32::new(burst)? })
    }

    fn governed(self) -> Option<governor::Quota> {
        governor::Quota::with_period(self.period).map(|quota| quota.allow_burst(self.burst))
    }
}

/// A limit with one bucket for each key of type `K`.
#[derive(Debug)]
pub struct RateLimit<K: ?Sized> {
    /// `None`: no limit.
    limiter: Option<Limiter>,
    hasher: RandomState,
    key: PhantomData<fn(&K)>,
}

type Limiter = governor::RateLimiter<Key, Buckets, RuntimeClock, NoOpMiddleware<Nanos>>;

impl<K: Hash + ?Sized> RateLimit<K> {
    /// A limit that remembers the buckets of at most `keys_max` keys; without a quota it admits
    /// everything.
    #[must_use]
    pub fn new(quota: Option<Quota>, keys_max: usize) -> Self {
        let limiter = quota.and_then(Quota::governed).map(|quota| {
            Limiter::new(quota, Buckets(Cache::new(keys_max)), RuntimeClock(Instant::now()))
        });
        Self { limiter, hasher: RandomState::new(), key: PhantomData }
    }

    /// Takes a token from the key's bucket.
    ///
    /// # Errors
    /// How long it takes until there is one; nothing was taken.
    pub fn admit(&self, key: &K) -> Result<(), Duration> {
        self.ask(key, Mode::Take)
    }

    /// Whether [`RateLimit::admit`] would admit the key now; takes nothing.
    ///
    /// # Errors
    /// How long it takes until there is a token.
    pub fn check(&self, key: &K) -> Result<(), Duration> {
        self.ask(key, Mode::Look)
    }

    fn ask(&self, key: &K, mode: Mode) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let key = Key { hash: self.hasher.hash_one(key), mode };
        let now = limiter.clock().now();
        limiter.check_key(&key).map_err(|until| until.wait_time_from(now))
    }
}

/// A wait in whole seconds, as for `Retry-After`: at least 1.
#[must_use]
pub fn retry_after_s(wait: Duration) -> u32 {
    let seconds = wait.as_millis().div_ceil(1_000).max(1);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// A wait in whole milliseconds, as for sockets: at least 1.
#[must_use]
pub fn retry_after_ms(wait: Duration) -> u32 {
    let milliseconds = wait.as_micros().div_ceil(1_000).max(1);
    u32::try_from(milliseconds).unwrap_or(u32::MAX)
}

/// The network of an address: an IPv4 address itself, or the /64 of an IPv6 address, which one
/// customer is assigned.
#[must_use]
pub fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    hash: u64,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mode {
    Take,
    Look,
}

/// The buckets, by the hash of their key.
#[derive(Debug)]
struct Buckets(Cache<u64, Arc<InMemoryState>>);

impl StateStore for Buckets {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        match key.mode {
            Mode::Take => {
                let make = || Ok::<_, std::convert::Infallible>(Arc::default());
                let Ok(bucket) = self.0.get_or_insert_with(&key.hash, make);
                bucket.measure_and_replace(&NotKeyed::NonKey, decide)
            }
            Mode::Look => {
                let Some(bucket) = self.0.get(&key.hash) else {
                    return decide(None).map(|(outcome, _)| outcome);
                };
                // An error leaves a bucket unchanged, so both outcomes are returned as one.
                let looked: Result<(), Result<T, E>> = bucket
                    .measure_and_replace(&NotKeyed::NonKey, |state| {
                        Err(decide(state).map(|(outcome, _)| outcome))
                    });
                match looked {
                    Err(outcome) => outcome,
                    Ok(()) => decide(None).map(|(outcome, _)| outcome),
                }
            }
        }
    }
}

/// The runtime's clock, which a test can pause: time since the limit was made.
#[derive(Debug, Clone)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn limit(count: u32, burst: u32) -> RateLimit<str> {
        RateLimit::new(Quota::per_second(count, burst), 1_000)
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_average_and_each_key_has_its_own() {
        let limit = limit(5, 20);
        for _ in 0..20 {
            assert_eq!(limit.check("a"), Ok(()));
            assert_eq!(limit.admit("a"), Ok(()));
        }
        assert_eq!(limit.check("a"), Err(Duration::from_millis(200)));
        assert_eq!(limit.admit("a"), Err(Duration::from_millis(200)));
        assert_eq!(limit.admit("b"), Ok(()));
        advance(Duration::from_millis(150)).await;
        assert_eq!(limit.admit("a"), Err(Duration::from_millis(50)));
        advance(Duration::from_millis(50)).await;
        assert_eq!(limit.admit("a"), Ok(()));
        assert!(limit.admit("a").is_err());
        advance(Duration::from_secs(60)).await;
        assert!((0..20).all(|_| limit.admit("a").is_ok()));
        assert!(limit.admit("a").is_err(), "no more than one burst is saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_takes_nothing() {
        let limit = limit(1, 1);
        assert!((0..10).all(|_| limit.check("a").is_ok()));
        assert_eq!(limit.admit("a"), Ok(()));
        assert!((0..10).all(|_| limit.check("a").is_err()));
        advance(Duration::from_secs(1)).await;
        assert!((0..10).all(|_| limit.check("a").is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        let limit = limit(0, 5);
        assert!((0..10_000).all(|_| limit.admit("a").is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded() {
        let limit = RateLimit::<u32>::new(Quota::per_minute(1, 1), 100);
        assert!((0..10_000).all(|key| limit.admit(&key).is_ok()));
        let known = (0..10_000).filter(|key| limit.check(key).is_err()).count();
        assert!((50..=150).contains(&known), "{known} keys are remembered");
    }

    #[test]
    fn waits_are_told_in_whole_seconds() {
        for (wait_ms, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_999, 60)] {
            assert_eq!(retry_after_s(Duration::from_millis(wait_ms)), seconds);
        }
    }

    #[test]
    fn an_ipv6_network_is_one_key() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
