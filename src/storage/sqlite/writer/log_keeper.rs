//! Checkpoints: the log is copied into the file beside the writer.
//!
//! By default the commit with which the log has grown too long copies all of it, and every write
//! waits for that, some hundred milliseconds. Here a thread copies while the writer goes on. The
//! writer copies the remainder itself, between two groups: a log restarts only when all of it is
//! copied, and a copy beside the writer never catches up entirely.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::super::options::open_copier;
use super::super::statement::one;
use bellpull_system::thread_priority::lower_priority;

/// Pages of log from which on it is copied: 32 MiB. More often, and pages that change all the time
/// would be copied more often.
const LONG: i64 = 8_000;
/// Pages that the writer copies itself: 1 MiB.
const REST: i64 = 256;
/// Pages from which on the writer copies everything, as when the thread cannot keep up: 512 MiB.
const TOO_LONG: i64 = 128_000;
/// How often the writer checks the log's length while no copy runs: SQLite plans the query anew
/// each time.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The pause after a failed copy, as on a full disk.
const RETRY: Duration = Duration::from_secs(5);

/// How long the log is, and how much of it is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Log {
    pages: i64,
    copied: i64,
}

/// The next action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    /// The thread copies.
    Beside,
    /// The writer copies.
    Now,
}

impl Log {
    fn due(self) -> Due {
        let left = self.pages - self.copied;
        match self.pages {
            ..LONG => Due::Nothing,
            TOO_LONG.. => Due::Now,
            _ if left <= REST => Due::Now,
            _ => Due::Beside,
        }
    }
}

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(in super::super) struct LogKeeper {
    /// `None` once it is to end.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Set by the thread: little is left now, for a short while.
    has_copied: Arc<AtomicBool>,
    looks_at: Option<Instant>,
}

impl LogKeeper {
    /// Starts it.
    ///
    /// # Errors
    /// Those of opening the file. If no thread can be started, the writer copies everything.
    pub(super) fn start(file: &Path) -> rusqlite::Result<Self> {
        let connection = open_copier(file)?;
        let (wake, woken) = sync_channel(1);
        let has_copied = Arc::new(AtomicBool::new(false));
        let copied = Arc::clone(&has_copied);
        let run = move || keep(&connection, &woken, &copied);
        let thread = std::thread::Builder::new().name("log-keeper".to_owned()).spawn(run).ok();
        Ok(Self { wake: Some(wake), thread, has_copied, looks_at: None })
    }

    /// Checks the log between two groups of the writer. An error here fails no request.
    pub(super) fn look(&mut self, writer: &Connection) {
        let now = Instant::now();
        let is_early = self.looks_at.is_some_and(|at| now < at);
        if !self.has_copied.swap(false, Relaxed) && is_early {
            return;
        }
        let looked = self.look_now(writer);
        self.looks_at = Some(now + if looked.is_ok() { LOOK_EVERY } else { RETRY });
        if let Err(error) = looked {
            warn(&error);
        }
    }

    fn look_now(&self, writer: &Connection) -> rusqlite::Result<()> {
        let log = pragma(writer, "PRAGMA wal_checkpoint(NOOP)")?;
        match log.due() {
            Due::Nothing => {}
            Due::Beside if self.thread.is_some() => {
                // A thread that is awake has been notified already.
                let _ = self.wake.as_ref().map(|wake| wake.try_send(()));
            }
            Due::Beside | Due::Now => {
                pragma(writer, COPY)?;
            }
        }
        Ok(())
    }
}

impl Drop for LogKeeper {
    fn drop(&mut self) {
        self.wake = None;
        // A thread that panicked has logged it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Copies what can be copied while others read and write; waits for none of them.
const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";

fn keep(connection: &Connection, woken: &Receiver<()>, has_copied: &AtomicBool) {
    lower_priority();
    let mut rests_until = None;
    while woken.recv().is_ok() {
        if rests_until.is_some_and(|until| Instant::now() < until) {
            continue;
        }
        match pragma(connection, COPY) {
            Ok(_) => has_copied.store(true, Relaxed),
            Err(error) => {
                warn(&error);
                rests_until = Some(Instant::now() + RETRY);
            }
        }
    }
}

fn warn(error: &rusqlite::Error) {
    tracing::warn!(%error, "the log could not be copied; it goes on growing");
}

/// Runs a form of `wal_checkpoint`.
fn pragma(connection: &Connection, sql: &str) -> rusqlite::Result<Log> {
    one(connection, sql, (), |row| Ok(Log { pages: row.get(1)?, copied: row.get(2)? }))
}

#[cfg(test)]
mod tests {
    use super::super::super::options::open_writer;
    use super::*;

    #[test]
    fn the_thread_copies_what_is_long_and_the_writer_what_is_left() {
        let due = |pages, copied| Log { pages, copied }.due();
        assert_eq!(due(LONG - 1, 0), Due::Nothing);
        assert_eq!(due(LONG, 0), Due::Beside);
        assert_eq!(due(2 * LONG, 2 * LONG - REST - 1), Due::Beside);
        assert_eq!(due(2 * LONG, 2 * LONG - REST), Due::Now);
        assert_eq!(due(TOO_LONG, 0), Due::Now);
        assert_eq!(due(-1, -1), Due::Nothing, "there is no log");
    }

    /// A database with a log of a little more than this many pages, and its writer.
    fn long_log(folder: &Path, pages: i64) -> (std::path::PathBuf, Connection) {
        let file = folder.join("log.db");
        let writer = open_writer(&file, None).unwrap();
        writer.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        writer.execute_batch("CREATE TABLE pages (body BLOB)").unwrap();
        while log(&writer).pages < pages {
            writer.execute("INSERT INTO pages VALUES (zeroblob(400000))", ()).unwrap();
        }
        (file, writer)
    }

    fn log(writer: &Connection) -> Log {
        pragma(writer, "PRAGMA wal_checkpoint(NOOP)").unwrap()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "no runtime: it may block")]
    fn the_thread_copies_a_long_log_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (file, writer) = long_log(folder.path(), LONG);
        let mut keeper = LogKeeper::start(&file).unwrap();
        keeper.look(&writer);
        let begun = Instant::now();
        // The writer does nothing more.
        while log(&writer).copied < LONG {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", log(&writer));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_could_not_be_copied_is_left_alone_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let (file, writer) = long_log(folder.path(), TOO_LONG);
        let mut keeper = LogKeeper::start(&file).unwrap();
        // SQLite refuses to checkpoint within a transaction.
        writer.execute_batch("BEGIN; INSERT INTO pages VALUES ('')").unwrap();
        keeper.look(&writer);
        writer.execute_batch("COMMIT").unwrap();
        keeper.look(&writer);
        assert_eq!(log(&writer).copied, 0, "it was tried again at once");
        keeper.looks_at = None; // as after a while
        keeper.look(&writer);
        assert!(log(&writer).copied >= TOO_LONG);
    }

    #[test]
    fn a_log_that_a_reader_has_made_long_is_short_again() {
        let folder = tempfile::tempdir().unwrap();
        let (file, writer) = long_log(folder.path(), 0);
        let reader = open_copier(&file).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM pages").unwrap();
        while log(&writer).pages < 5 * LONG / 2 {
            writer.execute("INSERT INTO pages VALUES (zeroblob(400000))", ()).unwrap();
            pragma(&writer, COPY).unwrap();
        }
        let bytes = || std::fs::metadata(folder.path().join("log.db-wal")).unwrap().len();
        let long = bytes();
        assert!(long > 75 << 20, "{long}");
        reader.execute_batch("COMMIT").unwrap();
        pragma(&writer, COPY).unwrap();
        writer.execute("INSERT INTO pages VALUES ('')", ()).unwrap();
        assert!(bytes() <= 64 << 20, "{} after {long}", bytes());
    }

    #[test]
    fn a_log_that_is_written_all_the_time_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (file, writer) = long_log(folder.path(), 0);
        let mut keeper = LogKeeper::start(&file).unwrap();
        let (mut written, mut longest, mut is_shorter) = (0, 0, false);
        while !is_shorter && written < 2 * TOO_LONG / 100 {
            writer.execute("INSERT INTO pages VALUES (zeroblob(400000))", ()).unwrap();
            written += 1;
            keeper.look(&writer);
            let pages = log(&writer).pages;
            is_shorter = pages < longest;
            longest = pages.max(longest);
        }
        assert!(is_shorter && longest >= LONG, "{longest} pages after {written} rows");
        drop(keeper);
        let count: i64 = one(&writer, "SELECT count(*) FROM pages", (), |row| row.get(0)).unwrap();
        assert_eq!(count, written);
    }
}
