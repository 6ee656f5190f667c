//! Whoever settles what nobody has asked for, while there is time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::super::writer::{Write, WriterHandle};
use super::{Deferred, PORTION};

/// After the last birth so long: what comes in one go is written in one go.
const QUIET: Duration = Duration::from_secs(1);
/// Nothing waits for quiet longer than this.
const LATEST: Duration = Duration::from_secs(10);
/// Between two portions, as a multiple of what the last one took: whoever else writes or computes
/// has three quarters of the time.
const REST: u32 = 3;
/// The least rest, for a portion may take next to nothing.
const REST_MIN: Duration = Duration::from_millis(1);
/// A store that refuses is asked again after this.
const AWAY: Duration = Duration::from_secs(1);

/// The task that does it; it ends with this handle.
#[derive(Debug)]
pub(in super::super) struct Settler(JoinHandle<()>);

impl Settler {
    /// Starts it.
    pub(in super::super) fn start(deferred: Arc<Deferred>, writer: WriterHandle) -> Self {
        Self(tokio::spawn(settle(deferred, writer)))
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn settle(deferred: Arc<Deferred>, writer: WriterHandle) {
    loop {
        match deferred.wait() {
            None => deferred.added.notified().await,
            Some(Duration::ZERO) => {
                let begun = Instant::now();
                let written = writer.write(Write::SettleSome(PORTION)).await;
                let rest = if written.is_ok() { begun.elapsed() * REST } else { AWAY };
                tokio::time::sleep(rest.max(REST_MIN)).await;
            }
            Some(wait) => tokio::time::sleep(wait).await,
        }
    }
}

impl Deferred {
    /// How long until it is time; `None` while there is nothing to settle.
    fn wait(&self) -> Option<Duration> {
        let (first, last) = self.state().times?;
        let now = Instant::now();
        let due = (last + QUIET).min(first + LATEST);
        Some(due.saturating_duration_since(now))
    }
}
