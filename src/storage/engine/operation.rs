//! What is done within one transaction, a change or a read, and its answer.

use std::any::Any;
use std::fmt;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bellpull_port::{Page, StoreError};
use futures_util::future::BoxFuture;

use crate::rows::page_of;

use super::{Db, Failure, Row, Sql, Statement, Value};

/// A change or a read. Carried out again after a rollback, it has the same result.
pub(in super::super) trait Operation: Send + Sync + 'static {
    /// What its caller is told; of a change, once it is on the disk.
    type Answer: Send + 'static;

    /// Whether it changes what decides how users are notified: addresses, preferences, webhooks,
    /// positions of inboxes.
    fn changes_people(&self) -> bool {
        false
    }

    /// Whether no caller waits for it interactively.
    fn can_wait(&self) -> bool {
        false
    }

    /// Carries it out. What it wrote is rolled back if it fails.
    fn run(&self, db: &mut Db<'_>) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// A change by one statement; the answer is how many rows changed.
#[derive(Debug)]
pub(in super::super) struct Change {
    sql: &'static Sql,
    values: Vec<Value<'static>>,
    is_of_people: bool,
}

impl Change {
    pub(in super::super) fn new(sql: &'static Sql, values: &[Value<'_>]) -> Self {
        let values = values.iter().map(Value::to_static).collect();
        Self { sql, values, is_of_people: false }
    }

    /// The same, for one that [changes people](Operation::changes_people).
    pub(in super::super) fn of_people(self) -> Self {
        Self { is_of_people: true, ..self }
    }
}

impl Operation for Change {
    type Answer = u64;

    fn changes_people(&self) -> bool {
        self.is_of_people
    }

    async fn run(&self, db: &mut Db<'_>) -> Result<u64, Failure> {
        db.execute(self.sql, &self.values).await
    }
}

/// Reads rows.
pub(in super::super) struct ReadRows<T> {
    pub(in super::super) statement: Statement,
    pub(in super::super) decode: fn(&Row) -> Result<T, StoreError>,
}

impl<T: Send + 'static> Operation for ReadRows<T> {
    type Answer = Vec<T>;

    async fn run(&self, db: &mut Db<'_>) -> Result<Vec<T>, Failure> {
        let rows = db.rows_of(&self.statement).await?;
        Ok(rows.iter().map(self.decode).collect::<Result<_, _>>()?)
    }
}

/// Reads a page: how many rows there are in all, and some of them.
pub(in super::super) struct ReadPage<T> {
    pub(in super::super) count: Statement,
    pub(in super::super) rows: Statement,
    pub(in super::super) decode: fn(&Row) -> Result<T, StoreError>,
}

impl<T: Send + 'static> Operation for ReadPage<T> {
    type Answer = Page<T>;

    async fn run(&self, db: &mut Db<'_>) -> Result<Page<T>, Failure> {
        let count = db.rows_of(&self.count).await?;
        let count = count.first().map_or(Ok(None), Row::first)?.unwrap_or_default();
        let rows = db.rows_of(&self.rows).await?;
        Ok(Page { count, rows: rows.iter().map(self.decode).collect::<Result<_, _>>()? })
    }
}

/// An operation with any answer, for a queue.
pub(in super::super) trait AnyOperation: Send + Sync {
    /// Its type's name, for the log.
    fn name(&self) -> &'static str;

    /// See [`Operation::changes_people`].
    fn changes_people(&self) -> bool;

    /// See [`Operation::can_wait`].
    fn can_wait(&self) -> bool;

    /// Carries it out; the answer is for [`take`].
    fn run_any<'a>(
        &'a self,
        db: &'a mut Db<'_>,
    ) -> BoxFuture<'a, Result<Box<dyn Any + Send>, Failure>>;
}

impl<O: Operation> AnyOperation for O {
    fn name(&self) -> &'static str {
        std::any::type_name::<O>()
    }

    fn changes_people(&self) -> bool {
        Operation::changes_people(self)
    }

    fn can_wait(&self) -> bool {
        Operation::can_wait(self)
    }

    fn run_any<'a>(
        &'a self,
        db: &'a mut Db<'_>,
    ) -> BoxFuture<'a, Result<Box<dyn Any + Send>, Failure>> {
        Box::pin(async move {
            let answer: Box<dyn Any + Send> = Box::new(self.run(db).await?);
            Ok(answer)
        })
    }
}

/// Reads a page by one statement: see [`page_of`].
pub(in super::super) struct ReadWhole<T> {
    pub(in super::super) statement: Statement,
    /// The column that is NULL on a page without rows.
    pub(in super::super) present: &'static str,
    pub(in super::super) decode: fn(&Row) -> Result<T, StoreError>,
}

impl<T: Send + 'static> Operation for ReadWhole<T> {
    type Answer = Page<T>;

    async fn run(&self, db: &mut Db<'_>) -> Result<Page<T>, Failure> {
        let rows = db.rows_of(&self.statement).await?;
        Ok(page_of(&rows, self.present, self.decode)?)
    }
}

impl fmt::Debug for dyn AnyOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The answer to an operation of this type.
pub(in super::super) fn take<O: Operation>(
    answer: Box<dyn Any + Send>,
) -> Result<O::Answer, StoreError> {
    answer.downcast().map(|answer| *answer).map_err(|_| mismatch())
}

/// What became of a future whose statements SQLite's writer runs at once.
pub(in super::super) fn written<T>(
    run: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match pin!(run).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => Err(mismatch().into()),
    }
}

/// The writer's answer does not match the request: a bug in this module.
fn mismatch() -> StoreError {
    tracing::error!("the writer gave an answer to another question");
    StoreError::Unavailable("the writer gave an answer to another question".to_owned())
}
