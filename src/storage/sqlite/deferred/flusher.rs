//! Writes deferred entries while the writer is idle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::super::supervised::restarted;
use super::super::writer::{Write, WriterHandle};
use super::{Deferred, PORTION};

/// The pause after the last entry: a burst is written in one go.
const QUIET: Duration = Duration::from_secs(1);
/// Entries are deferred no longer than this.
const LATEST: Duration = Duration::from_secs(10);
/// The pause between two portions, as a multiple of the time that the last one took: other writes
/// and computations have three quarters of the time.
const REST: u32 = 3;
/// The shortest pause, for a portion may take next to no time.
const REST_MIN: Duration = Duration::from_millis(1);
/// The pause after an error of the store.
const AWAY: Duration = Duration::from_secs(1);

/// The task; dropping this handle ends it.
#[derive(Debug)]
pub(in super::super) struct Flusher(JoinHandle<()>);

impl Flusher {
    /// Starts it.
    pub(in super::super) fn start(deferred: Arc<Deferred>, writer: WriterHandle) -> Self {
        let write = move || {
            let writer = writer.clone();
            async move { writer.write(Write::FlushSome(PORTION)).await.is_ok() }
        };
        let work = move || flush(Arc::clone(&deferred), write.clone());
        Self(tokio::spawn(restarted("the flusher of deferred entries", AWAY, work)))
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Calls `write` for a portion whenever one is due, for ever. `write` returns whether it succeeded.
async fn flush<F: Future<Output = bool>>(deferred: Arc<Deferred>, write: impl Fn() -> F) {
    loop {
        match deferred.wait() {
            None => deferred.added.notified().await,
            Some(Duration::ZERO) => {
                let begun = Instant::now();
                let rest = if write().await { begun.elapsed() * REST } else { AWAY };
                tokio::time::sleep(rest.max(REST_MIN)).await;
            }
            Some(wait) => tokio::time::sleep(wait).await,
        }
    }
}

impl Deferred {
    /// How long until a portion is due; `None` if nothing is deferred.
    fn wait(&self) -> Option<Duration> {
        let (first, last) = self.state().times?;
        let now = Instant::now();
        let due = (last + QUIET).min(first + LATEST);
        Some(due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use bellpull_domain::ids::{Seq, UserId};
    use tokio::sync::Notify;

    use super::super::{DeferredEntry, Staged, StagedEntry};
    use super::*;

    #[tokio::test]
    async fn a_panic_while_a_portion_is_written_stops_no_later_one() {
        let deferred = Arc::new(Deferred::new(Some(1), 100));
        let entry = DeferredEntry { user: UserId(4), seq: Seq(1), id: 7, message: 9 };
        let mut staged = Staged::default();
        let new = StagedEntry { entry, unread_count: 1, reach: None };
        staged.defer(vec![new]);
        deferred.apply(staged);
        let (tries, again) = (AtomicUsize::new(0), Notify::new());
        let write = || async {
            assert!(tries.fetch_add(1, Relaxed) > 0, "a mistake");
            again.notify_one();
            true
        };
        tokio::select! {
            () = restarted("the flusher", REST_MIN, || flush(Arc::clone(&deferred), write)) => {
                panic!("it ended")
            }
            () = again.notified() => {}
        }
    }
}
