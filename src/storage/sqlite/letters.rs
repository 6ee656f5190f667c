//! Letters by the id of their message: a text that many recipients replay is read, parsed and
//! encoded once.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_actors::domain::inbox::Letter;
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

/// About how many letters are kept, at 1 to 4 KiB each with one encoding.
const KEPT: usize = 4 * 1024;

/// What they may take together: a letter may have 60 KiB.
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
/// In the order in which they are named: a cross join is not reordered.
const IN_ORDER: &str = concat!(
    "SELECT m.id AS message_id, ",
    message_columns!(),
    " FROM json_each(?) wanted CROSS JOIN messages m ON m.id = wanted.value"
);

/// The letters that were used last.
#[derive(Debug)]
pub(super) struct Letters {
    recent: Cache<i64, Arc<Letter>, Bytes>,
}

/// Weighs letters by their memory.
#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<i64, Arc<Letter>> for Bytes {
    fn weight(&self, _: &i64, letter: &Arc<Letter>) -> u64 {
        u64::try_from(letter.bytes()).unwrap_or(u64::MAX)
    }
}

impl Letters {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { recent: Cache::with_weighter(KEPT, KEPT_BYTES, Bytes) }
    }

    /// A letter that has just been written: whoever replays it shares its encodings.
    pub(super) fn keep(&self, message_id: i64, letter: &Arc<Letter>) {
        self.recent.insert(message_id, Arc::clone(letter));
    }

    /// The letters of these messages. Messages never change, so that they may be read after the
    /// rows that name them.
    pub(super) async fn of(
        &self,
        readers: &SqlitePool,
        message_ids: impl Iterator<Item = i64>,
    ) -> Result<HashMap<i64, Arc<Letter>>, StoreError> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for id in message_ids {
            match found.get(&id).cloned().or_else(|| self.recent.get(&id)) {
                Some(letter) => drop(found.insert(id, letter)),
                None => missing.push(id),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let sql = select_messages!("m.id IN (SELECT value FROM json_each(?))");
        let rows = sqlx::query(sql).bind(id_list(missing)).fetch_all(readers).await;
        for row in rows.map_err(unavailable)? {
            let (id, letter) = self.take_in(&row)?;
            found.insert(id, letter);
        }
        Ok(found)
    }

    /// The letters of the first of these messages, in their order, up to [`TEXTS_BYTES_MAX`]
    /// together, and one at least: no more than that is read.
    pub(super) async fn first(
        &self,
        readers: &SqlitePool,
        message_ids: &[i64],
    ) -> Result<Vec<Arc<Letter>>, StoreError> {
        let mut known: HashMap<i64, Arc<Letter>> = HashMap::with_capacity(message_ids.len());
        let mut missing = Vec::new();
        for id in message_ids {
            match self.recent.get(id) {
                Some(letter) => drop(known.insert(*id, letter)),
                None => missing.push(*id),
            }
        }
        if !missing.is_empty() {
            let query = sqlx::query(IN_ORDER).bind(id_list(missing));
            let (mut rows, mut bytes) = (query.fetch(readers), 0);
            while bytes < TEXTS_BYTES_MAX
                && let Some(row) = rows.try_next().await.map_err(unavailable)?
            {
                let (id, letter) = self.take_in(&row)?;
                bytes += letter.bytes();
                known.insert(id, letter);
            }
        }
        let (mut letters, mut bytes) = (Vec::with_capacity(message_ids.len()), 0);
        for letter in message_ids.iter().map_while(|id| known.get(id)) {
            letters.push(Arc::clone(letter));
            bytes += letter.bytes();
            if bytes >= TEXTS_BYTES_MAX {
                break;
            }
        }
        // Of each row there is a message.
        if letters.is_empty() && !message_ids.is_empty() {
            return Err(corrupt("message"));
        }
        Ok(letters)
    }

    /// The letter of one message that was committed before, for the writer.
    pub(super) fn one(
        &self,
        connection: &Connection,
        message_id: i64,
    ) -> Result<Arc<Letter>, StoreError> {
        if let Some(letter) = self.recent.get(&message_id) {
            return Ok(letter);
        }
        let sql = select_messages!("m.id = ?");
        let found = optional(connection, sql, (message_id,), |row| Ok(self.take_in(row)));
        let found = found.map_err(unavailable)?.unwrap_or_else(|| Err(corrupt("message")));
        found.map(|(_, letter)| letter)
    }

    fn take_in(&self, row: &impl Columns) -> Result<(i64, Arc<Letter>), StoreError> {
        let id = row.int("message_id")?.ok_or_else(|| corrupt("message_id"))?;
        let letter = Letter::new(message(row)?);
        self.keep(id, &letter);
        Ok((id, letter))
    }
}

/// The letter of that message among those that were found.
pub(super) fn pick(
    letters: &HashMap<i64, Arc<Letter>>,
    message_id: i64,
) -> Result<Arc<Letter>, StoreError> {
    letters.get(&message_id).cloned().ok_or_else(|| corrupt("message"))
}
