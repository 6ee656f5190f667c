//! A clock that follows the runtime's time, paused or not, and can be set.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::Clock;

/// A clock that a test may set.
#[derive(Debug)]
pub struct FakeClock {
    set: Mutex<(Timestamp, Instant)>,
}

impl Default for FakeClock {
    fn default() -> Self {
        Self { set: Mutex::new((Timestamp::UNIX_EPOCH, Instant::now())) }
    }
}

impl FakeClock {
    /// It is so late now.
    pub fn set(&self, now: Timestamp) {
        *super::store::lock(&self.set) = (now, Instant::now());
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        let (at, since) = *super::store::lock(&self.set);
        let elapsed = SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::ZERO);
        at.saturating_add(elapsed).unwrap_or(at)
    }
}
