//! One statement of the writer: prepared once for its connection, bound, and stepped to its end.
//!
//! To its end even for a single row: only then does SQLite report whether a write holds.

use rusqlite::{Connection, Params, Row};

/// Runs a statement without rows; returns how many rows it changed.
pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> rusqlite::Result<u64> {
    connection.prepare_cached(sql)?.execute(params)?;
    Ok(connection.changes())
}

/// All rows.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(params, read)?.collect()
}

/// The only row, if there is one.
pub(super) fn optional<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    all(connection, sql, params, read).map(|mut rows| rows.pop())
}

/// The only row.
pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    optional(connection, sql, params, read)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// The rows of each of these ids, for a statement with one parameter.
pub(super) fn each<T>(
    connection: &Connection,
    sql: &str,
    ids: impl Iterator<Item = i64>,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = Vec::new();
    for id in ids {
        for row in statement.query_map((id,), &mut read)? {
            found.push(row?);
        }
    }
    Ok(found)
}
