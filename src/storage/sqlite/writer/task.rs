//! The writer's loop: groups, their transactions, and what happens when one fails.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use bellpull_actors::domain::routing::Channels;
use bellpull_actors::port::StoreError;
use futures_util::FutureExt;
use sqlx::sqlite::SqliteQueryResult;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::super::error::{is_already_rolled_back, of_request, unavailable};
use super::super::ids::Ids;
use super::super::letters::Letters;
use super::super::options::for_writer;
use super::group::{self, Failure};
use super::{Answer, Letterbox, Request, Write};

/// Requests of one transaction; one that writes for many recipients counts for as many. More gain
/// nothing by then, and keep the first waiting.
const GROUP_MAX: usize = 512;

/// The writer's own; nobody else writes in this process.
#[derive(Debug)]
pub(in super::super) struct Writer {
    pub(in super::super) file: PathBuf,
    pub(in super::super) max_page_count: Option<u32>,
    /// Whether this is the hub's own: then the log is copied back when it ends.
    pub(in super::super) is_hubs: bool,
    pub(in super::super) channels: Channels,
    pub(in super::super) ids: Arc<Ids>,
    pub(in super::super) letters: Arc<Letters>,
    /// `None` after a failure that may have left it in any state: the next group opens another.
    pub(in super::super) connection: Option<SqliteConnection>,
    /// SQLite's mark of the last state that this connection has seen; it changes when another
    /// process writes. `None`: the ids must be loaded.
    pub(in super::super) seen: Option<i64>,
}

/// Opens the connection that writes.
pub(in super::super) async fn connect(
    file: &std::path::Path,
    max_page_count: Option<u32>,
) -> Result<SqliteConnection, sqlx::Error> {
    for_writer(file, max_page_count).connect().await
}

impl Writer {
    /// Takes what waits, as much as there is, without ever waiting for more.
    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Letterbox>) {
        let mut closing: Vec<oneshot::Sender<()>> = Vec::new();
        while let Some(first) = waiting.recv().await {
            let (mut group, mut rows) = (Vec::new(), 0);
            let mut next = Some(first);
            while let Some(letter) = next {
                match letter {
                    Letterbox::Request(request) => {
                        rows += request.write.rows();
                        group.push(request);
                    }
                    Letterbox::Close(reply) => {
                        waiting.close();
                        closing.push(reply);
                    }
                }
                next = (rows < GROUP_MAX).then(|| waiting.try_recv().ok()).flatten();
            }
            let writing = AssertUnwindSafe(self.write_group(group)).catch_unwind();
            if Box::pin(writing).await.is_err() {
                // Its callers learn it from their dropped replies. The connection goes, and its
                // transaction with it.
                tracing::error!("the writer failed over a group of requests and starts again");
                self.connection = None;
            }
        }
        self.end().await;
        for reply in closing {
            let _ = reply.send(());
        }
    }

    /// Copies the log back into the file, so that the file is all that stays. A command leaves
    /// that to SQLite, which does it for the last who closes: asked for by name, it would keep a
    /// hub on the same file from writing for as long as somebody reads.
    async fn end(self) {
        let Some(mut connection) = self.connection else { return };
        let emptied = match self.is_hubs {
            true => sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await,
            false => Ok(SqliteQueryResult::default()),
        };
        if let Err(error) = emptied.and(connection.close().await) {
            tracing::warn!(%error, "the database was not closed cleanly; the log keeps what it has");
        }
    }

    /// Writes a group in one transaction. Should that fail, each request is tried alone, so that
    /// only the guilty one fails.
    async fn write_group(&mut self, group: Vec<Request>) {
        let writes: Vec<&Write> = group.iter().map(|request| &request.write).collect();
        let answers = match self.try_together(&writes).await {
            Ok(answers) => answers,
            Err(Failure::NotBegun(error)) => all(writes.len(), &error),
            Err(failure) if writes.len() == 1 => vec![Err(alone(failure))],
            Err(failure) => {
                tracing::warn!(?failure, size = writes.len(), "a group failed; one by one now");
                self.try_alone(&writes).await
            }
        };
        for (request, answer) in group.into_iter().zip(answers) {
            // A caller that no longer waits is not missed.
            let _ = request.reply.send(answer);
        }
    }

    async fn try_alone(&mut self, writes: &[&Write]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(writes.len());
        for write in writes {
            match self.try_together(&[*write]).await {
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

    async fn try_together(&mut self, writes: &[&Write]) -> Result<Vec<Answer>, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.seen = None;
                connect(&self.file, self.max_page_count).await.map_err(Failure::NotBegun)?
            }
        };
        // From here to its return the connection is in hand: a panic drops it, and with it the
        // transaction.
        let seen = begin(&mut connection).await;
        let outcome = match seen {
            Ok(seen) => self.fill(&mut connection, seen, writes).await,
            Err(error) => Err(Failure::NotBegun(error)),
        };
        let is_sound = match &outcome {
            Ok(_) => true,
            Err(_) => {
                self.seen = None;
                rollback(&mut connection).await
            }
        };
        self.connection = is_sound.then_some(connection);
        outcome
    }

    /// From `BEGIN` to `COMMIT`.
    async fn fill(
        &mut self,
        connection: &mut SqliteConnection,
        seen: i64,
        writes: &[&Write],
    ) -> Result<Vec<Answer>, Failure> {
        if self.seen != Some(seen) {
            self.ids.load(connection).await?;
        }
        let place =
            group::Place { ids: &self.ids, letters: &self.letters, channels: self.channels };
        let applied = group::apply(connection, place, writes).await?;
        sqlx::query("COMMIT").execute(connection).await?;
        self.seen = Some(seen);
        if let Some(pages) = applied.max_page_count {
            self.max_page_count = Some(pages);
        }
        for (id, letter) in &applied.letters {
            self.letters.keep(*id, letter);
        }
        Ok(applied.answers)
    }
}

/// Takes the write lock (waiting for another process' writer, if there is one), and says which
/// state the transaction begins from.
async fn begin(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("BEGIN IMMEDIATE; PRAGMA data_version").fetch_one(connection).await
}

/// Whether the connection can be used again.
async fn rollback(connection: &mut SqliteConnection) -> bool {
    match sqlx::query("ROLLBACK").execute(connection).await {
        Ok(_) => true,
        Err(error) => is_already_rolled_back(&error),
    }
}

/// What a request is told that failed alone.
fn alone(failure: Failure) -> StoreError {
    match failure {
        Failure::NotBegun(error) => unavailable(error),
        Failure::Sql(error) => of_request(error),
        Failure::Refused(error) => error,
    }
}

/// What all of a group are told when no transaction could be begun.
fn all(count: usize, error: &sqlx::Error) -> Vec<Answer> {
    tracing::warn!(%error, "no transaction could be begun");
    (0..count).map(|_| Err(StoreError::Unavailable(error.to_string()))).collect()
}
