//! Whether the store accepts writes: the outcome of the last one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A store without a write for this long is probed: readiness is asked about as often.
const IDLE_AFTER: Duration = Duration::from_secs(2);

/// The last write's outcome: set by the writer, read by readiness.
#[derive(Debug, Clone, Default)]
pub(super) struct Health(Arc<Mutex<Option<Outcome>>>);

#[derive(Debug, Clone, Copy)]
struct Outcome {
    at: Instant,
    is_written: bool,
}

impl Health {
    fn last(&self) -> MutexGuard<'_, Option<Outcome>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write has succeeded or failed.
    pub(super) fn note(&self, is_written: bool) {
        *self.last() = Some(Outcome { at: Instant::now(), is_written });
    }

    /// Whether the last write succeeded; `None` if it was too long ago to say anything.
    pub(super) fn recent(&self) -> Option<bool> {
        let last = (*self.last())?;
        (last.at.elapsed() < IDLE_AFTER).then_some(last.is_written)
    }
}
