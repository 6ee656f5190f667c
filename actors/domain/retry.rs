//! When a delivery is tried again: exponential, with jitter, a provider's own wish honoured.

use std::time::Duration;

/// The longest wait, whatever a provider asks for: later, a notification is no news any more.
const WAIT_MAX: Duration = Duration::from_secs(6 * 3_600);

/// How often and how far apart a delivery is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRule {
    /// Before the second attempt, in milliseconds (`retry.base_ms`); doubled before each further
    /// one. 14 s and eight attempts make 30 minutes.
    pub base_ms: u32,
    /// Attempts in all (`retry.attempts`), the first one included; 1 or more.
    pub attempts: u32,
}

impl Default for RetryRule {
    fn default() -> Self {
        Self { base_ms: 14_000, attempts: 8 }
    }
}

impl RetryRule {
    /// How long to wait after attempt number `attempt` (from 1) has failed temporarily; `None` if
    /// that was the last one.
    ///
    /// `jitter` is random: a quarter of the wait is random, so that deliveries that failed together
    /// are not retried together. `wish` is the provider's own (`Retry-After`): never sooner than
    /// that.
    #[must_use]
    pub fn wait_after(self, attempt: u32, jitter: u32, wish: Option<Duration>) -> Option<Duration> {
        (attempt < self.attempts).then(|| self.wait(attempt, jitter, wish))
    }

    /// The same after an attempt that does not count: the wait before a second one.
    #[must_use]
    pub fn wait_uncounted(self, jitter: u32, wish: Option<Duration>) -> Duration {
        self.wait(1, jitter, wish)
    }

    fn wait(self, attempt: u32, jitter: u32, wish: Option<Duration>) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        let longest_ms = u64::try_from(WAIT_MAX.as_millis()).unwrap_or(u64::MAX);
        let full_ms = (u64::from(self.base_ms) << doublings).min(longest_ms);
        let chance_ms = full_ms / 4 * u64::from(jitter) / u64::from(u32::MAX);
        let own = Duration::from_millis(full_ms - full_ms / 8 + chance_ms);
        own.max(wish.unwrap_or_default().min(WAIT_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u32 = u32::MAX / 2;

    #[test]
    fn eight_attempts_take_about_half_an_hour() {
        let rule = RetryRule::default();
        let waits: Vec<u64> = (1..8)
            .map(|attempt| rule.wait_after(attempt, MIDDLE, None).unwrap().as_secs())
            .collect();
        assert_eq!(waits.len(), 7);
        assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
        let total: u64 = waits.iter().sum();
        assert!((1_700..1_900).contains(&total), "{total} s");
        assert_eq!(rule.wait_after(8, 0, Some(Duration::from_secs(1))), None);
    }

    #[test]
    fn chance_moves_a_wait_by_an_eighth_either_way() {
        let rule = RetryRule { base_ms: 8_000, attempts: 3 };
        assert_eq!(rule.wait_after(1, 0, None), Some(Duration::from_millis(7_000)));
        assert_eq!(rule.wait_after(1, u32::MAX, None), Some(Duration::from_millis(9_000)));
    }

    #[test]
    fn a_providers_wish_only_ever_lengthens_and_has_an_end() {
        let rule = RetryRule { base_ms: 8_000, attempts: 3 };
        let wait = |wish_s| rule.wait_after(1, 0, Some(Duration::from_secs(wish_s)));
        assert_eq!(wait(1), Some(Duration::from_secs(7)));
        assert_eq!(wait(60), Some(Duration::from_secs(60)));
        assert_eq!(wait(1_000_000), Some(WAIT_MAX));
    }

    #[test]
    fn a_large_attempt_does_not_overflow() {
        let rule = RetryRule { base_ms: u32::MAX, attempts: u32::MAX };
        assert!(rule.wait_after(u32::MAX - 1, u32::MAX, None).is_some());
    }
}
