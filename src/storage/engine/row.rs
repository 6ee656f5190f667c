//! Rows, whichever database they are of.

use std::sync::Arc;

use bellpull_port::StoreError;
use rusqlite::types::{FromSql, Value as SqliteValue};
use sqlx::postgres::PgRow;

use crate::error::{corrupt, unavailable};
use crate::rows::{Columns, get};

/// A row.
#[derive(Debug)]
pub(in super::super) enum Row {
    /// Of SQLite.
    Sqlite(OwnedRow),
    /// Of PostgreSQL.
    Postgres(PgRow),
}

/// A row that was copied out of its statement.
#[derive(Debug)]
pub(in super::super) struct OwnedRow {
    pub(super) names: Arc<[Box<str>]>,
    pub(super) values: Vec<SqliteValue>,
}

impl OwnedRow {
    fn at(&self, column: &str) -> Result<&SqliteValue, StoreError> {
        let at = self.names.iter().position(|name| **name == *column);
        at.and_then(|at| self.values.get(at)).ok_or_else(|| corrupt(column))
    }

    fn get<T: FromSql>(&self, column: &str) -> Result<T, StoreError> {
        T::column_result(self.at(column)?.into()).map_err(unavailable)
    }
}

impl Columns for OwnedRow {
    fn text(&self, column: &str) -> Result<Option<&str>, StoreError> {
        match self.at(column)? {
            SqliteValue::Null => Ok(None),
            SqliteValue::Text(text) => Ok(Some(text)),
            SqliteValue::Integer(_) | SqliteValue::Real(_) | SqliteValue::Blob(_) => {
                Err(corrupt(column))
            }
        }
    }

    fn int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        self.get(column)
    }

    fn flag(&self, column: &str) -> Result<bool, StoreError> {
        self.get(column)
    }
}

impl Columns for Row {
    fn text(&self, column: &str) -> Result<Option<&str>, StoreError> {
        match self {
            Self::Sqlite(row) => row.text(column),
            Self::Postgres(row) => row.text(column),
        }
    }

    fn int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        match self {
            Self::Sqlite(row) => row.int(column),
            Self::Postgres(row) => row.int(column),
        }
    }

    fn flag(&self, column: &str) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(row) => row.flag(column),
            Self::Postgres(row) => row.flag(column),
        }
    }
}

impl Row {
    /// A column's bytes.
    pub(in super::super) fn bytes(&self, column: &str) -> Result<Vec<u8>, StoreError> {
        match self {
            Self::Sqlite(row) => row.get(column),
            Self::Postgres(row) => get(row, column),
        }
    }

    /// The integer in the first column, which may be NULL.
    pub(super) fn first(&self) -> Result<Option<i64>, StoreError> {
        use sqlx::Row as _;
        match self {
            Self::Sqlite(row) => row.get(row.names.first().map_or("", |name| name)),
            Self::Postgres(row) => row.try_get(0).map_err(unavailable),
        }
    }
}
