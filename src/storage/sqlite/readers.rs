//! Connections that read: some threads, each with one of its own.
//!
//! A read is carried out by one of them from its first statement to its last, within a transaction:
//! it sees one state. SQLite interrupts it at its deadline, and as soon as its caller is gone: a
//! progress handler is called every [`STEPS`] steps of its virtual machine. So many callers wait
//! for a thread and no more, and none for ever.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bellpull_port::StoreError;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::error::unavailable;
use super::options::open_reader;
use super::statement::execute;
use crate::engine::{AnyOperation, Db, Failure, Operation, SqlError, take, written};

/// Callers that wait for a thread. Most reads take some milliseconds, so usually all of them are
/// served within a second.
const WAITING_MAX: usize = 64;
/// How long one waits.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// How long a short read may take: it ends before its request does.
pub(super) const SHORT_READ_MAX: Duration = Duration::from_secs(15);
/// Steps between two checks of the deadline: some 20 µs, of which the check takes a thousandth.
const STEPS: i32 = 1_000;

/// Whose reads these threads carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Short ones, whatever the size of the data.
    Short,
    /// Those whose cost grows with the data. If the CPU is busy, all other work comes first.
    Slow,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: u32,
    places: Arc<Semaphore>,
    waiting: Semaphore,
}

#[derive(Debug)]
struct Shared {
    file: PathBuf,
    kind: Kind,
    queue: Mutex<Queue>,
    is_waited_for: Condvar,
    is_closing: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Threads that were started: each when it was first needed.
    started: u32,
    idle: u32,
    is_closed: bool,
}

type Answer = Result<Box<dyn Any + Send>, Failure>;

/// How many statements a read has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statements {
    /// One, which sees one state by itself.
    One,
    /// Some, which see one state within a transaction.
    Some,
}

/// A read and its caller.
#[derive(Debug)]
struct Job {
    read: Box<dyn AnyOperation>,
    statements: Statements,
    reply: oneshot::Sender<Answer>,
    limit: Limit,
    _place: OwnedSemaphorePermit,
}

/// When a read ends that takes too long.
#[derive(Debug, Clone)]
struct Limit {
    until: Instant,
    /// No caller waits for it any more.
    is_dropped: Arc<AtomicBool>,
}

/// Ends a read whose caller is gone.
struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Readers {
    /// So many threads on this file.
    pub(super) fn new(file: &Path, kind: Kind, threads: u32) -> Self {
        let shared = Shared {
            file: file.to_owned(),
            kind,
            queue: Mutex::default(),
            is_waited_for: Condvar::new(),
            is_closing: Arc::default(),
        };
        let places = usize::try_from(threads).unwrap_or(usize::MAX);
        Self {
            shared: Arc::new(shared),
            threads,
            places: Arc::new(Semaphore::new(places)),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    /// The same for a short read of one statement.
    pub(super) async fn run<O: Operation>(&self, read: O) -> Result<O::Answer, StoreError> {
        let answer = self.read(Box::new(read), Statements::One, SHORT_READ_MAX).await?;
        take::<O>(answer)
    }

    /// Carries out a read, which may take this long once it has a thread.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if too many wait, or this one has waited for too long;
    /// [`StoreError::TooSlow`] at the deadline.
    pub(super) async fn read(
        &self,
        read: Box<dyn AnyOperation>,
        statements: Statements,
        read_max: Duration,
    ) -> Answer {
        let place = self.place().await?;
        let is_dropped = Arc::new(AtomicBool::new(false));
        let waits = Waits(Arc::clone(&is_dropped));
        let limit = Limit { until: Instant::now() + read_max, is_dropped };
        let (reply, answer) = oneshot::channel();
        self.start(Job { read, statements, reply, limit, _place: place })?;
        let answer = answer.await.map_err(|_| unavailable("a read has panicked"))?;
        drop(waits);
        answer
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let closed = |_| unavailable("the store is closed");
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        // Short ones wait in their order, and without a limit of their own.
        if self.shared.kind == Kind::Short {
            return Arc::clone(&self.places).acquire_owned().await.map_err(closed);
        }
        let _waits = self.waiting.try_acquire().map_err(|_| StoreError::Busy)?;
        let place = timeout(WAIT_MAX, Arc::clone(&self.places).acquire_owned()).await;
        place.map_err(|_| StoreError::Busy)?.map_err(closed)
    }

    fn start(&self, job: Job) -> Result<(), StoreError> {
        let mut queue = self.shared.queue();
        if queue.is_closed {
            return Err(unavailable("the store is closed"));
        }
        queue.jobs.push_back(job);
        if queue.idle > 0 || queue.started >= self.threads {
            drop(queue);
            self.shared.is_waited_for.notify_one();
            return Ok(());
        }
        queue.started += 1;
        let name = match self.shared.kind {
            Kind::Short => format!("reads-{}", queue.started),
            Kind::Slow => format!("slow-reads-{}", queue.started),
        };
        let shared = Arc::clone(&self.shared);
        let started = std::thread::Builder::new().name(name).spawn(move || shared.run());
        if let Err(error) = started {
            queue.started -= 1;
            queue.jobs.pop_back();
            return Err(unavailable(error));
        }
        Ok(())
    }

    /// Interrupts running reads and closes the connections; later reads are rejected.
    pub(super) async fn close(&self) {
        self.shared.is_closing.store(true, Ordering::Relaxed);
        // Each place is given back once its read was interrupted.
        let _ = timeout(WAIT_MAX, self.places.acquire_many(self.threads)).await;
        self.places.close();
        self.shared.queue().is_closed = true;
        self.shared.is_waited_for.notify_all();
        let is_ended = || self.shared.queue().started == 0;
        let until = Instant::now() + WAIT_MAX;
        // They close their connections, without which the log cannot be emptied.
        while !is_ended() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Ordering::Relaxed);
        self.shared.queue().is_closed = true;
        self.shared.is_waited_for.notify_all();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread: one read after the other until it is closed.
    fn run(&self) {
        if self.kind == Kind::Slow {
            bellpull_system::thread_priority::lower_priority();
        }
        let mut connection = None;
        while let Some(job) = self.next() {
            let Job { read, statements, reply, limit, _place } = job;
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                self.answer(&mut connection, &*read, statements, limit)
            }));
            match outcome {
                Ok(answer) => drop(reply.send(answer)),
                // Its caller sees the dropped reply; the next read has another connection.
                Err(_) => {
                    tracing::error!("a read has panicked");
                    connection = None;
                }
            }
        }
        drop(connection);
        self.queue().started -= 1;
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.is_closed {
                return None;
            }
            queue.idle += 1;
            queue = self.is_waited_for.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn answer(
        &self,
        kept: &mut Option<Connection>,
        read: &dyn AnyOperation,
        statements: Statements,
        limit: Limit,
    ) -> Answer {
        let failed = |error| Failure::Sql(SqlError::Sqlite(error));
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => open_reader(&self.file, self.kind == Kind::Slow).map_err(failed)?,
        };
        let is_closing = Arc::clone(&self.is_closing);
        let is_over = move || {
            limit.is_dropped.load(Ordering::Relaxed)
                || is_closing.load(Ordering::Relaxed)
                || Instant::now() >= limit.until
        };
        connection.progress_handler(STEPS, Some(is_over)).map_err(failed)?;
        let is_one = statements == Statements::One;
        if !is_one {
            execute(&connection, "BEGIN", ()).map_err(failed)?;
        }
        let answer = written(read.run_any(&mut Db::Sqlite(&mut connection)));
        connection.progress_handler(0, None::<fn() -> bool>).map_err(failed)?;
        // Without it, the connection is dropped.
        if is_one || execute(&connection, "ROLLBACK", ()).is_ok() {
            *kept = Some(connection);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use bellpull_domain::ids::{TicketId, UserId};
    use bellpull_domain::search::Search;
    use bellpull_port::inbox::NotificationFilter;
    use bellpull_port::tickets::TicketFilter;
    use bellpull_port::{InboxStore, PageRequest, Slice, TicketStore};
    use futures_util::future::join_all;
    use futures_util::{FutureExt, poll};

    use super::super::{SqliteStore, StoreOptions};
    use super::*;
    use crate::engine::sql;

    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(20);

    struct Endless;

    impl Operation for Endless {
        type Answer = i64;

        async fn run(&self, db: &mut Db<'_>) -> Result<i64, Failure> {
            let sql = sql!(
                "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) \
                 SELECT count(*) FROM n"
            );
            db.count(sql, &[]).await
        }
    }

    struct One;

    impl Operation for One {
        type Answer = i64;

        async fn run(&self, db: &mut Db<'_>) -> Result<i64, Failure> {
            db.count(sql!("SELECT 1"), &[]).await
        }
    }

    async fn store() -> SqliteStore {
        SqliteStore::open("sqlite::memory:", StoreOptions::default()).await.unwrap()
    }

    async fn endless(readers: &Readers, time: Duration) -> Result<i64, StoreError> {
        take::<Endless>(readers.read(Box::new(Endless), Statements::Some, time).await?)
    }

    async fn one(readers: &Readers) -> Result<i64, StoreError> {
        take::<One>(readers.read(Box::new(One), Statements::Some, LONG).await?)
    }

    /// Reads that take all threads until they are dropped.
    async fn hold(readers: &Readers) -> Vec<impl Future<Output = Result<i64, StoreError>>> {
        let mut held: Vec<_> =
            (0..readers.threads).map(|_| Box::pin(endless(readers, 180 * LONG))).collect();
        for read in &mut held {
            assert!(poll!(read).is_pending());
        }
        held
    }

    #[tokio::test]
    async fn a_query_is_interrupted_at_its_deadline() {
        let store = store().await;
        for _ in 0..3 {
            let begun = Instant::now();
            let ended = endless(&store.lists, Duration::from_millis(50)).await;
            assert_eq!(ended, Err(StoreError::TooSlow));
            assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
        }
        assert_eq!(one(&store.lists).await, Ok(1));
        store.close().await;
    }

    #[tokio::test]
    async fn a_query_whose_caller_is_gone_is_interrupted() {
        let store = store().await;
        for _ in 0..3 {
            drop(hold(&store.lists).await);
            let next = join_all((0..store.lists.threads).map(|_| one(&store.lists)));
            assert!(timeout(LONG, next).await.unwrap().iter().all(|one| *one == Ok(1)));
        }
        store.close().await;
    }

    #[tokio::test]
    async fn short_reads_are_answered_while_slow_ones_take_all_their_threads() {
        let store = store().await;
        let held = hold(&store.lists).await;
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
    async fn a_list_is_answered_while_searches_take_all_their_threads() {
        let store = store().await;
        let held = hold(&store.searches).await;
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
        let held = hold(&store.lists).await;
        tokio::time::pause();
        let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(one(&store.lists))).collect();
        for one in &mut waiting {
            assert!(poll!(one).is_pending());
        }
        let next = one(&store.lists).now_or_never().unwrap();
        assert_eq!(next, Err(StoreError::Busy));
        for one in waiting {
            assert_eq!(one.await, Err(StoreError::Busy));
        }
        tokio::time::resume();
        drop(held);
        assert_eq!(one(&store.lists).await, Ok(1));
        store.close().await;
        assert!(matches!(one(&store.lists).await, Err(StoreError::Unavailable(_))));
    }

    #[tokio::test]
    async fn a_close_interrupts_what_runs() {
        let store = store().await;
        let (query, ()) = tokio::join!(endless(&store.lists, LONG), store.close());
        assert_eq!(query, Err(StoreError::TooSlow));
    }

    struct Panics;

    impl Operation for Panics {
        type Answer = i64;

        async fn run(&self, _: &mut Db<'_>) -> Result<i64, Failure> {
            panic!("a mistake")
        }
    }

    #[tokio::test]
    async fn a_panic_fails_its_own_read_alone() {
        let store = store().await;
        for _ in 0..3 {
            let read = store.lists.read(Box::new(Panics), Statements::Some, LONG).await;
            assert!(read.is_err());
            assert_eq!(one(&store.lists).await, Ok(1));
        }
        store.close().await;
    }

    /// The nice value is field 19, the 17th after the name.
    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn slow_reads_have_threads_of_low_priority() {
        let store = store().await;
        assert_eq!(one(&store.lists).await, Ok(1));
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
