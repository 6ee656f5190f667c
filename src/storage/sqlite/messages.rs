//! Reads the messages that the cache of contents lacks.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_domain::inbox::MessageContent;
use bellpull_domain::notification::Message;
use bellpull_port::StoreError;
use futures_util::{StreamExt, TryStreamExt, stream};
use rusqlite::Connection;

use super::contents::ContentCache;
use super::error::{corrupt, unavailable};
use super::readers::Readers;
use super::rows::{Columns, int, message};
use super::statement::optional;
use crate::engine::{ReadRows, Statement, sql, values};
use crate::rows::message_columns;

/// Texts read by one read: enough for most replays.
const TOGETHER: usize = 64;

/// The contents of these messages.
pub(super) async fn contents_of(
    cache: &ContentCache,
    readers: &Arc<Readers>,
    message_ids: impl Iterator<Item = i64>,
) -> Result<HashMap<i64, Arc<MessageContent>>, StoreError> {
    cache.of(message_ids, |missing| portion(Arc::clone(readers), missing)).await
}

/// The contents of the first of these messages: see [`ContentCache::first`].
pub(super) async fn first_contents(
    cache: &ContentCache,
    readers: &Arc<Readers>,
    message_ids: &[i64],
) -> Result<Vec<Arc<MessageContent>>, StoreError> {
    let readers = Arc::clone(readers);
    let read = |missing: Vec<i64>| {
        let portions: Vec<Vec<i64>> = missing.chunks(TOGETHER).map(<[i64]>::to_vec).collect();
        let rows = stream::iter(portions).then(move |ids| portion(Arc::clone(&readers), ids));
        rows.map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten()
    };
    cache.first(message_ids, read).await
}

async fn portion(readers: Arc<Readers>, ids: Vec<i64>) -> Result<Vec<(i64, Message)>, StoreError> {
    readers.run(in_order(ids)).await
}

/// Reads messages in the order in which they are named: SQLite does not reorder a cross join.
fn in_order(ids: Vec<i64>) -> ReadRows<(i64, Message)> {
    let sql = sql!(
        "SELECT m.id AS message_id, ",
        message_columns!(),
        " FROM json_each($1) wanted CROSS JOIN messages m ON m.id = wanted.value"
    );
    ReadRows { statement: Statement::new(sql, values![ids]), decode: numbered }
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
    let sql = concat!(
        "SELECT m.id AS message_id, ",
        message_columns!(),
        " FROM messages m WHERE m.id = ?"
    );
    let found = optional(connection, sql, (message_id,), |row| Ok(numbered(row)));
    let found = found.map_err(unavailable)?.unwrap_or_else(|| Err(corrupt("message")));
    found.map(|(id, message)| cache.take_in(id, message))
}

fn numbered(row: &impl Columns) -> Result<(i64, Message), StoreError> {
    Ok((int(row, "message_id")?, message(row)?))
}
