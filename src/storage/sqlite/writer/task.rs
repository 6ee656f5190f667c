//! The writer's loop: groups, their transactions, and failures.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bellpull_domain::routing::Channels;
use bellpull_port::StoreError;
use bellpull_port::slow::SlowLog;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use smallvec::SmallVec;
use tokio::sync::mpsc;

use super::super::super::commits::{GroupTimes, GroupTrace, committed, group_span, note_group};
use super::super::contents::ContentCache;
use super::super::deferred::{Deferred, PORTION};
use super::super::error::{of_request, unavailable};
use super::super::health::Health;
use super::super::identity::{Moved, OpenFiles};
use super::super::ids::Ids;
use super::super::options::{BoxError, open_writer};
use super::super::statement::one;
use super::audiences::Audiences;
use super::context::Place;
use super::failure::Failure;
use super::group;
use super::log_keeper::LogKeeper;
use super::queue::Queue;
use super::{Answer, Done, Request, Write, WriterMessage};

/// The writer's connection; this process has no other that writes.
#[derive(Debug)]
pub(in super::super) struct Writer {
    pub(in super::super) file: PathBuf,
    pub(in super::super) max_page_count: Option<u32>,
    /// Whether this is the hub's: then the log is checkpointed at the end.
    pub(in super::super) is_hubs: bool,
    pub(in super::super) channels: Channels,
    /// Whether e-mails are sent to verified addresses only.
    pub(in super::super) verify_email: bool,
    pub(in super::super) ids: Arc<Ids>,
    pub(in super::super) contents: Arc<ContentCache>,
    pub(in super::super) audiences: Audiences,
    pub(in super::super) deferred: Arc<Deferred>,
    /// The hub's open files, which are compared with their names for each group.
    pub(in super::super) files: Option<Arc<OpenFiles>>,
    /// The outcome that readiness reads.
    pub(in super::super) health: Health,
    /// Where slow groups are logged.
    pub(in super::super) slow: SlowLog,
    /// Of the group that was committed last, until it is compared with the bound.
    pub(in super::super) times: Option<GroupTimes>,
    /// `None` after a failure that may have left it in any state: the next group opens another.
    pub(in super::super) connection: Option<Connection>,
    /// Checkpoints the hub's log; a command leaves that to its commits.
    pub(in super::super) log_keeper: Option<LogKeeper>,
    /// SQLite's `data_version` when this connection last read it; it changes when another process
    /// writes. `None`: the ids must be loaded.
    pub(in super::super) seen: Option<i64>,
    /// The connection's count of changes after the last group.
    pub(in super::super) changes: Option<u64>,
}

impl Writer {
    /// Opens the connection, and loads the ids and the deferred entries.
    pub(super) fn open(&mut self) -> Result<(), BoxError> {
        self.log_keeper = self.is_hubs.then(|| LogKeeper::start(&self.file)).transpose()?;
        let connection = self.connect()?;
        self.ids.load(&connection)?;
        self.deferred.load(&connection)?;
        self.connection = Some(connection);
        Ok(())
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = open_writer(&self.file, self.max_page_count)?;
        if self.log_keeper.is_some() {
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        }
        Ok(connection)
    }

    /// Writes group after group until the queue is closed.
    pub(super) fn run(mut self, waiting: mpsc::Receiver<WriterMessage>) {
        let mut queue = Queue::new(waiting);
        while let Some(group) = queue.next() {
            if catch_unwind(AssertUnwindSafe(|| self.write_group(group))).is_err() {
                // Its callers see their dropped replies. The connection is dropped, and its
                // transaction with it.
                tracing::error!("the writer failed over a group of requests and starts again");
                self.connection = None;
            }
            if let (Some(keeper), Some(connection)) = (&mut self.log_keeper, &self.connection)
                && !self.files.as_ref().is_some_and(|files| files.are_lost())
            {
                keeper.look(connection);
            }
        }
        self.end();
        for reply in queue.into_closing() {
            let _ = reply.send(());
        }
    }

    /// Checkpoints the log, so that only the file remains. A command leaves that to SQLite, which
    /// does it when the last connection closes: an explicit checkpoint would block a hub on the
    /// same file for as long as a reader uses it.
    fn end(mut self) {
        let is_lost = self.look().is_err();
        if !is_lost {
            self.flush_all();
        }
        drop(self.log_keeper);
        let Some(connection) = self.connection else { return };
        let may_copy = self.files.is_none_or(|files| files.may_copy_log());
        let emptied = match self.is_hubs {
            true if may_copy => connection.execute_batch("PRAGMA wal_checkpoint(FULL)"),
            // Nor when it is closed, and the log stays.
            true => {
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
            }
            false => Ok(()),
        };
        if let Err(error) = emptied.and(connection.close().map_err(|(_, error)| error)) {
            tracing::warn!(%error, "the database was not closed cleanly; the log keeps what it has");
        }
    }

    /// Writes deferred entries: only this process knows which of them were delivered.
    fn flush_all(&mut self) {
        while self.is_hubs && self.deferred.count() > 0 {
            if let Err(failure) = self.try_together(&[&Write::FlushSome(PORTION)]) {
                tracing::warn!(?failure, "some inboxes will be flushed after the next start");
                return;
            }
        }
    }

    /// Whether the open files are those that their names lead to.
    fn look(&self) -> Result<(), Moved> {
        self.files.as_ref().map_or(Ok(()), |files| files.look())
    }

    /// Writes a group in one transaction. If that fails, each request is tried alone, so that only
    /// the failing one is rejected. What no file would have after a restart is not acknowledged.
    fn write_group(&mut self, group: Vec<Request>) {
        let writes: Vec<&Write> = group.iter().map(|request| &request.write).collect();
        let traces: SmallVec<[GroupTrace; 8]> =
            group.iter().map(|request| request.trace.clone()).collect();
        let span = group_span(&traces);
        let oldest = group.iter().map(|request| request.queued).min();
        let queue = oldest.map(|queued| queued.elapsed()).unwrap_or_default();
        let is_lost = self.files.as_ref().is_some_and(|files| files.are_lost());
        let answers = match if is_lost { self.look() } else { Ok(()) } {
            Err(moved) => lost(writes.len(), &moved),
            Ok(()) => {
                let answers = self.try_writes(&writes);
                self.look().map_or_else(|moved| lost(writes.len(), &moved), |()| answers)
            }
        };
        let trace = span.trace();
        drop(span);
        if let Some(times) = self.times.take() {
            note_group(&self.slow, group.len(), queue, times, &trace);
        }
        self.note(&answers);
        for (request, answer) in group.into_iter().zip(answers) {
            // A caller that no longer waits needs no answer.
            let _ = request.reply.send(answer);
        }
    }

    fn try_writes(&mut self, writes: &[&Write]) -> Vec<Answer> {
        match self.try_together(writes) {
            Ok(answers) => answers,
            Err(Failure::NotBegun(error)) => all(writes.len(), &error),
            Err(failure) if writes.len() == 1 => vec![Err(alone(failure))],
            Err(failure) => {
                tracing::warn!(?failure, size = writes.len(), "a group failed; one by one now");
                self.try_alone(writes)
            }
        }
    }

    /// Whether a write succeeded or failed. A group that changed nothing says neither.
    fn note(&mut self, answers: &[Answer]) {
        let is_failure = |answer: &Answer| matches!(answer, Err(StoreError::Unavailable(_)));
        let changes = self.connection.as_ref().map(Connection::total_changes);
        if answers.iter().any(is_failure) {
            self.health.note(false);
        } else if changes != self.changes {
            self.health.note(true);
        }
        self.changes = changes;
    }

    fn try_alone(&mut self, writes: &[&Write]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(writes.len());
        for write in writes {
            match self.try_together(&[*write]) {
                Ok(mut one) => answers.extend(one.pop()),
                Err(Failure::NotBegun(error)) => {
                    answers.extend(all(writes.len() - answers.len(), &error));
                    break;
                }
                Err(failure) => answers.push(Err(alone(failure))),
            }
        }
        answers
    }

    fn try_together(&mut self, writes: &[&Write]) -> Result<Vec<Answer>, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.seen = None;
                // Opened by its name, it would be another file.
                self.look().map_err(|moved| Failure::Refused(unavailable(moved)))?;
                self.connect().map_err(Failure::NotBegun)?
            }
        };
        // From here to its return the connection is taken out: a panic drops it, and with it the
        // transaction.
        let outcome = self.fill(&mut connection, writes);
        if outcome.is_err() {
            self.seen = None;
            // SQLite may have rolled the transaction back itself, as when the disk is full. If
            // neither is possible, the connection is dropped.
            if !connection.is_autocommit() {
                let _ = connection.execute_batch("ROLLBACK");
            }
        }
        self.connection = connection.is_autocommit().then_some(connection);
        outcome
    }

    /// From `BEGIN` to `COMMIT`, or to a rollback.
    fn fill(
        &mut self,
        connection: &mut Connection,
        writes: &[&Write],
    ) -> Result<Vec<Answer>, Failure> {
        let asked = Instant::now();
        let seen = begin(connection).map_err(Failure::NotBegun)?;
        let begun = Instant::now();
        if self.seen != Some(seen) {
            self.ids.load(connection)?;
            let unsaved = self.deferred.load(connection).map_err(unavailable)?;
            group::raise_delivered(connection, unsaved)?;
        }
        let staged = RefCell::default();
        let place = Place {
            ids: &self.ids,
            contents: &self.contents,
            audiences: &self.audiences,
            channels: self.channels,
            verify_email: self.verify_email,
            deferred: &self.deferred,
            staged: &staged,
        };
        let mut applied = group::apply(connection, place, writes)?;
        let applied_at = Instant::now();
        connection.execute_batch("COMMIT")?;
        let took = begun.elapsed();
        committed(writes.len(), took);
        let statements = applied_at - begun;
        self.times = Some(GroupTimes {
            locks: begun - asked,
            statements,
            commit: took - statements,
            whole: took,
        });
        for answer in &mut applied.answers {
            if let Ok(Done::Chunks(chunks)) = answer {
                chunks.took = begun.elapsed();
            }
        }
        self.seen = Some(seen);
        self.deferred.apply(staged.into_inner());
        if let Some(pages) = applied.max_page_count {
            self.max_page_count = Some(pages);
        }
        for (id, content) in &applied.contents {
            self.contents.keep(id.0, content);
        }
        Ok(applied.answers)
    }
}

/// Takes the write lock (waiting for another process' writer, if there is one), and returns which
/// state the transaction begins from.
fn begin(connection: &Connection) -> rusqlite::Result<i64> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    one(connection, "PRAGMA data_version", (), |row| row.get(0))
}

/// The error of a request that failed alone.
fn alone(failure: Failure) -> StoreError {
    match failure {
        Failure::NotBegun(error) => unavailable(error),
        Failure::Sql(error) => of_request(&error),
        Failure::Refused(error) => error,
    }
}

/// The error of all requests of a group when the hub's file is not where its name leads to.
fn lost(count: usize, moved: &Moved) -> Vec<Answer> {
    (0..count).map(|_| Err(StoreError::Unavailable(moved.to_string()))).collect()
}

/// The error of all requests of a group when no transaction could begin.
fn all(count: usize, error: &rusqlite::Error) -> Vec<Answer> {
    tracing::warn!(%error, "no transaction could be begun");
    (0..count).map(|_| Err(StoreError::Unavailable(error.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::{SqliteStore, StoreOptions};
    use super::*;

    /// The pages of log from which on a commit of the writer copies it; 0: never.
    fn copies_from(writer: &Writer) -> i64 {
        let connection = writer.connection.as_ref().unwrap();
        one(connection, "PRAGMA wal_autocheckpoint", (), |row| row.get(0)).unwrap()
    }

    #[tokio::test]
    async fn the_hub_has_its_log_copied_and_a_command_copies_it_in_a_commit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hub.db");
        let url = format!("sqlite://{}", file.display());
        SqliteStore::open(&url, StoreOptions::default()).await.unwrap().close().await;
        for (is_hubs, wanted) in [(true, 0), (false, 8_000)] {
            let mut writer = Writer {
                file: file.clone(),
                max_page_count: None,
                is_hubs,
                channels: Channels::default(),
                verify_email: false,
                ids: Arc::default(),
                contents: Arc::new(ContentCache::new()),
                audiences: Audiences::new(),
                deferred: Arc::new(Deferred::new(None, 0)),
                connection: None,
                files: None,
                health: Health::default(),
                slow: SlowLog::default(),
                times: None,
                log_keeper: None,
                seen: None,
                changes: None,
            };
            writer.open().unwrap();
            assert_eq!(copies_from(&writer), wanted, "the hub's: {is_hubs}");
            // Another connection, as after a failure.
            writer.connection = None;
            writer.try_together(&[&Write::Ping]).unwrap();
            assert_eq!(copies_from(&writer), wanted, "the hub's, opened again: {is_hubs}");
        }
    }
}
