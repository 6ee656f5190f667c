//! A cache of message contents by message id: a text that many recipients replay is read, parsed
//! and encoded once.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use bellpull_domain::inbox::MessageContent;
use bellpull_domain::notification::Message;
use bellpull_port::StoreError;
use bellpull_port::inbox::TEXTS_BYTES_MAX;
use futures_util::{Stream, TryStreamExt};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::error::corrupt;

/// About how many contents are cached, at 1 to 4 KiB each with one encoding.
const KEPT: usize = 4 * 1024;

/// Their total memory: one content may take 60 KiB.
const KEPT_BYTES: u64 = 8 << 20;

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

    /// The content of a message, if it is cached.
    pub(super) fn recent(&self, message_id: i64) -> Option<Arc<MessageContent>> {
        self.recent.get(&message_id)
    }

    /// Caches a message that was read.
    pub(super) fn take_in(&self, message_id: i64, message: Message) -> Arc<MessageContent> {
        let content = MessageContent::new(message);
        self.keep(message_id, &content);
        content
    }

    /// The contents of these messages; `read` reads those that are not cached. Messages never
    /// change, so they may be read after the rows that name them.
    pub(super) async fn of<F>(
        &self,
        message_ids: impl Iterator<Item = i64>,
        read: impl FnOnce(Vec<i64>) -> F,
    ) -> Result<HashMap<i64, Arc<MessageContent>>, StoreError>
    where
        F: Future<Output = Result<Vec<(i64, Message)>, StoreError>>,
    {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for id in message_ids {
            match found.get(&id).cloned().or_else(|| self.recent.get(&id)) {
                Some(content) => drop(found.insert(id, content)),
                None => missing.push(id),
            }
        }
        if !missing.is_empty() {
            for (id, message) in read(missing).await? {
                found.insert(id, self.take_in(id, message));
            }
        }
        Ok(found)
    }

    /// The contents of the first of these messages, in their order: at least one, and up to
    /// [`TEXTS_BYTES_MAX`] in all. `read` streams those that are not cached in the order in which
    /// they are named; no more than needed is read.
    pub(super) async fn first<S>(
        &self,
        message_ids: &[i64],
        read: impl FnOnce(Vec<i64>) -> S,
    ) -> Result<Vec<Arc<MessageContent>>, StoreError>
    where
        S: Stream<Item = Result<(i64, Message), StoreError>>,
    {
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
            let (mut rows, mut bytes) = (pin!(read(missing)), 0);
            while bytes < TEXTS_BYTES_MAX
                && let Some((id, message)) = rows.try_next().await?
            {
                let content = self.take_in(id, message);
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
}

/// The content of that message among those that were found.
pub(super) fn pick(
    contents: &HashMap<i64, Arc<MessageContent>>,
    message_id: i64,
) -> Result<Arc<MessageContent>, StoreError> {
    contents.get(&message_id).cloned().ok_or_else(|| corrupt("message"))
}
