//! The rows of a group as one statement.
//!
//! A group changes up to fifteen tables while it holds the locks of its inboxes, and other nodes'
//! groups wait for these. One round trip instead of fifteen makes the wait short.

use sqlx::encode::Encode;
use sqlx::types::Type;
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::super::transaction::transaction_id;
use super::failure::Failure;

/// Statements that are executed as one. All of them see the rows from before: none may change a row
/// that another one inserts or changes.
pub(super) struct Batch {
    builder: QueryBuilder<Postgres>,
    parts: usize,
}

impl Batch {
    /// One without statements.
    pub(super) fn new() -> Self {
        Self { builder: QueryBuilder::new("WITH "), parts: 0 }
    }

    /// Adds a statement with a `?` for each value.
    pub(super) fn part(&mut self, sql: &'static str) -> Part<'_> {
        let comma = if self.parts == 0 { "" } else { ", " };
        self.builder.push(format_args!("{comma}part_{} AS (", self.parts));
        self.parts += 1;
        Part { builder: &mut self.builder, left: sql }
    }

    /// Executes all of them; returns the transaction's id, `None` if it has written nothing.
    pub(super) async fn execute(
        mut self,
        connection: &mut PgConnection,
    ) -> Result<Option<String>, Failure> {
        if self.parts == 0 {
            return Ok(transaction_id(connection).await?);
        }
        self.builder.push(" SELECT pg_current_xact_id()::text");
        Ok(self.builder.build_query_scalar().fetch_one(connection).await?)
    }
}

/// A statement whose values are still to be added; it is complete when this is dropped.
pub(super) struct Part<'b> {
    builder: &'b mut QueryBuilder<Postgres>,
    left: &'static str,
}

impl Part<'_> {
    /// Adds the next value.
    pub(super) fn bind<'v, T>(mut self, value: T) -> Self
    where
        T: Encode<'v, Postgres> + Type<Postgres>,
    {
        let (before, after) = self.left.split_once('?').unwrap_or((self.left, ""));
        self.builder.push(before).push_bind(value);
        self.left = after;
        self
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.builder.push(self.left).push(")");
    }
}
