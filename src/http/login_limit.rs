//! How often somebody may try to log in: a bounded table of fixed windows, one for each account
//! and address.
//!
//! An attempt is counted when it begins, so that many at once do not slip through; one that
//! succeeds forgets the count, so that whoever knows the password is not held up. What stands in
//! the table is a hash: its size does not depend on what an attacker sends.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// Attempts in one window.
const ATTEMPTS_MAX: u32 = 10;

/// How long a window is.
const WINDOW_MS: i64 = 60_000;

/// Windows that are kept at once: half a MiB. When they are all live the oldest goes, which costs
/// an attacker that many attempts, each with a password to hash.
const WINDOWS_MAX: usize = 16_384;

/// The table. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct LoginLimit {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    hasher: RandomState,
    windows: Mutex<HashMap<u64, Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began_ms: i64,
    attempts: u32,
}

impl LoginLimit {
    /// Counts an attempt on an account (by whatever name it is given) from an address.
    ///
    /// # Errors
    /// Seconds until the next attempt is welcome; that attempt was not counted.
    pub(super) fn begin(&self, name: &str, address: IpAddr, now: Timestamp) -> Result<(), u32> {
        let now_ms = now.as_millisecond();
        let is_live = |window: &Window| now_ms < window.began_ms + WINDOW_MS;
        let key = self.key(name, address);
        let mut windows = self.shared.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= WINDOWS_MAX && !windows.contains_key(&key) {
            windows.retain(|_, window| is_live(window));
            if windows.len() >= WINDOWS_MAX {
                let oldest = windows.iter().min_by_key(|(_, window)| window.began_ms);
                if let Some(key) = oldest.map(|(key, _)| *key) {
                    windows.remove(&key);
                }
            }
        }
        let fresh = Window { began_ms: now_ms, attempts: 0 };
        let window = windows.entry(key).or_insert(fresh);
        if !is_live(window) {
            *window = fresh;
        }
        if window.attempts >= ATTEMPTS_MAX {
            let left_ms = (window.began_ms + WINDOW_MS - now_ms).clamp(1, WINDOW_MS);
            return Err(u32::try_from((left_ms + 999) / 1000).unwrap_or(1));
        }
        window.attempts += 1;
        Ok(())
    }

    /// The attempt succeeded: those before it were the same person's typing errors.
    pub(super) fn succeeded(&self, name: &str, address: IpAddr) {
        let key = self.key(name, address);
        self.shared.windows.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    fn key(&self, name: &str, address: IpAddr) -> u64 {
        self.shared.hasher.hash_one((name.to_lowercase(), address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn the_eleventh_attempt_of_a_minute_waits_and_others_do_not() {
        let limit = LoginLimit::default();
        for _ in 0..ATTEMPTS_MAX {
            assert_eq!(limit.begin("john", HERE, at(0)), Ok(()));
        }
        assert_eq!(limit.begin("John", HERE, at(500)), Err(60));
        assert_eq!(limit.begin("john", HERE, at(59_999)), Err(1));
        assert_eq!(limit.begin("john", THERE, at(500)), Ok(()));
        assert_eq!(limit.begin("jane", HERE, at(500)), Ok(()));
        assert_eq!(limit.begin("john", HERE, at(60_000)), Ok(()));
    }

    #[test]
    fn whoever_knows_the_password_is_not_held_up() {
        let limit = LoginLimit::default();
        for _ in 0..100 {
            assert_eq!(limit.begin("john", HERE, at(0)), Ok(()));
            limit.succeeded("john", HERE);
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let limit = LoginLimit::default();
        for n in 0..WINDOWS_MAX + 50 {
            assert_eq!(limit.begin(&n.to_string(), HERE, at(0)), Ok(()));
        }
        assert_eq!(limit.shared.windows.lock().unwrap().len(), WINDOWS_MAX);
        assert_eq!(limit.begin("x", HERE, at(WINDOW_MS)), Ok(()));
        assert_eq!(limit.shared.windows.lock().unwrap().len(), 1);
    }
}
