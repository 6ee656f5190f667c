//! Reads whose cost grows with the data: searches, lists, reports. They take a part of the pool's
//! connections at most, so a read of a single row never waits behind them.
//!
//! Their limits:
//! - A quarter of the connections; searches have places of their own, [`SEARCHES_AT_ONCE`] of as
//!   many at most, so a list never waits for one.
//! - [`WAITING_MAX`] callers wait for one, for [`WAIT_MAX`] at most; more are rejected.
//! - The server ends a statement at its time limit. A read whose caller is gone keeps its place
//!   until then, for its connection is busy until then.

use std::sync::Arc;
use std::time::Duration;

use bellpull_domain::search::SEARCHES_AT_ONCE;
use bellpull_port::StoreError;
use sqlx::AssertSqlSafe;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::database::{ANSWER_MAX, Database};
use super::transaction::{Work, begin_with, failed};
use crate::error::unavailable;

/// Callers that wait for a connection. Most of these reads take some milliseconds, so usually all
/// of them are served within a second.
const WAITING_MAX: usize = 64;
/// How long one waits.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub(super) struct SlowReads {
    pool: Database,
    places: Arc<Semaphore>,
    waiting: Semaphore,
}

/// A snapshot of the database, for queries that must agree. Each has a plan for its own values: a
/// plan for any value would miss the index that suits a filter.
pub(super) type Snapshot = Work;

impl SlowReads {
    /// On this pool with so many connections: for lists and reports.
    pub(super) fn new(pool: Database, connections: u32) -> Self {
        let places = usize::try_from(connections / 4).unwrap_or(usize::MAX);
        Self::with(pool, places.min(Semaphore::MAX_PERMITS))
    }

    /// The same, for searches.
    pub(super) fn for_searches(pool: Database, connections: u32) -> Self {
        let places = usize::try_from(connections / 4).unwrap_or(usize::MAX);
        Self::with(pool, places.min(SEARCHES_AT_ONCE))
    }

    fn with(pool: Database, places: usize) -> Self {
        let places = Arc::new(Semaphore::new(places.max(1)));
        Self { pool, places, waiting: Semaphore::new(WAITING_MAX) }
    }

    /// Runs `read` with a snapshot, each of whose statements may take this long.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if too many wait, or this one has waited for too long;
    /// [`StoreError::TooSlow`] at the time limit; those of `read`.
    pub(super) async fn read<T, R, F>(&self, read_max: Duration, read: R) -> Result<T, StoreError>
    where
        R: FnOnce(Snapshot) -> F + Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        T: Send + 'static,
    {
        let place = self.place().await?;
        let pool = self.pool.clone();
        let task = tokio::spawn(async move {
            let _place = place;
            let begin = format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                 SET LOCAL statement_timeout = {}; \
                 SET LOCAL plan_cache_mode = force_custom_plan",
                read_max.as_millis()
            );
            // It is made of a number.
            let mut snapshot = begin_with(&pool, AssertSqlSafe(begin)).await.map_err(failed)?;
            // The server ends it at its limit: that answer is waited for.
            snapshot.set_answer_max(read_max + ANSWER_MAX);
            read(snapshot).await
        });
        task.await.map_err(unavailable)?
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let closed = |_| unavailable("the store is closed");
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let _waits = self.waiting.try_acquire().map_err(|_| StoreError::Busy)?;
        let place = timeout(WAIT_MAX, Arc::clone(&self.places).acquire_owned()).await;
        place.map_err(|_| StoreError::Busy)?.map_err(closed)
    }
}
