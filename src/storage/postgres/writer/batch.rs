//! The rows of a group as one statement.
//!
//! A group changes up to fifteen tables while it holds the locks of its inboxes, and other nodes'
//! groups wait for these. One round trip instead of fifteen makes the wait short.

use sqlx::encode::Encode;
use sqlx::types::Type;
use sqlx::{Postgres, QueryBuilder};

use super::super::commit_marks::{self, CommitMark};
use super::super::database::Connection;
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

    /// Executes all of them.
    pub(super) async fn run(mut self, connection: &mut Connection) -> Result<(), Failure> {
        if self.parts == 0 {
            return Ok(());
        }
        self.builder.push(" SELECT");
        Ok(self.builder.build().execute(connection).await.map(drop)?)
    }

    /// The same, and with them what marks the transaction.
    pub(super) async fn execute(
        mut self,
        connection: &mut Connection,
        mark: &CommitMark,
    ) -> Result<(), Failure> {
        if self.parts == 0 {
            // Other statements of the group may have written something.
            return Ok(mark.raise(connection).await.map(drop)?);
        }
        let mut part = self.part(commit_marks::RAISE_PART);
        for value in mark.values() {
            part = part.bind(value);
        }
        drop(part);
        self.run(connection).await
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
