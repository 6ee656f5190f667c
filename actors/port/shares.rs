//! A few places that keys share by time: the one whose group, and then whose key, has used least
//! goes next. One key holds one place at a time, and a group a fixed number of them.
//!
//! A turn alone ([`crate::turns`]) is one per key, so a client with many accounts would have as
//! many turns. Here the accounts of one network divide that network's part.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::slow::{Wait, waiting};

/// What was used counts half after this time: some searches of a user who refines one are not
/// held against that user for long.
const HALF_LIFE: Duration = Duration::from_secs(10);
/// Keys and groups whose use is remembered. Each cost a place at least once, so the table fills
/// slowly; if it does, all begin anew.
const USED_MAX: usize = 8_192;
/// What is forgotten when the table is full, in seconds: as much as a quick search takes.
const FORGOTTEN_S: f64 = 0.01;

/// How many places there are, and who may wait for one.
#[derive(Debug, Clone, Copy)]
pub struct ShareLimits {
    /// Places of all.
    pub places: usize,
    /// Places that one group holds at once.
    pub places_per_group: usize,
    /// How many wait of all, of one group, and of one key.
    pub waiting: [usize; 3],
    /// How long one waits.
    pub wait_max: Duration,
}

/// The places of keys of type `K` in groups of type `G`. Cheap to clone.
#[derive(Debug)]
pub struct Shares<G, K>(Arc<Mutex<State<G, K>>>, ShareLimits);

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Share<G: Hash + Eq + Copy, K: Hash + Eq + Copy> {
    state: Arc<Mutex<State<G, K>>>,
    limits: ShareLimits,
    number: u64,
}

/// Too many wait, or those before take too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests wait for a place")]
pub struct TooManyShares;

#[derive(Debug)]
struct State<G, K> {
    next: u64,
    running: Vec<Entry<G, K>>,
    /// In order of arrival.
    waiting: Vec<(Entry<G, K>, oneshot::Sender<()>)>,
    groups: HashMap<G, Used>,
    keys: HashMap<K, Used>,
}

#[derive(Debug, Clone, Copy)]
struct Entry<G, K> {
    number: u64,
    group: G,
    key: K,
    since: Instant,
}

/// Seconds of a place, as they count at `at`.
#[derive(Debug, Clone, Copy)]
struct Used {
    seconds: f64,
    at: Instant,
}

impl Used {
    fn now(self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.seconds * (-passed / HALF_LIFE.as_secs_f64()).exp2()
    }
}

impl<G: Hash + Eq + Copy, K: Hash + Eq + Copy> Shares<G, K> {
    /// Places with these limits, all of them free.
    #[must_use]
    pub fn new(limits: ShareLimits) -> Self {
        let (running, waiting) = (Vec::new(), Vec::new());
        let (groups, keys) = (HashMap::new(), HashMap::new());
        Self(Arc::new(Mutex::new(State { next: 0, running, waiting, groups, keys })), limits)
    }

    /// Waits for a place. A caller that is dropped meanwhile leaves the queue.
    ///
    /// # Errors
    /// [`TooManyShares`].
    pub async fn begin(&self, group: G, key: K) -> Result<Share<G, K>, TooManyShares> {
        let (share, granted) = self.enter(group, key)?;
        let granted = waiting(Wait::Turn, timeout(self.1.wait_max, granted)).await;
        match granted {
            Ok(Ok(())) => Ok(share),
            Ok(Err(_)) | Err(_) => Err(TooManyShares),
        }
    }

    fn enter(
        &self,
        group: G,
        key: K,
    ) -> Result<(Share<G, K>, oneshot::Receiver<()>), TooManyShares> {
        let mut state = lock(&self.0);
        let [all, of_group, of_key] = self.1.waiting;
        let count = |is_counted: &dyn Fn(&Entry<G, K>) -> bool| {
            state.waiting.iter().filter(|(entry, _)| is_counted(entry)).count()
        };
        if state.waiting.len() >= all
            || count(&|entry| entry.group == group) >= of_group
            || count(&|entry| entry.key == key) >= of_key
        {
            return Err(TooManyShares);
        }
        let (sender, granted) = oneshot::channel();
        let (number, since) = (state.next, Instant::now());
        state.next += 1;
        state.waiting.push((Entry { number, group, key, since }, sender));
        state.grant(&self.1);
        drop(state);
        Ok((Share { state: Arc::clone(&self.0), limits: self.1, number }, granted))
    }
}

impl<G, K> Clone for Shares<G, K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), self.1)
    }
}

impl<G: Hash + Eq + Copy, K: Hash + Eq + Copy> State<G, K> {
    /// Gives free places to those that wait and have used least.
    fn grant(&mut self, limits: &ShareLimits) {
        let now = Instant::now();
        while self.running.len() < limits.places {
            let Some(index) = self.next_of(limits, now) else { return };
            let (mut entry, sender) = self.waiting.remove(index);
            entry.since = now;
            self.running.push(entry);
            // A caller that has gone releases the place when its share is dropped.
            let _ = sender.send(());
        }
    }

    fn next_of(&self, limits: &ShareLimits, now: Instant) -> Option<usize> {
        let may_run = |entry: &Entry<G, K>| {
            let of_group = self.running.iter().filter(|one| one.group == entry.group).count();
            of_group < limits.places_per_group
                && self.running.iter().all(|one| one.key != entry.key)
        };
        let used = |entry: &Entry<G, K>| {
            let group = self.groups.get(&entry.group).map_or(0.0, |used| used.now(now));
            let key = self.keys.get(&entry.key).map_or(0.0, |used| used.now(now));
            (group, key)
        };
        let candidates = self.waiting.iter().enumerate().filter(|(_, (entry, _))| may_run(entry));
        // The first of equals is the one that has waited longest.
        candidates
            .map(|(index, (entry, _))| (index, used(entry)))
            .min_by(|(_, one), (_, other)| {
                one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1))
            })
            .map(|(index, _)| index)
    }

    /// Takes an entry out, whether it waits or runs.
    fn leave(&mut self, number: u64, limits: &ShareLimits) {
        self.waiting.retain(|(entry, _)| entry.number != number);
        let Some(index) = self.running.iter().position(|entry| entry.number == number) else {
            return;
        };
        let (entry, now) = (self.running.swap_remove(index), Instant::now());
        let took = now.saturating_duration_since(entry.since).as_secs_f64();
        add(&mut self.groups, entry.group, took, now);
        add(&mut self.keys, entry.key, took, now);
        self.grant(limits);
    }
}

fn add<T: Hash + Eq>(table: &mut HashMap<T, Used>, of: T, took: f64, now: Instant) {
    if table.len() >= USED_MAX {
        table.retain(|_, used| used.now(now) > FORGOTTEN_S);
    }
    if table.len() >= USED_MAX {
        table.clear();
    }
    let used = table.entry(of).or_insert(Used { seconds: 0.0, at: now });
    *used = Used { seconds: used.now(now) + took, at: now };
}

impl<G: Hash + Eq + Copy, K: Hash + Eq + Copy> Drop for Share<G, K> {
    fn drop(&mut self) {
        lock(&self.state).leave(self.number, &self.limits);
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, poll};
    use tokio::time::advance;

    use super::*;

    const LIMITS: ShareLimits = ShareLimits {
        places: 2,
        places_per_group: 1,
        waiting: [8, 4, 2],
        wait_max: Duration::from_secs(5),
    };

    /// Uses a place for a second.
    async fn use_once(shares: &Shares<char, u8>, group: char, key: u8) {
        let share = shares.begin(group, key).now_or_never().unwrap().unwrap();
        advance(Duration::from_secs(1)).await;
        drop(share);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_holds_its_part_and_leaves_the_rest_to_others() {
        let shares = Shares::new(LIMITS);
        let first = shares.begin('a', 1).await.unwrap();
        let mut second = Box::pin(shares.begin('a', 2));
        assert!(poll!(&mut second).is_pending(), "the place is another group's");
        let other = shares.begin('b', 3).now_or_never().unwrap().unwrap();
        let mut third = Box::pin(shares.begin('c', 4));
        assert!(poll!(&mut third).is_pending());
        drop(other);
        drop(third.await.unwrap());
        drop(first);
        drop(second.await.unwrap());
        assert!(lock(&shares.0).running.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_group_and_then_the_key_that_has_used_least_goes_next() {
        let shares = Shares::new(ShareLimits { places: 1, ..LIMITS });
        for (group, key) in [('a', 1), ('a', 1), ('a', 2), ('b', 3)] {
            use_once(&shares, group, key).await;
        }
        let holds = shares.begin('z', 9).await.unwrap();
        let mut waiting = [('a', 1), ('a', 2), ('a', 4), ('b', 3), ('c', 5)]
            .map(|(group, key)| (key, Box::pin(shares.begin(group, key))));
        for (_, one) in &mut waiting {
            assert!(poll!(one).is_pending());
        }
        drop(holds);
        let mut order = Vec::new();
        while order.len() < waiting.len() {
            for (key, one) in &mut waiting {
                if order.contains(key) {
                    continue;
                }
                // Its place is given back at once: no time is added.
                if let std::task::Poll::Ready(share) = poll!(one) {
                    order.push(*key);
                    drop(share);
                }
            }
        }
        assert_eq!(order, [5, 3, 4, 2, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_used_is_forgotten_with_time() {
        let shares = Shares::new(ShareLimits { places: 1, ..LIMITS });
        use_once(&shares, 'a', 1).await;
        advance(HALF_LIFE * 20).await;
        use_once(&shares, 'b', 2).await;
        let holds = shares.begin('z', 9).await.unwrap();
        let (mut later, mut before) =
            (Box::pin(shares.begin('b', 2)), Box::pin(shares.begin('a', 1)));
        assert!(poll!(&mut later).is_pending() && poll!(&mut before).is_pending());
        drop(holds);
        assert!(poll!(&mut later).is_pending());
        drop(before.now_or_never().unwrap());
        drop(later.now_or_never().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_wait_of_all_of_a_group_and_of_a_key() {
        let shares = Shares::new(LIMITS);
        let holds = [shares.begin('a', 1).await.unwrap(), shares.begin('b', 2).await.unwrap()];
        let mut waiting = Vec::new();
        let mut enter = |group, key| {
            let mut one = Box::pin(shares.begin(group, key));
            let is_refused = (&mut one).now_or_never().is_some();
            if !is_refused {
                waiting.push(one);
            }
            is_refused
        };
        assert_eq!([1, 1, 1].map(|key| enter('a', key)), [false, false, true]);
        assert_eq!([3, 4, 5].map(|key| enter('a', key)), [false, false, true]);
        assert_eq!([6, 7, 8, 9].map(|key| enter('c', key)), [false; 4]);
        assert!(enter('d', 10));
        for one in waiting {
            assert_eq!(one.await.map(drop), Err(TooManyShares), "a wait has an end");
        }
        drop(holds);
        assert!(lock(&shares.0).running.is_empty() && lock(&shares.0).waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let mut table = HashMap::new();
        for key in 0..3 * USED_MAX {
            add(&mut table, key, 1.0, Instant::now());
        }
        assert!(table.len() <= USED_MAX);
    }
}
