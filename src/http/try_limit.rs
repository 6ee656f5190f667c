//! How often somebody may try a webhook: the hub calls wherever it is told to, and waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bellpull_actors::domain::ids::UserId;
use jiff::Timestamp;

/// Tries of one account in a minute.
const TRIES_MAX: u32 = 10;
/// How long a window is.
const WINDOW_MS: i64 = 60_000;
/// Tries that are under way, of all accounts together: each may take as long as a call does.
const UNDER_WAY_MAX: usize = 64;

/// The table. Cheap to clone. It has an entry for each account that has tried within the last
/// minute: whoever is in it is logged in.
#[derive(Debug, Clone, Default)]
pub(super) struct TryLimit {
    tries: Arc<Mutex<HashMap<UserId, Tries>>>,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    began_ms: i64,
    count: u32,
    is_under_way: bool,
}

impl Tries {
    fn is_live(&self, now_ms: i64) -> bool {
        self.is_under_way || now_ms < self.began_ms.saturating_add(WINDOW_MS)
    }
}

/// A try that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Trying {
    limit: TryLimit,
    user: UserId,
}

impl Drop for Trying {
    fn drop(&mut self) {
        if let Some(tries) = self.limit.table().get_mut(&self.user) {
            tries.is_under_way = false;
        }
    }
}

impl TryLimit {
    fn table(&self) -> MutexGuard<'_, HashMap<UserId, Tries>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a try of an account's.
    ///
    /// # Errors
    /// Seconds until the next one is welcome; this one was not counted.
    pub(super) fn begin(&self, user: UserId, now: Timestamp) -> Result<Trying, u32> {
        let now_ms = now.as_millisecond();
        let mut table = self.table();
        table.retain(|_, tries| tries.is_live(now_ms));
        if table.values().filter(|tries| tries.is_under_way).count() >= UNDER_WAY_MAX {
            return Err(1);
        }
        let fresh = Tries { began_ms: now_ms, count: 0, is_under_way: false };
        let tries = table.entry(user).or_insert(fresh);
        if tries.is_under_way {
            return Err(1);
        }
        if now_ms >= tries.began_ms.saturating_add(WINDOW_MS) {
            *tries = fresh;
        }
        if tries.count >= TRIES_MAX {
            let left_ms = tries.began_ms.saturating_add(WINDOW_MS) - now_ms;
            return Err(u32::try_from(left_ms / 1_000).unwrap_or_default() + 1);
        }
        tries.count += 1;
        tries.is_under_way = true;
        Ok(Trying { limit: self.clone(), user })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn one_at_a_time_and_ten_a_minute() {
        let limit = TryLimit::default();
        let first = limit.begin(UserId(1), at(0)).unwrap();
        assert_eq!(limit.begin(UserId(1), at(1)).unwrap_err(), 1);
        assert!(limit.begin(UserId(2), at(1)).is_ok(), "another's");
        drop(first);
        for _ in 1..TRIES_MAX {
            assert!(limit.begin(UserId(1), at(2)).is_ok());
        }
        assert_eq!(limit.begin(UserId(1), at(20_500)).unwrap_err(), 40);
        assert!(limit.begin(UserId(1), at(WINDOW_MS)).is_ok());
    }

    #[test]
    fn so_many_at_once_and_no_entry_outlives_its_minute() {
        let limit = TryLimit::default();
        let user = |n: usize| UserId(i64::try_from(n).unwrap());
        let all: Vec<_> =
            (0..UNDER_WAY_MAX).map(|n| limit.begin(user(n), at(0)).unwrap()).collect();
        assert!(limit.begin(UserId(-1), at(0)).is_err());
        drop(all);
        assert!(limit.begin(UserId(-1), at(WINDOW_MS)).is_ok());
        assert_eq!(limit.table().len(), 1);
    }
}
