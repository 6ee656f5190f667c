//! Whether the store takes writes: the outcome of the last one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A store that was not written to for so long is tried: readiness is asked about as often.
const IDLE_AFTER: Duration = Duration::from_secs(2);

/// The last write's outcome, as the writer has it and readiness asks for it.
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

    /// Something was written, or could not be.
    pub(super) fn note(&self, is_written: bool) {
        *self.last() = Some(Outcome { at: Instant::now(), is_written });
    }

    /// Whether the last write succeeded; `None` where that is so long ago that it says nothing.
    pub(super) fn recent(&self) -> Option<bool> {
        let last = (*self.last())?;
        (last.at.elapsed() < IDLE_AFTER).then_some(last.is_written)
    }
}
