//! A socket's message rate: an average per second, and bursts.
//!
//! One number holds the state of the bucket: when it will be full again. It is part of the reader's
//! state, which has no room for a larger limiter.

/// The burst, in seconds of the average.
const BURST_S: u64 = 5;

/// A rate. Times are in nanoseconds since any fixed moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    interval_ns: u64,
}

impl Pace {
    /// That many per second on average, five times as many at once; 0 means no limit.
    pub(super) fn per_second(count: u32) -> Self {
        Self { interval_ns: 1_000_000_000_u64.checked_div(u64::from(count)).unwrap_or(0) }
    }

    /// Admits one and returns when the bucket will be full again; or how long to wait.
    pub(super) fn admit(self, full_at_ns: u64, now_ns: u64) -> Result<u64, u64> {
        if self.interval_ns == 0 {
            return Ok(0); // threads see clocks of their own: one may be ahead of another's slot
        }
        let after = full_at_ns.max(now_ns) + self.interval_ns;
        match (after - now_ns).checked_sub(BURST_S * 1_000_000_000) {
            Some(wait @ 1..) => Err(wait),
            _ => Ok(after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_and_then_the_average() {
        let pace = Pace::per_second(20);
        let mut full_at = 0;
        for _ in 0..100 {
            full_at = pace.admit(full_at, SECOND).unwrap();
        }
        assert_eq!(pace.admit(full_at, SECOND), Err(SECOND / 20));
        full_at = pace.admit(full_at, SECOND + SECOND / 20).unwrap();
        assert!(pace.admit(full_at, SECOND + SECOND / 20).is_err());
        // After a long time the burst is full again, and no larger.
        let later = 100 * SECOND;
        for _ in 0..100 {
            full_at = pace.admit(full_at, later).unwrap();
        }
        assert!(pace.admit(full_at, later).is_err());
    }

    #[test]
    fn none_is_no_limit() {
        let pace = Pace::per_second(0);
        let mut full_at = 0;
        for turn in 0..10_000 {
            // Threads whose clocks are not read in order take turns.
            full_at = pace.admit(full_at, 5 + turn % 2).unwrap();
        }
    }
}
