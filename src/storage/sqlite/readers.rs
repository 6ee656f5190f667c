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
use crate::engine::{AnyOperation, Db, Failure, SqlError, written};

/// Callers that wait for a thread. Most reads take some milliseconds, so usually all of them are
/// served within a second.
const WAITING_MAX: usize = 64;
/// How long one waits.
const WAIT_MAX: Duration = Duration::from_secs(3);
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

/// A read and its caller.
#[derive(Debug)]
struct Job {
    read: Box<dyn AnyOperation>,
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

    /// Carries out a read, which may take this long once it has a thread.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if too many wait, or this one has waited for too long;
    /// [`StoreError::TooSlow`] at the deadline.
    pub(super) async fn read(&self, read: Box<dyn AnyOperation>, read_max: Duration) -> Answer {
        let place = self.place().await?;
        let is_dropped = Arc::new(AtomicBool::new(false));
        let waits = Waits(Arc::clone(&is_dropped));
        let limit = Limit { until: Instant::now() + read_max, is_dropped };
        let (reply, answer) = oneshot::channel();
        self.start(Job { read, reply, limit, _place: place })?;
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
            let Job { read, reply, limit, _place } = job;
            let outcome =
                catch_unwind(AssertUnwindSafe(|| self.answer(&mut connection, &*read, limit)));
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
        connection.execute_batch("BEGIN").map_err(failed)?;
        let answer = written(read.run_any(&mut Db::Sqlite(&mut connection)));
        connection.progress_handler(0, None::<fn() -> bool>).map_err(failed)?;
        // Without it, the connection is dropped.
        if connection.execute_batch("ROLLBACK").is_ok() {
            *kept = Some(connection);
        }
        answer
    }
}
