//! A short-lived cache of accounts: a client that connects reads its account several times.
//!
//! Entries live in two maps; the younger replaces the older every [`FRESH`], so the memory of a
//! reconnect storm is freed afterwards even without further traffic.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellpull_domain::ids::UserId;
use bellpull_domain::user::User;

/// How long an account is served from the cache: a change made on another node shows after this.
const FRESH: Duration = Duration::from_secs(2);

/// How many accounts are held: what a reconnect storm brings within [`FRESH`].
const REMEMBERED_MAX: usize = 32_768;

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    memory: Arc<Mutex<Memory>>,
    /// Counts invalidations: a read that was in progress meanwhile is not cached.
    forgotten: AtomicU64,
}

type Accounts = HashMap<UserId, (Arc<User>, i64)>;

#[derive(Debug, Default)]
struct Memory {
    young: Accounts,
    old: Accounts,
    /// Whether a task will clear the cache.
    is_swept: bool,
}

impl Remembered {
    /// An account cached less than [`FRESH`] ago, by the clock's milliseconds.
    pub(super) fn get(&self, id: UserId, now_ms: i64) -> Option<Arc<User>> {
        let memory = lock(&self.memory);
        let (user, at_ms) = memory.young.get(&id).or_else(|| memory.old.get(&id))?;
        is_fresh(*at_ms, now_ms).then(|| Arc::clone(user))
    }

    /// Read this before reading an account, and pass it to [`Self::keep`].
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Caches an account, unless an entry was invalidated since `before`, or the cache is full.
    pub(super) fn keep(&self, user: &Arc<User>, before: u64, now_ms: i64) {
        let mut memory = lock(&self.memory);
        let is_full = memory.young.len() + memory.old.len() >= REMEMBERED_MAX;
        if is_full || self.forgotten() != before {
            return;
        }
        memory.young.insert(user.id, (Arc::clone(user), now_ms));
        if !std::mem::replace(&mut memory.is_swept, true) {
            tokio::spawn(sweep(Arc::clone(&self.memory)));
        }
    }

    pub(super) fn forget(&self, id: UserId) {
        let mut memory = lock(&self.memory);
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        memory.young.remove(&id);
        memory.old.remove(&id);
    }
}

/// Clears the cache until it is empty.
async fn sweep(memory: Arc<Mutex<Memory>>) {
    loop {
        tokio::time::sleep(FRESH).await;
        let mut memory = lock(&memory);
        memory.old = std::mem::take(&mut memory.young);
        if memory.old.is_empty() {
            memory.is_swept = false;
            return;
        }
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_fresh(at_ms: i64, now_ms: i64) -> bool {
    // Not valid either if the clock was set back: then the age is unknown.
    let age_ms = u128::try_from(now_ms.saturating_sub(at_ms));
    age_ms.is_ok_and(|age_ms| age_ms < FRESH.as_millis())
}

#[cfg(test)]
mod tests {
    use bellpull_domain::address::Addresses;
    use bellpull_domain::user::{Origin, Role};
    use jiff::Timestamp;

    use super::*;

    fn user(id: i64) -> Arc<User> {
        Arc::new(User {
            id: UserId(id),
            username: "ann".into(),
            addresses: Addresses::default(),
            full_name: "".into(),
            role: Role::Client,
            is_active: true,
            is_email_verified: true,
            created_at: Timestamp::UNIX_EPOCH,
            origin: Origin::Hub,
            tokens_from: Timestamp::UNIX_EPOCH,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_is_forgotten_when_it_is_over_and_the_next_one_too() {
        let remembered = Remembered::default();
        for storm in 0..2 {
            let now_ms = storm * 60_000;
            (0..1_000).for_each(|id| remembered.keep(&user(id), 0, now_ms));
            assert!(remembered.get(UserId(7), now_ms + 1_999).is_some());
            assert!(remembered.get(UserId(7), now_ms + 2_000).is_none());
            assert!(remembered.get(UserId(7), now_ms - 1).is_none());
            tokio::time::sleep(FRESH + FRESH / 2).await;
            remembered.keep(&user(1_000), 0, now_ms + 3_000);
            tokio::time::sleep(FRESH).await;
            assert!(remembered.get(UserId(7), now_ms).is_none(), "both turns are over");
            assert!(remembered.get(UserId(1_000), now_ms + 3_001).is_some());
            tokio::time::sleep(2 * FRESH).await;
            let memory = lock(&remembered.memory);
            assert_eq!((memory.young.capacity(), memory.old.capacity()), (0, 0));
            assert!(!memory.is_swept);
        }
    }

    #[tokio::test]
    async fn there_is_a_most_and_what_was_read_before_it_changed_is_not_kept() {
        let remembered = Remembered::default();
        let ids = 0..=i64::try_from(REMEMBERED_MAX).unwrap();
        ids.for_each(|id| remembered.keep(&user(id), 0, 0));
        let last = i64::try_from(REMEMBERED_MAX).unwrap() - 1;
        assert!(remembered.get(UserId(last), 0).is_some());
        assert!(remembered.get(UserId(last + 1), 0).is_none());
        remembered.forget(UserId(1));
        remembered.keep(&user(1), 0, 0);
        assert!(remembered.get(UserId(1), 0).is_none());
        remembered.keep(&user(1), remembered.forgotten(), 0);
        assert!(remembered.get(UserId(1), 0).is_some());
    }
}
