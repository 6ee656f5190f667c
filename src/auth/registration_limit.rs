//! How many accounts may be registered in a minute, by all of the hub's clients together.
//!
//! Not by address: behind a proxy all clients have one. What counts is a registration that will do,
//! be its name taken or not: each costs a password's hash, and most a message to every super admin.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::AuthError;

/// How long a window is.
const WINDOW_MS: i64 = 60_000;

/// The one window.
#[derive(Debug)]
pub(super) struct RegistrationLimit {
    /// In one window; 0: no limit.
    per_min: u32,
    window: Mutex<Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began_ms: i64,
    count: u32,
}

impl RegistrationLimit {
    /// So many in a minute; 0 is no limit.
    pub(super) fn per_minute(per_min: u32) -> Self {
        Self { per_min, window: Mutex::new(Window { began_ms: 0, count: 0 }) }
    }

    /// Counts one.
    ///
    /// # Errors
    /// [`AuthError::Throttled`]; that one was not counted.
    pub(super) fn begin(&self, now: Timestamp) -> Result<(), AuthError> {
        if self.per_min == 0 {
            return Ok(());
        }
        let now_ms = now.as_millisecond();
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        // Also when the clock was set back.
        if !(0..WINDOW_MS).contains(&now_ms.saturating_sub(window.began_ms)) {
            *window = Window { began_ms: now_ms, count: 0 };
        }
        if window.count >= self.per_min {
            let left_ms = window.began_ms + WINDOW_MS - now_ms;
            let retry_after_s = u32::try_from((left_ms + 999) / 1_000).unwrap_or(1);
            return Err(AuthError::Throttled { retry_after_s });
        }
        window.count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: i64 = 1_800_000_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(NOON_MS + ms).unwrap()
    }

    fn throttled(retry_after_s: u32) -> Result<(), AuthError> {
        Err(AuthError::Throttled { retry_after_s })
    }

    #[test]
    fn so_many_pass_in_a_minute_and_the_next_waits_for_its_end() {
        let limit = RegistrationLimit::per_minute(2);
        assert_eq!(limit.begin(at(0)), Ok(()));
        assert_eq!(limit.begin(at(30_000)), Ok(()));
        assert_eq!(limit.begin(at(30_000)), throttled(30));
        assert_eq!(limit.begin(at(59_999)), throttled(1));
        assert_eq!(limit.begin(at(60_000)), Ok(()));
        assert_eq!(limit.begin(at(60_000)), Ok(()));
        assert_eq!(limit.begin(at(60_000)), throttled(60));
        assert_eq!(limit.begin(at(0)), Ok(()), "a clock that was set back holds nobody up");
    }

    #[test]
    fn none_is_no_limit() {
        let limit = RegistrationLimit::per_minute(0);
        assert!((0..10_000).all(|_| limit.begin(at(0)).is_ok()));
    }
}
