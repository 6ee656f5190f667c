//! Retention: removes old idempotency keys, deliveries, tombstones, and messages that no inbox has.
//! Before that it indexes words anew that an older version has cut.
//!
//! A task of the scheduler, once an hour: it walks through each kind in small steps, and pauses
//! after each for as long as the step took, so that half of the store's time is left to other work,
//! however much there is to remove. It ends with its scheduler, and when the hub stops; the next
//! one starts over, and has less to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use bellpull_port::in_time;
use bellpull_port::retention::{Old, Position, Retention};
use bellpull_port::{Clock, RetentionStore, SendStore, StoreError};

/// Rows that one step reads: a few ms of the store's time.
const STEP: u32 = 256;
/// Tickets whose words one step cuts; a store may take fewer, by their length.
const WORDS_STEP: u32 = 128;
/// The shortest pause after a step, for a step may take less time than a clock shows.
const REST_MIN: Duration = Duration::from_millis(1);
/// And at most so long, however slow the store was.
const REST_MAX: Duration = Duration::from_millis(250);

/// Removes old rows.
#[derive(Debug, Clone)]
pub(crate) struct RetentionSchedule {
    pub(crate) keys: Arc<dyn SendStore>,
    pub(crate) store: Arc<dyn RetentionStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retention: Retention,
    /// Whether the hub stops.
    pub(crate) is_draining: Arc<AtomicBool>,
}

impl RetentionSchedule {
    /// Forgets all that is old.
    pub(crate) async fn run(&self) -> Result<(), StoreError> {
        self.renew_words().await?;
        let before = self.before(self.retention.keys);
        count("idempotency_keys", in_time(self.keys.forget_keys(before)).await?);
        for what in Old::ALL {
            if let Some(kept) = self.retention.of(what) {
                self.walk(what, self.before(kept)).await?;
            }
        }
        Ok(())
    }

    async fn walk(&self, what: Old, before: Timestamp) -> Result<(), StoreError> {
        let mut next = Some(Position::START);
        while let Some(from) = next.filter(|_| !self.is_draining.load(Relaxed)) {
            let begun = Instant::now();
            let step = in_time(self.store.forget(what, before, from, STEP)).await?;
            count(what.as_str(), step.removed);
            next = step.next;
            tokio::time::sleep(begun.elapsed().clamp(REST_MIN, REST_MAX)).await;
        }
        Ok(())
    }

    /// After an upgrade that cuts words differently; also what a node of the version before has
    /// written meanwhile.
    async fn renew_words(&self) -> Result<(), StoreError> {
        let mut all = 0;
        while !self.is_draining.load(Relaxed) {
            let begun = Instant::now();
            let renewed = in_time(self.store.renew_words(WORDS_STEP)).await?;
            if renewed == 0 {
                break;
            }
            if all == 0 {
                tracing::info!("the words of tickets are indexed anew for searches");
            }
            all += renewed;
            tokio::time::sleep(begun.elapsed().clamp(REST_MIN, REST_MAX)).await;
        }
        if all > 0 {
            tracing::info!(tickets = all, "the words of tickets were indexed anew");
        }
        Ok(())
    }

    fn before(&self, kept: SignedDuration) -> Timestamp {
        self.clock.now().saturating_sub(kept).unwrap_or(Timestamp::MIN)
    }
}

fn count(kind: &'static str, removed: u64) {
    if removed > 0 {
        metrics::counter!("bellpull_forgotten_total", "kind" => kind).increment(removed);
        tracing::debug!(kind, removed, "what is old was forgotten");
    }
}
