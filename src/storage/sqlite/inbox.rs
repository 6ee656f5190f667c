//! Inboxes as user actors read them: heads, entries, marks.

use std::sync::Arc;

use async_trait::async_trait;
use bellpull_domain::ids::{MessageId, NotificationId, Seq, UserId};
use bellpull_domain::inbox::{Entry, Head, MessageContent, Outline, Reached, Row as Changed};
use bellpull_domain::notification::Notification;
use bellpull_domain::plan::marks::MarkedPortion;
use bellpull_domain::routing::Channel;
use bellpull_port::inbox::{Backlog, ChangedRows, MarkPortion, NotificationFilter, Taken};
use bellpull_port::{InboxStore, Page, Slice, StoreError};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::error::unavailable;
use super::messages::first_contents;
use super::multi_row::id_list;
use super::rows::json;
use super::writer::{Done, Write, mismatch};
use crate::engine::{Dialect, Reads};
use crate::narrow::is_short;
use crate::ports::notifications::{self, CountUnread};

/// Unread rows whose deliveries are counted on a connection for short reads: some 5 ms of work.
const UNREAD_SHORT: i64 = 5_000;

#[async_trait]
impl InboxStore for SqliteStore {
    async fn head(&self, user: UserId) -> Result<Head, StoreError> {
        Ok(self.heads.of(user).await?.unwrap_or_default())
    }

    async fn holders(&self, user: UserId, numbers: &[Seq]) -> Result<Vec<Taken>, StoreError> {
        let tail = self.deferred.tail(user);
        let sql = "SELECT w.value, n.id, 1 FROM json_each(?1) w CROSS JOIN notifications n \
                   ON n.recipient_id = ?2 AND n.seq = w.value UNION ALL \
                   SELECT w.value, n.id, 0 FROM json_each(?1) w CROSS JOIN notifications n \
                   ON n.recipient_id = ?2 AND n.changed_seq = w.value AND n.changed_seq <> n.seq";
        let asked = id_list(numbers.iter().map(|number| number.0));
        let query = sqlx::query_as(sql).bind(asked).bind(user.0);
        let rows: Vec<(i64, i64, bool)> =
            query.fetch_all(&self.readers).await.map_err(unavailable)?;
        let taken = |(number, id, is_entry)| Taken {
            number: Seq(number),
            id: NotificationId(id),
            is_entry,
        };
        let mut held: Vec<Taken> = rows.into_iter().map(taken).collect();
        for entry in tail.complete(&mut Head::default()) {
            let entry = taken((entry.seq.0, entry.id, true));
            if numbers.contains(&entry.number) && !held.contains(&entry) {
                held.push(entry);
            }
        }
        Ok(held)
    }

    async fn newest_entries(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<Backlog, StoreError> {
        let tail = self.deferred.tail(user);
        let query = sqlx::query(NEWEST_BIRTHS).bind(user.0).bind(after.0).bind(i64::from(limit));
        let row = query.fetch_one(&self.readers).await.map_err(unavailable)?;
        let mut head = head_of(&row)?;
        let rows: &str = row.try_get(4).map_err(unavailable)?;
        let mut rows: Vec<(i64, i64, i64, i64)> = json(rows)?;
        let mut total: i64 = row.try_get(5).map_err(unavailable)?;
        for entry in tail.complete(&mut head).into_iter().filter(|entry| entry.seq > after) {
            rows.push((entry.seq.0, entry.id, entry.message, 0));
            total += 1;
        }
        rows.sort_unstable();
        keep_newest(&mut rows, limit);
        let returned = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let outline = |(seq, id, message, is_read)| outline((seq, seq, id, message, is_read, 0));
        let rows = rows.into_iter().map(outline).collect();
        let (rows, rest) = self.with_texts(rows).await?;
        let entries = rows.into_iter().map(|row| row.entry).collect();
        Ok(Backlog { head, skipped: (total - returned).max(0), entries, rest })
    }

    async fn changes(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<ChangedRows, StoreError> {
        let changed = self.read_changes(Which::Oldest, user, after, limit).await?;
        Ok(ChangedRows { skipped: 0, ..changed })
    }

    async fn texts(&self, messages: &[MessageId]) -> Result<Vec<Arc<MessageContent>>, StoreError> {
        let ids: Vec<i64> = messages.iter().map(|id| id.0).collect();
        first_contents(&self.contents, &self.readers, &ids).await
    }

    async fn newest_changes(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<ChangedRows, StoreError> {
        self.read_changes(Which::Newest, user, after, limit).await
    }

    async fn mark_portion(&self, portion: MarkPortion) -> Result<MarkedPortion, StoreError> {
        let Done::Marked(marked) = self.writer.write(Write::Mark(Box::new(portion))).await? else {
            return Err(mismatch());
        };
        Ok(marked)
    }

    async fn save_reached(&self, positions: &[(UserId, Reached)]) -> Result<(), StoreError> {
        if positions.is_empty() {
            return Ok(());
        }
        self.writer.write(Write::SaveReached(positions.to_vec())).await.map(drop)
    }

    async fn acknowledged(&self, user: UserId) -> Result<Option<Seq>, StoreError> {
        let sql = "SELECT acknowledged_seq FROM inboxes WHERE user_id = ?";
        let found = sqlx::query_scalar(sql).bind(user.0).fetch_optional(&self.readers).await;
        Ok(found.map_err(unavailable)?.flatten().map(Seq))
    }

    async fn notifications(
        &self,
        user: UserId,
        filter: &NotificationFilter,
        slice: Slice,
    ) -> Result<Page<Notification>, StoreError> {
        self.barrier.inbox(user).await?;
        let read = notifications::list(user, filter, slice);
        let last_seq = self.heads.of(user).await?.unwrap_or_default().last_seq;
        if is_short(last_seq, filter) {
            return self.read_one(read).await;
        }
        let busy = |_| StoreError::Busy;
        let _turn = self.long_inboxes.begin(&user).await.map_err(busy)?;
        self.read(Reads::Lists, read).await
    }

    async fn notification(
        &self,
        user: UserId,
        id: NotificationId,
    ) -> Result<Option<Notification>, StoreError> {
        self.barrier.inbox(user).await?;
        Ok(self.read_one(notifications::one(user, id)).await?.pop())
    }

    async fn unread_counts(&self, user: UserId) -> Result<(i64, Vec<(Channel, i64)>), StoreError> {
        let tail = self.deferred.tail(user);
        let short = self.read_one(CountUnread { user, most: UNREAD_SHORT }).await?;
        let (mut head, channels) = match short {
            Some(counts) => counts,
            None => self.many_unread(user).await?,
        };
        // Deferred entries have no external deliveries.
        tail.complete(&mut head);
        Ok((head.unread_count, channels))
    }
}

/// One statement is one snapshot: the head, the rows as one JSON text (parsing it is cheaper than
/// one result row each), and the total number of entries.
const NEWEST_BIRTHS: &str = "SELECT ifnull(i.last_seq, 0), ifnull(i.unread_count, 0), \
    ifnull(i.delivered_seq, 0), ifnull(i.forgotten_seq, 0), \
    (SELECT json_group_array(json_array(seq, id, message_id, read_at IS NOT NULL)) FROM \
    (SELECT seq, id, message_id, read_at FROM notifications WHERE recipient_id = ?1 \
    AND seq > ?2 AND deleted_at IS NULL ORDER BY seq DESC LIMIT ?3)), \
    (SELECT count(*) FROM notifications \
    WHERE recipient_id = ?1 AND seq > ?2 AND deleted_at IS NULL) \
    FROM (SELECT 1) LEFT JOIN inboxes i ON i.user_id = ?1";

/// The same for changes: entries after the position whose rows did not change since, and changed
/// rows from their own index. Both are read in index order and merged.
macro_rules! select_changes {
    ($count:expr, $order:literal) => {
        concat!(
            "SELECT ifnull(i.last_seq, 0), ifnull(i.unread_count, 0), ifnull(i.delivered_seq, 0), \
             ifnull(i.forgotten_seq, 0), \
             (SELECT json_group_array(json_array(changed_seq, seq, id, message_id, \
             read_at IS NOT NULL, deleted_at IS NOT NULL)) FROM (SELECT * FROM (\
             SELECT seq AS changed_seq, seq, id, message_id, read_at, deleted_at \
             FROM notifications \
             WHERE recipient_id = ?1 AND seq > ?2 AND changed_seq = seq UNION ALL \
             SELECT changed_seq, seq, id, message_id, read_at, deleted_at FROM notifications \
             WHERE recipient_id = ?1 AND changed_seq > ?2 AND changed_seq <> seq) \
             ORDER BY changed_seq ",
            $order,
            " LIMIT ?3)), ",
            $count,
            " FROM (SELECT 1) LEFT JOIN inboxes i ON i.user_id = ?1"
        )
    };
}

const OLDEST_CHANGES: &str = select_changes!("0", "ASC");
const NEWEST_CHANGES: &str = select_changes!(
    "(SELECT count(*) FROM notifications WHERE recipient_id = ?1 AND seq > ?2 \
     AND changed_seq = seq) + (SELECT count(*) FROM notifications \
     WHERE recipient_id = ?1 AND changed_seq > ?2 AND changed_seq <> seq)",
    "DESC"
);

impl SqliteStore {
    async fn many_unread(&self, user: UserId) -> Result<(Head, Vec<(Channel, i64)>), StoreError> {
        let busy = |_| StoreError::Busy;
        let _turn = self.long_inboxes.begin(&user).await.map_err(busy)?;
        let counts = self.read(Reads::Lists, CountUnread { user, most: i64::MAX }).await?;
        Ok(counts.unwrap_or_default())
    }

    async fn read_changes(
        &self,
        which: Which,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<ChangedRows, StoreError> {
        let tail = self.deferred.tail(user);
        let sql = match which {
            Which::Oldest => OLDEST_CHANGES,
            Which::Newest => NEWEST_CHANGES,
        };
        let query = sqlx::query(sql).bind(user.0).bind(after.0).bind(i64::from(limit));
        let row = query.fetch_one(&self.readers).await.map_err(unavailable)?;
        let mut head = head_of(&row)?;
        let rows: &str = row.try_get(4).map_err(unavailable)?;
        let mut rows: Vec<ChangedColumns> = json(rows)?;
        let mut total: i64 = row.try_get(5).map_err(unavailable)?;
        for entry in tail.complete(&mut head).into_iter().filter(|entry| entry.seq > after) {
            rows.push((entry.seq.0, entry.seq.0, entry.id, entry.message, 0, 0));
            total += 1;
        }
        rows.sort_unstable();
        match which {
            Which::Oldest => rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX)),
            Which::Newest => keep_newest(&mut rows, limit),
        }
        let returned = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let (rows, rest) = self.with_texts(rows.into_iter().map(outline).collect()).await?;
        Ok(ChangedRows { head, skipped: (total - returned).max(0), rows, rest })
    }

    /// The first of these rows with their texts, and the others.
    async fn with_texts(
        &self,
        mut outlines: Vec<Outline>,
    ) -> Result<(Vec<Changed>, Vec<Outline>), StoreError> {
        let messages: Vec<i64> = outlines.iter().map(|outline| outline.message.0).collect();
        let contents = first_contents(&self.contents, &self.readers, &messages).await?;
        let rest = outlines.split_off(contents.len());
        let with_text = |(outline, message): (Outline, Arc<MessageContent>)| {
            let Outline { id, seq, changed_seq, is_read, is_deleted, .. } = outline;
            Changed { entry: Entry { id, seq, is_read, message }, changed_seq, is_deleted }
        };
        Ok((outlines.into_iter().zip(contents).map(with_text).collect(), rest))
    }
}

/// A row of the statements above: its last change, its entry number, its id, its message, and
/// whether it is read and deleted.
fn outline((changed_seq, seq, id, message, is_read, is_deleted): ChangedColumns) -> Outline {
    Outline {
        id: NotificationId(id),
        seq: Seq(seq),
        changed_seq: Seq(changed_seq),
        is_read: is_read != 0,
        is_deleted: is_deleted != 0,
        message: MessageId(message),
    }
}

type ChangedColumns = (i64, i64, i64, i64, i64, i64);

/// Which of too many rows are read.
#[derive(Debug, Clone, Copy)]
enum Which {
    Oldest,
    Newest,
}

/// Leaves out the first of too many rows.
fn keep_newest<T>(rows: &mut Vec<T>, limit: u32) {
    let excess = rows.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    rows.drain(..excess);
}

/// The inbox' state, from a query's first four columns.
fn head_of(row: &SqliteRow) -> Result<Head, StoreError> {
    let number = |column: usize| row.try_get::<i64, _>(column).map_err(unavailable);
    Ok(Head {
        last_seq: Seq(number(0)?),
        unread_count: number(1)?,
        delivered_seq: Seq(number(2)?),
        forgotten_seq: Seq(number(3)?),
    }
    .mended())
}
