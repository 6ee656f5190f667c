//! Reads the messages that the cache of contents lacks.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_domain::inbox::MessageContent;
use bellpull_domain::notification::Message;
use bellpull_port::StoreError;
use futures_util::{StreamExt, TryStreamExt};
use rusqlite::Connection;
use sqlx::SqlitePool;

use super::contents::ContentCache;
use super::error::{corrupt, unavailable};
use super::multi_row::id_list;
use super::rows::{Columns, int, message};
use super::statement::optional;
use crate::rows::message_columns;

/// Messages of these ids, each with its id.
macro_rules! select_messages {
    ($which:literal) => {
        concat!(
            "SELECT m.id AS message_id, ",
            message_columns!(),
            " FROM messages m WHERE ",
            $which
        )
    };
}
/// In the order in which they are named: SQLite does not reorder a cross join.
const IN_ORDER: &str = concat!(
    "SELECT m.id AS message_id, ",
    message_columns!(),
    " FROM json_each(?) wanted CROSS JOIN messages m ON m.id = wanted.value"
);

/// The contents of these messages.
pub(super) async fn contents_of(
    cache: &ContentCache,
    readers: &SqlitePool,
    message_ids: impl Iterator<Item = i64>,
) -> Result<HashMap<i64, Arc<MessageContent>>, StoreError> {
    let read = async |missing: Vec<i64>| {
        let sql = select_messages!("m.id IN (SELECT value FROM json_each(?))");
        let rows = sqlx::query(sql).bind(id_list(missing)).fetch_all(readers).await;
        rows.map_err(unavailable)?.iter().map(numbered).collect()
    };
    cache.of(message_ids, read).await
}

/// The contents of the first of these messages: see [`ContentCache::first`].
pub(super) async fn first_contents(
    cache: &ContentCache,
    readers: &SqlitePool,
    message_ids: &[i64],
) -> Result<Vec<Arc<MessageContent>>, StoreError> {
    let read = |missing: Vec<i64>| {
        let rows = sqlx::query(IN_ORDER).bind(id_list(missing)).fetch(readers);
        rows.map_err(unavailable).map(|row| numbered(&row?))
    };
    cache.first(message_ids, read).await
}

/// The content of one message that was committed before, for the writer.
pub(super) fn content(
    cache: &ContentCache,
    connection: &Connection,
    message_id: i64,
) -> Result<Arc<MessageContent>, StoreError> {
    if let Some(content) = cache.recent(message_id) {
        return Ok(content);
    }
    let sql = select_messages!("m.id = ?");
    let found = optional(connection, sql, (message_id,), |row| Ok(numbered(row)));
    let found = found.map_err(unavailable)?.unwrap_or_else(|| Err(corrupt("message")));
    found.map(|(id, message)| cache.take_in(id, message))
}

fn numbered(row: &impl Columns) -> Result<(i64, Message), StoreError> {
    Ok((int(row, "message_id")?, message(row)?))
}
