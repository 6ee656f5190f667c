//! Reads the messages that the cache of contents lacks.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_domain::inbox::MessageContent;
use bellpull_domain::notification::Message;
use bellpull_port::StoreError;
use bellpull_port::inbox::TEXTS_BYTES_MAX;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::PgExecutor;

use super::database::{Connection, Database};
use super::transaction::failed;
use crate::contents::{ContentCache, pick};
use crate::rows::message_columns;
use crate::rows::{Columns, int, message};

const OF_THESE: &str = concat!(
    "SELECT m.id AS message_id, ",
    message_columns!(),
    " FROM messages m WHERE m.id = ANY($1)"
);

/// In the order in which they are named, up to `$2` bytes of text and one at least. The server
/// sends all that it has found, so the limit is its own.
const FIRST: &str = concat!(
    "SELECT m.message_id, ",
    message_columns!(),
    " FROM (SELECT wanted.place, m.id AS message_id, m.*, \
     sum(octet_length(m.title) + octet_length(m.body) + octet_length(m.metadata) \
     + coalesce(octet_length(m.ticket), 0)) OVER (ORDER BY wanted.place \
     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before \
     FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (id, place) \
     JOIN messages m ON m.id = wanted.id) m \
     WHERE coalesce(bytes_before, 0) < $2 ORDER BY place"
);

/// The contents of these messages.
pub(super) async fn contents_of(
    cache: &ContentCache,
    reader: impl PgExecutor<'_>,
    message_ids: impl Iterator<Item = i64>,
) -> Result<HashMap<i64, Arc<MessageContent>>, StoreError> {
    let read = async |missing: Vec<i64>| {
        let rows = sqlx::query(OF_THESE).bind(missing).fetch_all(reader).await;
        rows.map_err(failed)?.iter().map(numbered).collect()
    };
    cache.of(message_ids, read).await
}

/// The content of one message that was committed before, for the writer.
pub(super) async fn content(
    cache: &ContentCache,
    connection: &mut Connection,
    message_id: i64,
) -> Result<Arc<MessageContent>, StoreError> {
    let found = contents_of(cache, connection, std::iter::once(message_id)).await?;
    pick(&found, message_id)
}

/// The contents of the first of these messages: see [`ContentCache::first`].
pub(super) async fn first_contents(
    cache: &ContentCache,
    readers: &Database,
    message_ids: &[i64],
) -> Result<Vec<Arc<MessageContent>>, StoreError> {
    let read = |missing: Vec<i64>| {
        let bytes_max = i64::try_from(TEXTS_BYTES_MAX).unwrap_or(i64::MAX);
        let rows = sqlx::query(FIRST).bind(missing).bind(bytes_max).fetch(readers);
        rows.map_err(failed).map(|row| numbered(&row?))
    };
    cache.first(message_ids, read).await
}

fn numbered(row: &impl Columns) -> Result<(i64, Message), StoreError> {
    Ok((int(row, "message_id")?, message(row)?))
}
