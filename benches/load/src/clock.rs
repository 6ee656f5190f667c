//! One clock for all processes of a run, so that their times can be subtracted.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started, the same in every process on it.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let whole = |part: i64| u64::try_from(part).unwrap_or_default();
    whole(now.tv_sec) * 1_000_000_000 + whole(now.tv_nsec)
}

/// A duration as nanoseconds: five centuries fit.
#[must_use]
pub fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A count as a float.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "figures are read by their first few digits")]
pub fn figure(count: u64) -> f64 {
    count as f64
}

/// A number of nanoseconds as seconds; never 0, so that a rate can be computed.
#[must_use]
pub fn seconds(ns: u64) -> f64 {
    figure(ns.max(1)) / 1e9
}
