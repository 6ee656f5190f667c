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
use serde::de::DeserializeOwned;

use super::SqliteStore;
use super::heads::head;
use super::messages::first_contents;
use super::rows::{Columns, int, json, text};
use super::writer::{Done, Write, mismatch};
use crate::engine::{Dialect, Reads, Row, Sql, sql, values};
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
        let sql = sql!(
            "SELECT w.value AS number, n.id, 1 AS is_entry FROM json_each($1) w \
             CROSS JOIN notifications n ON n.recipient_id = $2 AND n.seq = w.value UNION ALL \
             SELECT w.value, n.id, 0 FROM json_each($1) w CROSS JOIN notifications n \
             ON n.recipient_id = $2 AND n.changed_seq = w.value AND n.changed_seq <> n.seq"
        );
        let asked: Vec<i64> = numbers.iter().map(|number| number.0).collect();
        let mut held = self.rows(sql, values![asked, user], taken).await?;
        for entry in tail.complete(&mut Head::default()) {
            let (number, id) = (entry.seq, NotificationId(entry.id));
            let entry = Taken { number, id, is_entry: true };
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
        let values = values![user, after, limit];
        let found = self.row(newest_births(), values, found::<(i64, i64, i64, i64)>).await?;
        let Found { mut head, mut rows, mut total } = found.unwrap_or_default();
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
        first_contents(&self.contents, &self.short_reads, &ids).await
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
        let sql = sql!("SELECT acknowledged_seq FROM inboxes WHERE user_id = $1");
        let seq = |row: &Row| row.int("acknowledged_seq");
        Ok(self.row(sql, values![user], seq).await?.flatten().map(Seq))
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
macro_rules! select_found {
    ($rows:expr, $count:expr) => {
        sql!(
            "SELECT ifnull(i.last_seq, 0) AS last_seq, ifnull(i.unread_count, 0) AS unread_count, \
             ifnull(i.delivered_seq, 0) AS delivered_seq, \
             ifnull(i.forgotten_seq, 0) AS forgotten_seq, (",
            $rows,
            ") AS rows, ",
            $count,
            " AS total FROM (SELECT 1) LEFT JOIN inboxes i ON i.user_id = $1"
        )
    };
}

fn newest_births() -> &'static Sql {
    select_found!(
        "SELECT json_group_array(json_array(seq, id, message_id, read_at IS NOT NULL)) FROM \
         (SELECT seq, id, message_id, read_at FROM notifications WHERE recipient_id = $1 \
         AND seq > $2 AND deleted_at IS NULL ORDER BY seq DESC LIMIT $3)",
        "(SELECT count(*) FROM notifications \
         WHERE recipient_id = $1 AND seq > $2 AND deleted_at IS NULL)"
    )
}

/// The same for changes: entries after the position whose rows did not change since, and changed
/// rows from their own index. Both are read in index order and merged.
macro_rules! select_changes {
    ($count:expr, $order:literal) => {
        select_found!(
            concat!(
                "SELECT json_group_array(json_array(changed_seq, seq, id, message_id, \
                 read_at IS NOT NULL, deleted_at IS NOT NULL)) FROM (SELECT * FROM (\
                 SELECT seq AS changed_seq, seq, id, message_id, read_at, deleted_at \
                 FROM notifications \
                 WHERE recipient_id = $1 AND seq > $2 AND changed_seq = seq UNION ALL \
                 SELECT changed_seq, seq, id, message_id, read_at, deleted_at FROM notifications \
                 WHERE recipient_id = $1 AND changed_seq > $2 AND changed_seq <> seq) \
                 ORDER BY changed_seq ",
                $order,
                " LIMIT $3)"
            ),
            $count
        )
    };
}

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
        let values = values![user, after, limit];
        let found = self.row(which.sql(), values, found::<ChangedColumns>).await?;
        let Found { mut head, mut rows, mut total } = found.unwrap_or_default();
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
        let contents = first_contents(&self.contents, &self.short_reads, &messages).await?;
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

impl Which {
    fn sql(self) -> &'static Sql {
        match self {
            Self::Oldest => select_changes!("0", "ASC"),
            Self::Newest => select_changes!(
                "(SELECT count(*) FROM notifications WHERE recipient_id = $1 AND seq > $2 \
                 AND changed_seq = seq) + (SELECT count(*) FROM notifications \
                 WHERE recipient_id = $1 AND changed_seq > $2 AND changed_seq <> seq)",
                "DESC"
            ),
        }
    }
}

/// Leaves out the first of too many rows.
fn keep_newest<T>(rows: &mut Vec<T>, limit: u32) {
    let excess = rows.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    rows.drain(..excess);
}

/// What the statements above find.
#[derive(Debug)]
struct Found<T> {
    head: Head,
    rows: Vec<T>,
    total: i64,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { head: Head::default(), rows: Vec::new(), total: 0 }
    }
}

fn found<T: DeserializeOwned>(row: &Row) -> Result<Found<T>, StoreError> {
    Ok(Found { head: head(row)?, rows: json(text(row, "rows")?)?, total: int(row, "total")? })
}

fn taken(row: &Row) -> Result<Taken, StoreError> {
    Ok(Taken {
        number: Seq(int(row, "number")?),
        id: NotificationId(int(row, "id")?),
        is_entry: row.flag("is_entry")?,
    })
}
