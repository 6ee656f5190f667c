//! The database as this store's code reaches it: connections that do not wait for ever.
//!
//! A connection may be lost without a sign: a NAT forgets it, an address moves to another machine,
//! a switch loses its state. What was sent is then acknowledged by no one, and an answer that was
//! lost on its way is never sent again. The server's own time limits cannot help a client whose
//! answer does not come. So every statement here has a limit on *our* side, and this is the one
//! place that sets it: each query of the store goes through [`Database`] or [`Connection`].
//!
//! A connection whose answer did not come, or whose query was dropped before its answer, is closed
//! and not returned to the pool. One loss makes all connections suspect that have been idle since
//! before: they are replaced, not asked one after the other.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::pool::{PoolConnection, PoolConnectionMetadata};
use sqlx::postgres::{
    PgConnectOptions, PgConnection, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo,
};
use sqlx::{
    AssertSqlSafe, Connection as _, Describe, Either, Execute, Executor, PgPool, Postgres, SqlStr,
};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, Sleep, sleep, timeout, timeout_at};

use super::commit_marks::CommitMarks;
use super::history::History;
use super::sql_errors::{is_broken, is_stale_plan};

/// How long a caller waits for a connection, with what it takes to make one.
pub(super) const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// How long the answer to a statement is waited for. Callers wait 8 s: after a connection was lost
/// there is time to do it again over another one.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(5);
/// A connection that was not used for this long is tested before it is used.
const TESTED_AFTER: Duration = Duration::from_millis(50);
/// How long such a test may take.
const TEST_MAX: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// Whether the connection that is being acquired is tested by its user's first statement.
    static IS_UNTRIED: Cell<bool>;
}

/// The pool of connections; clones share it.
#[derive(Debug, Clone)]
pub(in super::super) struct Database {
    pool: PgPool,
    losses: Arc<Losses>,
    marks: Arc<CommitMarks>,
    history: Arc<History>,
}

impl Database {
    /// Connects to that address with so many connections at most.
    ///
    /// Each sets up its session, and looks whether the database is the one that it was.
    pub(super) async fn connect(
        address: PgConnectOptions,
        session: String,
        connections: u32,
    ) -> sqlx::Result<Self> {
        let losses = Arc::new(Losses::default());
        let known = Arc::clone(&losses);
        let history = History::new(address.clone());
        let (looks, session) = (Arc::clone(&history), Arc::new(session));
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(CONNECTED_WITHIN)
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let (looks, session) = (Arc::clone(&looks), Arc::clone(&session));
                Box::pin(async move {
                    connection.execute(AssertSqlSafe(session)).await?;
                    looks.look(connection).await
                })
            })
            .before_acquire(move |connection, meta| {
                let losses = Arc::clone(&known);
                Box::pin(async move { Ok(losses.is_well(connection, &meta).await) })
            })
            .connect_with(address)
            .await?;
        Ok(Self { pool, losses, marks: Arc::new(CommitMarks::new()), history })
    }

    /// A connection.
    pub(super) async fn acquire(&self) -> sqlx::Result<Connection> {
        Ok(self.connection(self.pool.acquire().await?, false))
    }

    /// A connection whose first answer is to come soon, as it is not tested before.
    pub(super) async fn acquire_untested(&self) -> sqlx::Result<Connection> {
        let acquired = async {
            let connection = self.pool.acquire().await?;
            Ok(self.connection(connection, IS_UNTRIED.with(Cell::get)))
        };
        IS_UNTRIED.scope(Cell::new(false), acquired).await
    }

    fn connection(&self, connection: PoolConnection<Postgres>, is_untried: bool) -> Connection {
        Connection {
            connection: Some(connection),
            losses: Arc::clone(&self.losses),
            answer_max: ANSWER_MAX,
            is_untried,
            is_unusable: false,
            is_in_transaction: false,
        }
    }

    /// For reads by key, whose answer tests the connection: without one, another is asked.
    pub(in super::super) fn by_key(&self) -> ByKey<'_> {
        ByKey(self)
    }

    /// The marks of this process' commits.
    pub(super) fn marks(&self) -> &CommitMarks {
        &self.marks
    }

    /// Which history this is.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// Closes all connections.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// When connections were found lost.
#[derive(Debug, Default)]
struct Losses {
    /// A connection that was not used since then may be lost, too.
    suspect_before: Mutex<Option<Instant>>,
}

impl Losses {
    fn suspect_before(&self) -> MutexGuard<'_, Option<Instant>> {
        self.suspect_before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was sent at that time got no answer.
    fn note(&self, sent: Instant) {
        let mut before = self.suspect_before();
        *before = (*before).max(Some(sent));
    }

    /// Whether an idle connection can be used; if not, it is replaced.
    async fn is_well(&self, connection: &mut PgConnection, meta: &PoolConnectionMetadata) -> bool {
        let now = Instant::now();
        let is_suspect = |before: Instant| now.checked_sub(meta.idle_for) < Some(before);
        if self.suspect_before().is_some_and(is_suspect) {
            return false;
        }
        if meta.idle_for < TESTED_AFTER || IS_UNTRIED.try_with(|is| is.set(true)).is_ok() {
            return true;
        }
        match timeout(TEST_MAX, connection.ping()).await {
            Ok(answered) => answered.is_ok(),
            Err(_) => {
                self.note(now);
                tracing::warn!("a connection to the database was lost silently");
                false
            }
        }
    }
}

/// A connection of the pool.
#[derive(Debug)]
pub(in super::super) struct Connection {
    /// There until this is dropped.
    connection: Option<PoolConnection<Postgres>>,
    losses: Arc<Losses>,
    /// How long an answer is waited for.
    answer_max: Duration,
    /// Whether it was idle, and its first answer shows whether it was lost meanwhile.
    is_untried: bool,
    /// Whether it is not to be used again: its answer is still to come, or never will.
    is_unusable: bool,
    is_in_transaction: bool,
}

impl Connection {
    /// From now on answers are waited for this long.
    pub(super) fn set_answer_max(&mut self, answer_max: Duration) {
        self.answer_max = answer_max;
    }

    /// Whether its first answer is still to show that it is not lost.
    pub(super) fn is_untried(&self) -> bool {
        self.is_untried
    }

    /// How long the next answer is waited for.
    fn next_answer_max(&mut self) -> Duration {
        if std::mem::take(&mut self.is_untried) { TEST_MAX } else { self.answer_max }
    }

    /// Begins a transaction with these statements, which wait for nothing.
    pub(super) async fn begin(&mut self, sql: SqlStr) -> sqlx::Result<()> {
        self.is_in_transaction = true;
        let begin_max = self.next_answer_max();
        let answer_max = std::mem::replace(&mut self.answer_max, begin_max);
        let begun = self.execute(sql).await;
        self.answer_max = answer_max;
        begun.map(drop)
    }

    /// The same, and returns their row. One that waits for locks shows life before, if untried.
    pub(super) async fn begin_asking(&mut self, sql: SqlStr) -> sqlx::Result<PgRow> {
        self.is_in_transaction = true;
        let now = Instant::now();
        let until = now + self.answer_max;
        let mut next_by = now + self.next_answer_max();
        let (connection, asked) = self.asks()?;
        let mut answers = connection.fetch_many(sql);
        let mut found = None;
        let answer = loop {
            match timeout_at(next_by, answers.try_next()).await {
                Err(late) => break Err(late),
                Ok(Err(error)) => break Ok(Err(error)),
                Ok(Ok(None)) => break Ok(found.ok_or(sqlx::Error::RowNotFound)),
                Ok(Ok(Some(answer))) => {
                    found = answer.right().or(found);
                    next_by = until;
                }
            }
        };
        drop(answers);
        asked.answered(answer)
    }

    /// Ends the transaction by this statement.
    pub(super) async fn end(&mut self, sql: &'static str) -> sqlx::Result<()> {
        self.execute(sql).await?;
        self.is_in_transaction = false;
        Ok(())
    }

    /// Something is asked.
    fn asks(&mut self) -> sqlx::Result<(&mut PgConnection, Asked<'_>)> {
        self.is_unusable = true;
        let connection = self.connection.as_deref_mut().ok_or(sqlx::Error::PoolClosed)?;
        let (losses, is_unusable) = (&*self.losses, &mut self.is_unusable);
        Ok((connection, Asked { losses, is_unusable, since: Instant::now() }))
    }
}

/// What was asked, and since when.
struct Asked<'c> {
    losses: &'c Losses,
    is_unusable: &'c mut bool,
    since: Instant,
}

impl Asked<'_> {
    /// The answer came; or it did not, in time.
    fn answered<T>(self, answer: Result<sqlx::Result<T>, Elapsed>) -> sqlx::Result<T> {
        let Ok(answer) = answer else { return Err(self.late()) };
        *self.is_unusable = answer.as_ref().is_err_and(|error| self.is_end(error));
        answer
    }

    /// Whether the connection is of no use after this error.
    fn is_end(&self, error: &sqlx::Error) -> bool {
        let is_end = is_stale_plan(error) || is_broken(error);
        if is_end {
            // The others have such plans, too, or have been ended with it.
            self.losses.note(Instant::now());
        }
        is_end
    }

    fn late(&self) -> sqlx::Error {
        self.losses.note(self.since);
        tracing::warn!(waited = ?self.since.elapsed(), "the database has not answered in time");
        late("the database has not answered in time")
    }
}

/// What was not done in time, as if its connection had broken.
pub(super) fn late(what: &'static str) -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, what).into()
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if self.is_unusable {
            return connection.close_on_drop();
        }
        if !self.is_in_transaction {
            // The pool tests what is returned. That test has no limit of its own, and would keep
            // the place of a lost connection.
            tokio::spawn(timeout(ANSWER_MAX, connection.return_to_pool()));
            return;
        }
        tokio::spawn(async move {
            let ended = timeout(ANSWER_MAX, connection.execute("ROLLBACK")).await;
            if !matches!(ended, Ok(Ok(_))) {
                return connection.close_on_drop();
            }
            let _ = timeout(ANSWER_MAX, connection.return_to_pool()).await;
        });
    }
}

/// The rows of an answer, which is to be complete in time.
struct Rows<'c> {
    rows: Answers<'c>,
    asked: Asked<'c>,
    late: Pin<Box<Sleep>>,
    is_late: bool,
}

impl futures_util::Stream for Rows<'_> {
    type Item = sqlx::Result<Row>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_late {
            return Poll::Ready(None);
        }
        match self.rows.poll_next_unpin(cx) {
            Poll::Ready(Some(Err(error))) => {
                *self.asked.is_unusable = self.asked.is_end(&error);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                *self.asked.is_unusable = false;
                Poll::Ready(None)
            }
            Poll::Pending if self.late.as_mut().poll(cx).is_ready() => {
                self.is_late = true;
                Poll::Ready(Some(Err(self.asked.late())))
            }
            polled @ (Poll::Ready(Some(Ok(_))) | Poll::Pending) => polled,
        }
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Answers<'e>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let late = Box::pin(sleep(self.answer_max));
        match self.asks() {
            Ok((connection, asked)) => {
                let rows = connection.fetch_many(query);
                Box::pin(Rows { rows, asked, late, is_late: false })
            }
            Err(error) => Box::pin(stream::once(async { Err(error) })),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> Answer<'e, Option<PgRow>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let answer_max = self.answer_max;
            let (connection, asked) = self.asks()?;
            asked.answered(timeout(answer_max, connection.fetch_optional(query)).await)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, types: &'e [PgTypeInfo]) -> Answer<'e, PgStatement>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let answer_max = self.answer_max;
            let (connection, asked) = self.asks()?;
            asked.answered(timeout(answer_max, connection.prepare_with(sql, types)).await)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> Answer<'e, Describe<Postgres>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let answer_max = self.answer_max;
            let (connection, asked) = self.asks()?;
            asked.answered(timeout(answer_max, connection.describe(sql)).await)
        })
    }
}

impl Database {
    /// The rows of a statement. One whose plan a changed table has made useless was not executed,
    /// and is asked again over another connection.
    async fn rows<'q>(&self, query: impl Execute<'q, Postgres>) -> sqlx::Result<Vec<Row>> {
        self.rows_over(self.acquire().await?, query).await
    }

    /// The same over this connection; also asked again if that was lost while it was idle.
    async fn rows_over<'q>(
        &self,
        mut connection: Connection,
        mut query: impl Execute<'q, Postgres>,
    ) -> sqlx::Result<Vec<Row>> {
        let values = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let sql = query.sql();
        let again = (sql.clone(), values.clone());
        let is_untried = connection.is_untried;
        connection.answer_max = connection.next_answer_max();
        match connection.fetch_many((sql, values)).try_collect().await {
            Err(error) if is_stale_plan(&error) || is_untried && is_broken(&error) => {
                drop(connection);
                self.acquire().await?.fetch_many(again).try_collect().await
            }
            rows => rows,
        }
    }
}

/// See [`Database::by_key`].
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct ByKey<'a>(&'a Database);

impl ByKey<'_> {
    async fn rows<'q>(&self, query: impl Execute<'q, Postgres>) -> sqlx::Result<Vec<Row>> {
        self.0.rows_over(self.0.acquire_untested().await?, query).await
    }

    async fn acquire(&self) -> sqlx::Result<Connection> {
        self.0.acquire().await
    }
}

/// Each statement over any connection, in no transaction.
macro_rules! over_any_connection {
    ($database:ty) => {
        impl<'c> Executor<'c> for $database {
            type Database = Postgres;

            /// All rows are read before the first is returned.
            fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Answers<'e>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                let rows = stream::once(async move { self.rows(query).await });
                rows.map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten().boxed()
            }

            fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> Answer<'e, Option<PgRow>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                Box::pin(async move {
                    let rows = self.rows(query).await?;
                    Ok(rows.into_iter().find_map(Either::right))
                })
            }

            fn prepare_with<'e>(
                self,
                sql: SqlStr,
                types: &'e [PgTypeInfo],
            ) -> Answer<'e, PgStatement>
            where
                'c: 'e,
            {
                Box::pin(async move { self.acquire().await?.prepare_with(sql, types).await })
            }

            fn describe<'e>(self, sql: SqlStr) -> Answer<'e, Describe<Postgres>>
            where
                'c: 'e,
            {
                Box::pin(async move { self.acquire().await?.describe(sql).await })
            }
        }
    };
}

over_any_connection!(&'c Database);
over_any_connection!(ByKey<'c>);

type Row = Either<PgQueryResult, PgRow>;
type Answer<'e, T> = BoxFuture<'e, sqlx::Result<T>>;
type Answers<'e> = BoxStream<'e, sqlx::Result<Row>>;
