//! One at a time for each key, with a few waiting: so one account cannot use up a shared resource.
//!
//! The table has an entry for each key that is served or waits, and no other.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::slow::{Wait, waiting};

/// Turns of the keys of type `K`. Cheap to clone.
#[derive(Debug)]
pub struct Turns<K> {
    keys: Arc<Mutex<HashMap<K, Entry>>>,
    waiting_max: usize,
    wait_max: Duration,
}

#[derive(Debug)]
struct Entry {
    one: Arc<Semaphore>,
    /// The one that is served, and those that wait.
    inside: usize,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn<K: Hash + Eq> {
    _place: Place<K>,
    _one: OwnedSemaphorePermit,
}

/// Too many of this key wait, or the one before takes too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests of one caller wait")]
pub struct TooManyWait;

impl<K: Hash + Eq + Clone> Turns<K> {
    /// One at a time; `waiting_max` of a key wait, for `wait_max` at most.
    #[must_use]
    pub fn new(waiting_max: usize, wait_max: Duration) -> Self {
        Self { keys: Arc::default(), waiting_max, wait_max }
    }

    /// Waits for the key's turn. A caller that is dropped meanwhile leaves the queue.
    ///
    /// # Errors
    /// [`TooManyWait`].
    pub async fn begin(&self, key: &K) -> Result<Turn<K>, TooManyWait> {
        let (place, one) = self.enter(key)?;
        let one = waiting(Wait::Turn, timeout(self.wait_max, one.acquire_owned())).await;
        // The semaphore is never closed.
        let one = one.map_err(|_| TooManyWait)?.map_err(|_| TooManyWait)?;
        Ok(Turn { _place: place, _one: one })
    }

    fn enter(&self, key: &K) -> Result<(Place<K>, Arc<Semaphore>), TooManyWait> {
        let mut keys = lock(&self.keys);
        let fresh = || Entry { one: Arc::new(Semaphore::new(1)), inside: 0 };
        let entry = keys.entry(key.clone()).or_insert_with(fresh);
        if entry.inside > self.waiting_max {
            return Err(TooManyWait);
        }
        entry.inside += 1;
        let place = Place { keys: Arc::clone(&self.keys), key: key.clone() };
        Ok((place, Arc::clone(&entry.one)))
    }
}

impl<K> Clone for Turns<K> {
    fn clone(&self) -> Self {
        let Self { keys, waiting_max, wait_max } = self;
        Self { keys: Arc::clone(keys), waiting_max: *waiting_max, wait_max: *wait_max }
    }
}

#[derive(Debug)]
struct Place<K: Hash + Eq> {
    keys: Arc<Mutex<HashMap<K, Entry>>>,
    key: K,
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut keys = lock(&self.keys);
        if let Some(entry) = keys.get_mut(&self.key) {
            entry.inside -= 1;
            if entry.inside == 0 {
                keys.remove(&self.key);
            }
        }
    }
}

fn lock<K>(keys: &Mutex<HashMap<K, Entry>>) -> MutexGuard<'_, HashMap<K, Entry>> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, poll};

    use super::*;

    const WAIT_MAX: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn one_at_a_time_in_order_and_each_key_has_its_own() {
        let turns = Turns::new(2, WAIT_MAX);
        let first = turns.begin(&1).await.unwrap();
        let mut second = Box::pin(turns.begin(&1));
        let mut third = Box::pin(turns.begin(&1));
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        assert_eq!(turns.begin(&1).now_or_never().unwrap().unwrap_err(), TooManyWait);
        let other = turns.begin(&2).await.unwrap();
        drop(first);
        assert!(poll!(&mut third).is_pending(), "the second comes first");
        drop(second.await.unwrap());
        drop(third.await.unwrap());
        drop(other);
        assert!(lock(&turns.keys).is_empty());
    }

    #[tokio::test]
    async fn a_caller_that_leaves_gives_its_place_back() {
        let turns = Turns::new(1, WAIT_MAX);
        let first = turns.begin(&1).await.unwrap();
        let mut second = Box::pin(turns.begin(&1));
        assert!(poll!(&mut second).is_pending());
        drop(second);
        let mut third = Box::pin(turns.begin(&1));
        assert!(poll!(&mut third).is_pending());
        drop(first);
        drop(third.await.unwrap());
        assert!(lock(&turns.keys).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_has_an_end() {
        let turns = Turns::new(1, WAIT_MAX);
        let _first = turns.begin(&1).await.unwrap();
        assert_eq!(turns.begin(&1).await.unwrap_err(), TooManyWait);
        assert_eq!(lock(&turns.keys)[&1].inside, 1);
    }
}
