//! Where statements are run.

use std::sync::Arc;

use bellpull_port::StoreError;
use sqlx::postgres::PgArguments;
use sqlx::{AssertSqlSafe, Postgres};

use super::statement::Text;
use super::{Failure, OwnedRow, Row, Sql, SqlError, Statement, Value};
use crate::postgres::Connection;
use crate::postgres::Database;

/// A connection, within a transaction; or a pool of PostgreSQL's.
#[derive(Debug)]
pub(in super::super) enum Db<'a> {
    /// SQLite: nothing is waited for.
    Sqlite(&'a mut rusqlite::Connection),
    /// PostgreSQL.
    Postgres(&'a mut Connection),
    /// Any connection to PostgreSQL, for one short statement that reads: its answer tests the
    /// connection.
    Pool(&'a Database),
}

impl Db<'_> {
    /// All rows.
    pub(in super::super) async fn rows(
        &mut self,
        sql: &'static Sql,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Failure> {
        match self {
            Self::Sqlite(connection) => sqlite_rows(connection, sql.sqlite(), values),
            Self::Postgres(connection) => {
                let query = bound(sqlx::query(sql.postgres()), values);
                postgres_rows(query.fetch_all(&mut **connection).await)
            }
            Self::Pool(pool) => {
                let query = bound(sqlx::query(sql.postgres()), values);
                postgres_rows(query.fetch_all(pool.by_key()).await)
            }
        }
    }

    /// All rows of a statement that was put together.
    pub(in super::super) async fn rows_of(
        &mut self,
        statement: &Statement,
    ) -> Result<Vec<Row>, Failure> {
        let values = &statement.values;
        if let Text::Fixed(sql) = statement.text {
            return self.rows(sql, values).await;
        }
        // The values are bound.
        let text = || AssertSqlSafe(statement.postgres().to_owned());
        match self {
            Self::Sqlite(connection) => sqlite_rows(connection, statement.sqlite(), values),
            Self::Postgres(connection) => {
                let query = bound(sqlx::query(text()), values);
                postgres_rows(query.fetch_all(&mut **connection).await)
            }
            Self::Pool(pool) => {
                let query = bound(sqlx::query(text()), values);
                postgres_rows(query.fetch_all(pool.by_key()).await)
            }
        }
    }

    /// All rows, decoded.
    pub(in super::super) async fn all<T>(
        &mut self,
        sql: &'static Sql,
        values: &[Value<'_>],
        decode: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, Failure> {
        let rows = self.rows(sql, values).await?;
        Ok(rows.iter().map(decode).collect::<Result<_, _>>()?)
    }

    /// The only row, decoded, if there is one.
    pub(in super::super) async fn optional<T>(
        &mut self,
        sql: &'static Sql,
        values: &[Value<'_>],
        decode: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, Failure> {
        let rows = self.rows(sql, values).await?;
        Ok(rows.first().map(decode).transpose()?)
    }

    /// The integer in the only row's first column; `None` if there is no row, or it is NULL.
    pub(in super::super) async fn int(
        &mut self,
        sql: &'static Sql,
        values: &[Value<'_>],
    ) -> Result<Option<i64>, Failure> {
        let rows = self.rows(sql, values).await?;
        Ok(rows.first().map_or(Ok(None), Row::first)?)
    }

    /// The number in the only row's first column; 0 if it is NULL.
    pub(in super::super) async fn count(
        &mut self,
        sql: &'static Sql,
        values: &[Value<'_>],
    ) -> Result<i64, Failure> {
        Ok(self.int(sql, values).await?.unwrap_or_default())
    }

    /// Whether there is such a row.
    pub(in super::super) async fn exists(
        &mut self,
        sql: &'static Sql,
        values: &[Value<'_>],
    ) -> Result<bool, Failure> {
        Ok(!self.rows(sql, values).await?.is_empty())
    }

    /// Runs a statement without rows; returns how many rows it changed. One whose text is empty
    /// for this database is not run.
    pub(in super::super) async fn execute(
        &mut self,
        sql: &'static Sql,
        values: &[Value<'_>],
    ) -> Result<u64, Failure> {
        match self {
            Self::Sqlite(connection) => {
                if sql.sqlite().is_empty() {
                    return Ok(0);
                }
                let changed = execute(connection, sql.sqlite(), values);
                Ok(changed.map_err(SqlError::Sqlite)?)
            }
            Self::Postgres(connection) => {
                if sql.postgres().is_empty() {
                    return Ok(0);
                }
                let query = bound(sqlx::query(sql.postgres()), values);
                let done = query.execute(&mut **connection).await;
                Ok(done.map_err(SqlError::Postgres)?.rows_affected())
            }
            Self::Pool(_) => Err(Failure::Refused(crate::error::unavailable(
                "a statement that writes is outside a transaction",
            ))),
        }
    }
}

type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

fn bound<'q>(query: Query<'q>, values: &'q [Value<'_>]) -> Query<'q> {
    values.iter().fold(query, |query, value| value.bind_postgres(query))
}

fn postgres_rows(rows: sqlx::Result<Vec<sqlx::postgres::PgRow>>) -> Result<Vec<Row>, Failure> {
    Ok(rows.map_err(SqlError::Postgres)?.into_iter().map(Row::Postgres).collect())
}

fn sqlite_rows(
    connection: &rusqlite::Connection,
    sql: &str,
    values: &[Value<'_>],
) -> Result<Vec<Row>, Failure> {
    let rows = all(connection, sql, values).map_err(SqlError::Sqlite)?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

fn execute(
    connection: &rusqlite::Connection,
    sql: &str,
    values: &[Value<'_>],
) -> rusqlite::Result<u64> {
    connection.prepare_cached(sql)?.execute(rusqlite::params_from_iter(values))?;
    Ok(connection.changes())
}

/// To the last row: only then does SQLite report whether a write holds.
fn all(
    connection: &rusqlite::Connection,
    sql: &str,
    values: &[Value<'_>],
) -> rusqlite::Result<Vec<OwnedRow>> {
    let mut statement = connection.prepare_cached(sql)?;
    let names: Arc<[Box<str>]> = statement.column_names().into_iter().map(Box::from).collect();
    let read = |row: &rusqlite::Row<'_>| {
        let values = (0..names.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?;
        Ok(OwnedRow { names: Arc::clone(&names), values })
    };
    statement.query_map(rusqlite::params_from_iter(values), read)?.collect()
}
