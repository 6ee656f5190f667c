//! A transaction whose outcome is known even if the answer to its commit is lost.
//!
//! A connection may break after the commit was sent and before its answer came. The transaction has
//! raised a number of its own (see [`commit_marks`](super::commit_marks)); afterwards that number
//! says what became of it. Without this a caller would have to be told that the outcome is unknown,
//! and its retry might be refused.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use bellpull_port::{STORE_MAX, StoreError};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, SqlSafeStr};
use tokio::time::Instant;

use super::commit_marks::CommitMark;
use super::database::{Connection, Database};
use super::locks::{class, lock};
pub(in super::super) use super::sql_errors::failed;
pub(super) use super::sql_errors::{is_broken, is_transient};
use crate::error::unavailable;

/// How long a lost outcome is asked for: the server may start again meanwhile, or end the
/// transaction of a lost connection.
const ASKED_FOR: Duration = Duration::from_secs(10);
/// The pause between two questions.
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// A transaction in progress. Dropped without a commit, it is rolled back.
#[derive(Debug)]
pub(in super::super) struct Work {
    connection: Connection,
    database: Database,
}

/// Begins a transaction. Each of its answers is waited for as long as callers wait: some of its
/// kind change many rows.
pub(super) async fn begin(database: &Database) -> sqlx::Result<Work> {
    let mut work = begin_with(database, "BEGIN").await?;
    work.set_answer_max(STORE_MAX);
    Ok(work)
}

/// Begins a transaction with these statements.
pub(super) async fn begin_with(
    database: &Database,
    sql: impl SqlSafeStr + Send,
) -> sqlx::Result<Work> {
    let sql = sql.into_sql_str();
    let mut connection = database.acquire_untested().await?;
    let is_untried = connection.is_untried();
    match connection.begin(sql.clone()).await {
        Err(error) if is_untried && is_broken(&error) => {
            drop(connection);
            connection = database.acquire().await?;
            connection.begin(sql).await?;
        }
        begun => begun?,
    }
    Ok(Work { connection, database: database.clone() })
}

macro_rules! planned {
    ($($then:expr),*) => {
        concat!(
            "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; \
             SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; \
             SET LOCAL enable_mergejoin = off; SET LOCAL enable_incremental_sort = off; \
             SET LOCAL statement_timeout = '4500ms'",
            $($then),*
        )
    };
}

/// Begins a transaction whose statements are planned once for a connection: for short statements by
/// key, whose planning would take longer than their execution.
///
/// A statement ends before its answer is given up (`ANSWER_MAX`): by the server, so that the
/// connection stays.
///
/// The plan is made while a table may still be empty, and stays while it grows. So it must go by
/// the keys even where reading, hashing or sorting a whole small table would be cheaper.
pub(super) async fn begin_planned(database: &Database) -> sqlx::Result<Work> {
    begin_with(database, planned!()).await
}

/// The same, and asks something at once. The statement is made with whether it is to show life
/// before it waits for a lock; if it does not, the connection was lost.
pub(super) async fn begin_asking(
    database: &Database,
    statement: impl FnOnce(bool) -> String + Send,
) -> sqlx::Result<(Work, PgRow)> {
    let mut connection = database.acquire_untested().await?;
    let sql = format!("{}; {}", planned!(), statement(connection.is_untried()));
    // Of its values only numbers are written as they are.
    let row = connection.begin_asking(AssertSqlSafe(sql).into_sql_str()).await?;
    Ok((Work { connection, database: database.clone() }, row))
}

/// The same as [`begin_planned`] once it is this node's turn to write. Fails if the turn does not
/// come within a quarter of a second.
pub(super) async fn begin_turn(database: &Database) -> sqlx::Result<Work> {
    let sql = planned!(
        "; SET LOCAL lock_timeout = '250ms'; SELECT ",
        lock!(turn, "0"),
        "; SET LOCAL lock_timeout TO DEFAULT"
    );
    begin_with(database, sql).await
}

impl Deref for Work {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
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
            NotCommitted::Unknown(why) => {
                unavailable(format!("the outcome of a commit is unknown: {why}"))
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
        let mark = self.mark();
        if mark.raise(&mut self.connection).await.map_err(failed)? {
            return Ok(self.commit_marked(mark).await?);
        }
        self.database.marks().give_back(mark);
        self.connection.end("COMMIT").await.map_err(failed)
    }

    /// A mark that the transaction is to write before it is committed.
    pub(super) fn mark(&self) -> CommitMark {
        self.database.marks().take()
    }

    /// Commits a transaction that has written this mark.
    pub(super) async fn commit_marked(mut self, mark: CommitMark) -> Result<(), NotCommitted> {
        let committed = match self.connection.end("COMMIT").await {
            Ok(()) => Ok(()),
            Err(error) if !is_broken(&error) => Err(NotCommitted::Aborted(error)),
            Err(error) => {
                tracing::warn!(%error, "the answer to a commit was lost");
                let database = self.database.clone();
                // The server ends its transaction, if it is still in progress.
                drop(self);
                return outcome(&database, mark, error).await;
            }
        };
        self.database.marks().give_back(mark);
        committed
    }

    /// Ends it without writing anything.
    pub(super) async fn roll_back(mut self) {
        // The connection is closed if this fails, and the server rolls back.
        let _ = self.connection.end("ROLLBACK").await;
    }
}

/// What became of a transaction whose commit ended with `error`.
async fn outcome(
    database: &Database,
    mark: CommitMark,
    error: sqlx::Error,
) -> Result<(), NotCommitted> {
    let until = Instant::now() + ASKED_FOR;
    loop {
        match mark.is_committed(database).await {
            Ok(is_committed) => {
                database.marks().give_back(mark);
                return if is_committed { Ok(()) } else { Err(NotCommitted::Aborted(error)) };
            }
            Err(why) if Instant::now() >= until => {
                return Err(NotCommitted::Unknown(why.to_string()));
            }
            // The server has not noticed yet that the connection is gone, or is away itself.
            Err(_) => tokio::time::sleep(ASKED_EVERY).await,
        }
    }
}
