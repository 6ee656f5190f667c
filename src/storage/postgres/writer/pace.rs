//! How the writer of sends in progress leaves room for the other one.
//!
//! Both share the server's log, which is written to the disk by one of them at a time, and its
//! processors. While tickets are written, the next chunk of a send waits as long as the one before
//! took: half of the time is theirs. Without other writes no chunk waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The longest wait: a chunk that took longer than that waited itself, for a lock or the server.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// What both writers know of each other. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// Groups of the foreground so far.
    groups: Arc<AtomicU64>,
}

/// A chunk in progress.
#[derive(Debug)]
pub(super) struct Chunk {
    since: Instant,
    groups: u64,
}

impl Pace {
    /// Counts a group of the foreground.
    pub(super) fn note_group(&self) {
        self.groups.fetch_add(1, Ordering::Relaxed);
    }

    /// A chunk begins.
    pub(super) fn begin(&self) -> Chunk {
        Chunk { since: Instant::now(), groups: self.groups.load(Ordering::Relaxed) }
    }

    /// Ends a chunk; returns how long the next one has to wait.
    pub(super) fn pause_after(&self, chunk: &Chunk) -> Duration {
        let is_alone = self.groups.load(Ordering::Relaxed) == chunk.groups;
        if is_alone { Duration::ZERO } else { chunk.since.elapsed().min(PAUSE_MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_chunk_waits_only_beside_other_writes() {
        let pace = Pace::default();
        let took = async |ms| tokio::time::advance(Duration::from_millis(ms)).await;
        pace.note_group();
        let chunk = pace.begin();
        took(5).await;
        assert_eq!(pace.pause_after(&chunk), Duration::ZERO, "nothing else was written");
        pace.note_group();
        assert_eq!(pace.pause_after(&chunk), Duration::from_millis(5));
        took(60_000).await;
        assert_eq!(pace.pause_after(&chunk), PAUSE_MAX);
    }
}
