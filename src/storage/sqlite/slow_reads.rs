//! Reads whose cost grows with the data: searches, lists, reports. They have connections of their
//! own, so a read of a single row never waits behind them.
//!
//! Their limits:
//! - There are [`CONNECTIONS`], on threads of low priority: if the CPU is busy, all other work
//!   comes first. Searches have as many of their own, so a list never waits for one.
//! - [`WAITING_MAX`] callers wait for one, for [`WAIT_MAX`] at most; more are rejected.
//! - SQLite interrupts a query at its deadline, and as soon as its caller is gone: a progress
//!   handler is called every [`STEPS`] steps of its virtual machine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bellpull_port::StoreError;
use rusqlite::ffi;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Sqlite, SqliteConnection, Transaction};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::error::unavailable;

/// Connections, each a thread. One may be busy for as long as a report takes, so there is another;
/// more would only take CPU from other work on a small machine.
pub(super) const CONNECTIONS: usize = 2;
/// Callers that wait for a connection. Most of these reads take some milliseconds, so usually all
/// of them are served within a second.
const WAITING_MAX: usize = 64;
/// How long one waits.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// The time limit of a list. With both waits (for its user's other lists and for a connection), it
/// ends before a request's 15 s.
pub(super) const READ_MAX: Duration = Duration::from_secs(3);
/// Steps between two checks of the deadline: some 20 µs, of which the check takes a thousandth.
const STEPS: i32 = 1_000;

/// See the module.
#[derive(Debug)]
pub(super) struct SlowReads {
    options: SqliteConnectOptions,
    connections: usize,
    places: Semaphore,
    waiting: Semaphore,
    idle: Mutex<Vec<Watched>>,
    is_closing: Arc<AtomicBool>,
}

/// A connection, and what its progress handler checks.
#[derive(Debug)]
struct Watched {
    connection: SqliteConnection,
    watch: Arc<Watch>,
}

/// The deadline of its query.
#[derive(Debug)]
struct Watch {
    opened: Instant,
    /// When times are counted from.
    until_ms: AtomicU64,
    is_closing: Arc<AtomicBool>,
}

impl Watch {
    fn allow(&self, time: Duration) {
        let until = self.opened.elapsed().saturating_add(time);
        self.until_ms
            .store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn stop(&self) {
        self.until_ms.store(0, Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.is_closing.load(Ordering::Relaxed)
            && self.opened.elapsed().as_millis() < u128::from(self.until_ms.load(Ordering::Relaxed))
    }
}

/// A connection for one read. Dropping it interrupts its query.
#[derive(Debug)]
pub(super) struct SlowRead<'a> {
    reads: &'a SlowReads,
    /// `None` only while it is dropped.
    watched: Option<Watched>,
    _place: SemaphorePermit<'a>,
}

impl SlowReads {
    pub(super) fn new(options: SqliteConnectOptions, connections: usize) -> Self {
        let (places, waiting) = (Semaphore::new(connections), Semaphore::new(WAITING_MAX));
        let (idle, is_closing) = (Mutex::default(), Arc::default());
        Self { options, connections, places, waiting, idle, is_closing }
    }

    /// Waits for a connection, which may read for this long from then on.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if too many wait, or this one has waited for too long.
    pub(super) async fn begin(&self, read_max: Duration) -> Result<SlowRead<'_>, StoreError> {
        let place = self.place().await?;
        let idle = self.idle().pop();
        let watched = match idle {
            Some(watched) => watched.rested().await,
            None => None,
        };
        let watched = match watched {
            Some(watched) => watched,
            None => self.open().await.map_err(unavailable)?,
        };
        watched.watch.allow(read_max);
        Ok(SlowRead { reads: self, watched: Some(watched), _place: place })
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        let closed = |_| unavailable("the store is closed");
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let _waits = self.waiting.try_acquire().map_err(|_| StoreError::Busy)?;
        let place = timeout(WAIT_MAX, self.places.acquire()).await;
        place.map_err(|_| StoreError::Busy)?.map_err(closed)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self) -> Result<Watched, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        lower_priority(&mut connection).await?;
        let (opened, until_ms) = (Instant::now(), AtomicU64::new(0));
        let is_closing = Arc::clone(&self.is_closing);
        let watch = Arc::new(Watch { opened, until_ms, is_closing });
        let seen = Arc::clone(&watch);
        connection.lock_handle().await?.set_progress_handler(STEPS, move || seen.goes_on());
        Ok(Watched { connection, watch })
    }

    /// Interrupts running queries and closes the connections; later reads are rejected.
    pub(super) async fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
        let all = u32::try_from(self.connections).unwrap_or(u32::MAX);
        // Each is returned once its query was interrupted. One that is not is closed later.
        let _ = timeout(WAIT_MAX, self.places.acquire_many(all)).await;
        self.places.close();
        let idle = std::mem::take(&mut *self.idle());
        for Watched { connection, .. } in idle {
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "a reader was not closed cleanly");
            }
        }
    }
}

/// Lowers the priority of the connection's thread. `sqlx` runs no other code there than SQLite's
/// callbacks, so this is a progress handler that the next statement calls.
async fn lower_priority(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut is_lowered = false;
    let lower = move || {
        if !std::mem::replace(&mut is_lowered, true) {
            bellpull_system::thread_priority::lower_priority();
        }
        true
    };
    connection.lock_handle().await?.set_progress_handler(1, lower);
    sqlx::query("SELECT 1").execute(connection).await.map(drop)
}

impl Watched {
    /// The connection, once its interrupted query has ended; `None` if it broke.
    async fn rested(mut self) -> Option<Self> {
        self.connection.ping().await.ok()?;
        Some(self)
    }
}

impl SlowRead<'_> {
    /// A snapshot of the database, for queries that must agree.
    pub(super) async fn snapshot(&mut self) -> Result<Transaction<'_, Sqlite>, StoreError> {
        let watched = self.watched.as_mut().ok_or_else(|| unavailable("the read has ended"))?;
        watched.connection.begin().await.map_err(read_error)
    }
}

impl Drop for SlowRead<'_> {
    fn drop(&mut self) {
        if let Some(watched) = self.watched.take() {
            watched.watch.stop();
            self.reads.idle().push(watched);
        }
    }
}

/// Why such a query failed.
pub(super) fn read_error(error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code());
    if code.is_some_and(|code| code == ffi::SQLITE_INTERRUPT.to_string()) {
        tracing::warn!("a query was interrupted at its deadline");
        return StoreError::TooSlow;
    }
    unavailable(error)
}

#[cfg(test)]
mod tests {
    use bellpull_domain::ids::{TicketId, UserId};
    use bellpull_domain::search::{SEARCHES_AT_ONCE, Search};
    use bellpull_port::inbox::NotificationFilter;
    use bellpull_port::tickets::TicketFilter;
    use bellpull_port::{InboxStore, PageRequest, Slice, TicketStore};
    use futures_util::future::join_all;
    use futures_util::{FutureExt, poll};

    use super::super::{SqliteStore, StoreOptions};
    use super::*;

    const ENDLESS: &str = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) \
                           SELECT count(*) FROM n";
    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(20);

    async fn store() -> SqliteStore {
        SqliteStore::open("sqlite::memory:", StoreOptions::default()).await.unwrap()
    }

    async fn endless(read: &mut SlowRead<'_>) -> Result<i64, StoreError> {
        let mut snapshot = read.snapshot().await?;
        sqlx::query_scalar(ENDLESS).fetch_one(&mut *snapshot).await.map_err(read_error)
    }

    async fn one(reads: &SlowReads) -> i64 {
        let mut read = reads.begin(LONG).await.unwrap();
        let mut snapshot = read.snapshot().await.unwrap();
        sqlx::query_scalar("SELECT 1").fetch_one(&mut *snapshot).await.unwrap()
    }

    #[tokio::test]
    async fn a_query_is_interrupted_at_its_deadline() {
        let store = store().await;
        for _ in 0..3 {
            let mut read = store.slow.begin(Duration::from_millis(50)).await.unwrap();
            let begun = Instant::now();
            assert_eq!(endless(&mut read).await, Err(StoreError::TooSlow));
            assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
        }
        assert_eq!(one(&store.slow).await, 1);
        store.close().await;
    }

    #[tokio::test]
    async fn a_query_whose_caller_is_gone_is_interrupted() {
        let store = store().await;
        let hour = Duration::from_secs(3_600);
        for _ in 0..3 {
            let mut reads = join_all((0..CONNECTIONS).map(|_| store.slow.begin(hour))).await;
            let queries = reads.iter_mut().map(|read| endless(read.as_mut().unwrap()));
            let given_up = timeout(Duration::from_millis(50), join_all(queries)).await;
            assert!(given_up.is_err());
            drop(reads);
            let next = join_all((0..CONNECTIONS).map(|_| one(&store.slow)));
            assert_eq!(timeout(LONG, next).await.unwrap(), [1; CONNECTIONS]);
        }
        store.close().await;
    }

    #[tokio::test]
    async fn short_reads_are_answered_while_slow_ones_take_all_their_connections() {
        let store = store().await;
        let held = join_all((0..CONNECTIONS).map(|_| store.slow.begin(LONG))).await;
        let all = (TicketFilter::default(), PageRequest { page: 1, page_size: 20 });
        let mut list = Box::pin(store.tickets(&all.0, all.1));
        assert!(poll!(&mut list).is_pending());
        let inbox = NotificationFilter::default();
        let slice = Slice { offset: 0, limit: 20 };
        let short = async {
            assert_eq!(store.ticket(TicketId(1)).await.unwrap(), None);
            assert_eq!(store.notifications(UserId(1), &inbox, slice).await.unwrap().count, 0);
            assert_eq!(store.unread_counts(UserId(1)).await.unwrap().0, 0);
            assert_eq!(store.history(TicketId(1), all.1).await.unwrap().count, 0);
        };
        timeout(LONG, short).await.unwrap();
        assert!(poll!(&mut list).is_pending());
        drop(held);
        assert_eq!(list.await.unwrap().count, 0);
        store.close().await;
    }

    #[tokio::test]
    async fn a_list_is_answered_while_searches_take_all_their_connections() {
        let store = store().await;
        let held = join_all((0..SEARCHES_AT_ONCE).map(|_| store.searches.begin(LONG))).await;
        let page = PageRequest { page: 1, page_size: 20 };
        let search = Some(Search::of("door").unwrap());
        let found = TicketFilter { search, ..TicketFilter::default() };
        let mut searching = Box::pin(store.tickets(&found, page));
        assert!(poll!(&mut searching).is_pending());
        let all = TicketFilter::default();
        let list = timeout(LONG, store.tickets(&all, page)).await.unwrap();
        assert_eq!(list.unwrap().count, 0);
        assert!(poll!(&mut searching).is_pending());
        drop(held);
        assert_eq!(searching.await.unwrap().count, 0);
        store.close().await;
    }

    #[tokio::test]
    async fn so_many_wait_and_no_more_and_none_for_ever() {
        let store = store().await;
        let held = join_all((0..CONNECTIONS).map(|_| store.slow.begin(LONG))).await;
        tokio::time::pause();
        let mut waiting: Vec<_> =
            (0..WAITING_MAX).map(|_| Box::pin(store.slow.begin(LONG))).collect();
        for one in &mut waiting {
            assert!(poll!(one).is_pending());
        }
        let next = store.slow.begin(LONG).now_or_never().unwrap();
        assert_eq!(next.map(drop), Err(StoreError::Busy));
        for one in waiting {
            assert_eq!(one.await.map(drop), Err(StoreError::Busy));
        }
        tokio::time::resume();
        drop(held);
        assert_eq!(one(&store.slow).await, 1);
        store.close().await;
        assert!(matches!(store.slow.begin(LONG).await, Err(StoreError::Unavailable(_))));
    }

    #[tokio::test]
    async fn a_close_interrupts_what_runs() {
        let store = store().await;
        let mut read = store.slow.begin(LONG).await.unwrap();
        let (query, ()) = tokio::join!(
            async {
                let outcome = endless(&mut read).await;
                drop(read);
                outcome
            },
            store.close()
        );
        assert_eq!(query, Err(StoreError::TooSlow));
    }

    /// The nice value is field 19, the 17th after the name.
    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn slow_reads_have_threads_of_low_priority() {
        let store = store().await;
        assert_eq!(one(&store.slow).await, 1);
        let mut found = Vec::new();
        for task in std::fs::read_dir("/proc/self/task").unwrap() {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
            let Ok(stat) = stat else { continue };
            let (name, rest) = stat.rsplit_once(") ").unwrap();
            if name.contains("(slow-reads") {
                found.push(rest.split(' ').nth(16).unwrap().parse::<i32>().unwrap());
            }
        }
        assert!(
            !found.is_empty() && found.iter().all(|thread_priority| *thread_priority >= 5),
            "{found:?}"
        );
        store.close().await;
    }
}
