//! A cache of message contents by message id: a text that many recipients replay is read, parsed
//! and encoded once.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_actors::domain::inbox::MessageContent;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::inbox::TEXTS_BYTES_MAX;
use futures_util::TryStreamExt;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rusqlite::Connection;
use sqlx::SqlitePool;

use super::error::{corrupt, unavailable};
use super::multi_row::id_list;
use super::rows::{Columns, message, message_columns};
use super::statement::optional;

/// About how many contents are cached, at 1 to 4 KiB each with one encoding.
const KEPT: usize = 4 * 1024;

/// Their total memory: one content may take 60 KiB.
const KEPT_BYTES: u64 = 8 << 20;

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

/// The contents that were used last.
#[derive(Debug)]
pub(super) struct ContentCache {
    recent: Cache<i64, Arc<MessageContent>, Bytes>,
}

/// Weighs contents by their memory.
#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<i64, Arc<MessageContent>> for Bytes {
    fn weight(&self, _: &i64, content: &Arc<MessageContent>) -> u64 {
        u64::try_from(content.bytes()).unwrap_or(u64::MAX)
    }
}

impl ContentCache {
    /// An empty cache.
    pub(super) fn new() -> Self {
        Self { recent: Cache::with_weighter(KEPT, KEPT_BYTES, Bytes) }
    }

    /// Caches a content that has just been written, so that every replay shares its encodings.
    pub(super) fn keep(&self, message_id: i64, content: &Arc<MessageContent>) {
        self.recent.insert(message_id, Arc::clone(content));
    }

    /// The contents of these messages. Messages never change, so they may be read after the rows
    /// that name them.
    pub(super) async fn of(
        &self,
        readers: &SqlitePool,
        message_ids: impl Iterator<Item = i64>,
    ) -> Result<HashMap<i64, Arc<MessageContent>>, StoreError> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for id in message_ids {
            match found.get(&id).cloned().or_else(|| self.recent.get(&id)) {
                Some(content) => drop(found.insert(id, content)),
                None => missing.push(id),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let sql = select_messages!("m.id IN (SELECT value FROM json_each(?))");
        let rows = sqlx::query(sql).bind(id_list(missing)).fetch_all(readers).await;
        for row in rows.map_err(unavailable)? {
            let (id, content) = self.take_in(&row)?;
            found.insert(id, content);
        }
        Ok(found)
    }

    /// The contents of the first of these messages, in their order: at least one, and up to
    /// [`TEXTS_BYTES_MAX`] in all. No more than that is read.
    pub(super) async fn first(
        &self,
        readers: &SqlitePool,
        message_ids: &[i64],
    ) -> Result<Vec<Arc<MessageContent>>, StoreError> {
        let mut known: HashMap<i64, Arc<MessageContent>> =
            HashMap::with_capacity(message_ids.len());
        let mut missing = Vec::new();
        for id in message_ids {
            match self.recent.get(id) {
                Some(content) => drop(known.insert(*id, content)),
                None => missing.push(*id),
            }
        }
        if !missing.is_empty() {
            let query = sqlx::query(IN_ORDER).bind(id_list(missing));
            let (mut rows, mut bytes) = (query.fetch(readers), 0);
            while bytes < TEXTS_BYTES_MAX
                && let Some(row) = rows.try_next().await.map_err(unavailable)?
            {
                let (id, content) = self.take_in(&row)?;
                bytes += content.bytes();
                known.insert(id, content);
            }
        }
        let (mut contents, mut bytes) = (Vec::with_capacity(message_ids.len()), 0);
        for content in message_ids.iter().map_while(|id| known.get(id)) {
            contents.push(Arc::clone(content));
            bytes += content.bytes();
            if bytes >= TEXTS_BYTES_MAX {
                break;
            }
        }
        // Every row has a message.
        if contents.is_empty() && !message_ids.is_empty() {
            return Err(corrupt("message"));
        }
        Ok(contents)
    }

    /// The content of one message that was committed before, for the writer.
    pub(super) fn one(
        &self,
        connection: &Connection,
        message_id: i64,
    ) -> Result<Arc<MessageContent>, StoreError> {
        if let Some(content) = self.recent.get(&message_id) {
            return Ok(content);
        }
        let sql = select_messages!("m.id = ?");
        let found = optional(connection, sql, (message_id,), |row| Ok(self.take_in(row)));
        let found = found.map_err(unavailable)?.unwrap_or_else(|| Err(corrupt("message")));
        found.map(|(_, content)| content)
    }

    fn take_in(&self, row: &impl Columns) -> Result<(i64, Arc<MessageContent>), StoreError> {
        let id = row.int("message_id")?.ok_or_else(|| corrupt("message_id"))?;
        let content = MessageContent::new(message(row)?);
        self.keep(id, &content);
        Ok((id, content))
    }
}

/// The content of that message among those that were found.
pub(super) fn pick(
    contents: &HashMap<i64, Arc<MessageContent>>,
    message_id: i64,
) -> Result<Arc<MessageContent>, StoreError> {
    contents.get(&message_id).cloned().ok_or_else(|| corrupt("message"))
}
