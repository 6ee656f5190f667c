//! A transaction whose fate is known even if the answer to its commit is lost.
//!
//! A connection may break after the commit was sent and before its answer came. The transaction's
//! id is read before; afterwards the server says by it what became of the transaction. Without this
//! a caller would have to be told that the outcome is unknown, and its retry might be refused.

use std::fmt::Display;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use bellpull_actors::port::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::{Executor, PgPool, Postgres, Transaction};
use tokio::time::Instant;

use crate::storage::error::unavailable;

/// How long a lost outcome is asked for.
const ASKED_FOR: Duration = Duration::from_secs(10);
/// The pause between two questions.
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// A transaction in progress. Dropped without a commit, it is rolled back.
#[derive(Debug)]
pub(super) struct Work {
    held: Held,
    pool: PgPool,
}

/// What a transaction runs on.
#[derive(Debug)]
enum Held {
    Transaction(Transaction<'static, Postgres>),
    Turn(Turn),
}

/// A transaction whose first statements may fail. sqlx returns such a connection to the pool as it
/// is, in an aborted transaction, where every statement of every later user fails. So this one is
/// closed unless the transaction has ended.
#[derive(Debug)]
struct Turn {
    connection: PoolConnection<Postgres>,
    has_ended: bool,
}

impl Turn {
    /// Ends it with this statement.
    async fn end(&mut self, sql: &'static str) -> sqlx::Result<()> {
        self.connection.execute(sql).await?;
        self.has_ended = true;
        Ok(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.has_ended {
            self.connection.close_on_drop();
        }
    }
}

/// Begins a transaction.
pub(super) async fn begin(pool: &PgPool) -> sqlx::Result<Work> {
    begin_with(pool, "BEGIN").await
}

async fn begin_with(pool: &PgPool, sql: &'static str) -> sqlx::Result<Work> {
    let held = Held::Transaction(begun(pool, sql).await?);
    Ok(Work { held, pool: pool.clone() })
}

/// A transaction that begins with this statement, which does not fail.
///
/// It begins in a task of its own. Were its future dropped after the statement was sent, sqlx would
/// return the connection to the pool in that transaction, and what its next user writes would be
/// rolled back with it.
pub(super) async fn begun(
    pool: &PgPool,
    sql: &'static str,
) -> sqlx::Result<Transaction<'static, Postgres>> {
    let pool = pool.clone();
    let task = tokio::spawn(async move { pool.begin_with(sql).await });
    task.await.map_err(|_| sqlx::Error::WorkerCrashed)?
}

macro_rules! planned {
    ($then:literal) => {
        concat!(
            "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; \
             SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; \
             SET LOCAL enable_mergejoin = off; SET LOCAL enable_incremental_sort = off",
            $then
        )
    };
}

/// Begins a transaction whose statements are planned once for a connection: for short statements by
/// key, whose planning would take longer than their execution.
///
/// The plan is made while a table may still be empty, and stays while it grows. So it must go by
/// the keys even where reading, hashing or sorting a whole small table would be cheaper.
pub(super) async fn begin_planned(pool: &PgPool) -> sqlx::Result<Work> {
    begin_with(pool, planned!("")).await
}

/// The same once it is this node's turn to write. Fails if the turn does not come within a quarter
/// of a second.
pub(super) async fn begin_turn(pool: &PgPool) -> sqlx::Result<Work> {
    let sql = planned!(
        "; SET LOCAL lock_timeout = '250ms'; SELECT pg_advisory_xact_lock(7305804404); \
         SET LOCAL lock_timeout TO DEFAULT"
    );
    let mut turn = Turn { connection: pool.acquire().await?, has_ended: false };
    turn.connection.execute(sql).await?;
    Ok(Work { held: Held::Turn(turn), pool: pool.clone() })
}

impl Deref for Work {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match &self.held {
            Held::Transaction(transaction) => transaction,
            Held::Turn(turn) => &turn.connection,
        }
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match &mut self.held {
            Held::Transaction(transaction) => transaction,
            Held::Turn(turn) => &mut turn.connection,
        }
    }
}

/// Why a transaction was not committed.
#[derive(Debug)]
pub(super) enum NotCommitted {
    /// Nothing was written; the error says why.
    Aborted(sqlx::Error),
    /// The database stayed away for so long that the outcome is unknown.
    Unknown(String),
}

impl From<NotCommitted> for StoreError {
    fn from(why: NotCommitted) -> Self {
        match why {
            NotCommitted::Aborted(error) => failed(error),
            NotCommitted::Unknown(status) => {
                unavailable(format!("the outcome of a commit is unknown: {status}"))
            }
        }
    }
}

impl Work {
    /// Commits. `Ok` means that it is on the server's disk.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was written; or the database stayed away for so long
    /// that the outcome is unknown, and the text says so.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        let id = transaction_id(&mut self).await.map_err(failed)?;
        Ok(self.commit_as(id).await?)
    }

    /// The same with the transaction's id, for a caller that has read it with another query. `None`
    /// for a transaction that has written nothing.
    pub(super) async fn commit_as(self, id: Option<String>) -> Result<(), NotCommitted> {
        let committed = match self.held {
            Held::Transaction(transaction) => transaction.commit().await,
            Held::Turn(mut turn) => turn.end("COMMIT").await,
        };
        match committed {
            Ok(()) => Ok(()),
            Err(error) if error.as_database_error().is_some() => Err(NotCommitted::Aborted(error)),
            Err(error) => {
                let Some(id) = id else { return Err(NotCommitted::Aborted(error)) };
                tracing::warn!(%error, transaction = id, "the answer to a commit was lost");
                fate(&self.pool, &id, error).await
            }
        }
    }

    /// Ends it without writing anything.
    pub(super) async fn roll_back(self) {
        // The connection is closed if this fails, and the server rolls back.
        let _ = match self.held {
            Held::Transaction(transaction) => transaction.rollback().await,
            Held::Turn(mut turn) => turn.end("ROLLBACK").await,
        };
    }
}

/// The id of the transaction; `None` while it has written nothing.
pub(super) async fn transaction_id(connection: &mut PgConnection) -> sqlx::Result<Option<String>> {
    let sql = "SELECT pg_current_xact_id_if_assigned()::text";
    sqlx::query_scalar(sql).fetch_one(connection).await
}

/// What became of a transaction whose commit ended with `error`.
async fn fate(pool: &PgPool, id: &str, error: sqlx::Error) -> Result<(), NotCommitted> {
    let until = Instant::now() + ASKED_FOR;
    loop {
        let asked = sqlx::query_scalar::<_, Option<String>>("SELECT pg_xact_status($1::xid8)");
        let status = match asked.bind(id).fetch_one(pool).await {
            Ok(status) => status.unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        match status.as_str() {
            "committed" => return Ok(()),
            "aborted" => return Err(NotCommitted::Aborted(error)),
            _ if Instant::now() >= until => return Err(NotCommitted::Unknown(status)),
            // The server has not noticed yet that the connection is gone, or is away itself.
            _ => tokio::time::sleep(ASKED_EVERY).await,
        }
    }
}

/// A failed statement as an error of the ports.
pub(super) fn failed(error: impl Into<sqlx::Error>) -> StoreError {
    let error = error.into();
    match code(&error).as_deref() {
        Some(FOREIGN_KEY) => StoreError::NotFound,
        Some(UNIQUE) => StoreError::Conflict,
        Some(CANCELLED) => StoreError::TooSlow,
        _ => unavailable(text(&error)),
    }
}

/// Whether the same statements may succeed if they are run again.
pub(super) fn is_transient(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some(SERIALIZATION | DEADLOCK | LOCK_TIMEOUT))
}

/// Whether the connection broke, so that nothing was written unless it was committed.
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    let is_ending = |code: String| code.starts_with("57P") || code.starts_with("08");
    let is_lost = matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::PoolTimedOut
    );
    is_lost || code(error).is_some_and(is_ending)
}

/// PostgreSQL's code of the error, if the server returned it.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

fn text(error: &dyn Display) -> String {
    error.to_string()
}

const FOREIGN_KEY: &str = "23503";
const UNIQUE: &str = "23505";
const SERIALIZATION: &str = "40001";
const DEADLOCK: &str = "40P01";
const LOCK_TIMEOUT: &str = "55P03";
/// A statement that took longer than its time-out, among others.
const CANCELLED: &str = "57014";
