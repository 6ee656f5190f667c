//! Inboxes as user actors read them: heads, entries, marks.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bellpull_domain::ids::{MessageId, NotificationId, Seq, UserId};
use bellpull_domain::inbox::{Entry, Head, MessageContent, Outline, Reached, Row as Changed};
use bellpull_domain::notification::Notification;
use bellpull_domain::plan::marks::MarkedPortion;
use bellpull_domain::routing::Channel;
use bellpull_port::inbox::{Backlog, ChangedRows, MarkPortion, NotificationFilter, Taken};
use bellpull_port::{InboxStore, Page, Slice, StoreError};
use futures_util::future::try_join_all;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::database::Database;
use super::messages::first_contents;
use super::transaction::failed;
use super::writer::{Done, Write, mismatch};
use crate::engine::{Dialect, Reads};
use crate::narrow::is_short;
use crate::ports::notifications::{self, CountUnread};

/// Unread rows whose deliveries are counted outside of the slow reads.
const UNREAD_SHORT: i64 = 1_000;

#[async_trait]
impl InboxStore for PostgresStore {
    async fn head(&self, user: UserId) -> Result<Head, StoreError> {
        Ok(self.heads.of(user).await?.unwrap_or_default())
    }

    async fn holders(&self, user: UserId, numbers: &[Seq]) -> Result<Vec<Taken>, StoreError> {
        let all = numbers.iter().map(|number| self.holders.of((user, *number)));
        Ok(try_join_all(all).await?.into_iter().flatten().collect())
    }

    async fn newest_entries(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<Backlog, StoreError> {
        let found = self.rows_after(NEWEST_BIRTHS, user, after, limit).await?;
        let entries = found.rows.into_iter().map(|row| row.entry).collect();
        Ok(Backlog { head: found.head, skipped: found.skipped, entries, rest: found.rest })
    }

    async fn changes(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<ChangedRows, StoreError> {
        self.rows_after(OLDEST_CHANGES, user, after, limit).await
    }

    async fn texts(&self, messages: &[MessageId]) -> Result<Vec<Arc<MessageContent>>, StoreError> {
        let ids: Vec<i64> = messages.iter().map(|id| id.0).collect();
        first_contents(&self.contents, &self.pool, &ids).await
    }

    async fn newest_changes(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<ChangedRows, StoreError> {
        self.rows_after(NEWEST_CHANGES, user, after, limit).await
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
        let sql = "SELECT acknowledged_seq FROM inboxes WHERE user_id = $1";
        let found = sqlx::query_scalar(sql).bind(user.0).fetch_optional(&self.pool).await;
        Ok(found.map_err(failed)?.flatten().map(Seq))
    }

    async fn notifications(
        &self,
        user: UserId,
        filter: &NotificationFilter,
        slice: Slice,
    ) -> Result<Page<Notification>, StoreError> {
        let read = notifications::list(user, filter, slice);
        let last_seq = self.heads.of(user).await?.unwrap_or_default().last_seq;
        if is_short(last_seq, filter) {
            return self.read_one(read).await;
        }
        self.read(Reads::Lists, read).await
    }

    async fn notification(
        &self,
        user: UserId,
        id: NotificationId,
    ) -> Result<Option<Notification>, StoreError> {
        Ok(self.read_one(notifications::one(user, id)).await?.pop())
    }

    async fn unread_counts(&self, user: UserId) -> Result<(i64, Vec<(Channel, i64)>), StoreError> {
        let short = self.read_one(CountUnread { user, most: UNREAD_SHORT }).await?;
        let (head, channels) = match short {
            Some(counts) => counts,
            None => {
                let all = CountUnread { user, most: i64::MAX };
                self.read(Reads::Lists, all).await?.unwrap_or_default()
            }
        };
        Ok((head.unread_count, channels))
    }
}

/// One statement is one snapshot: the head, the rows `f` as an array a column (decoding them is
/// cheaper than one result row each), and how many there are in all, counted only if the limit has
/// left out any.
macro_rules! select_rows {
    ($rows:expr, $count:expr) => {
        concat!(
            "SELECT coalesce(i.last_seq, 0), coalesce(i.unread_count, 0), \
             coalesce(i.delivered_seq, 0), coalesce(i.forgotten_seq, 0), r.changed_seqs, r.seqs, \
             r.ids, r.messages, r.is_read, r.is_deleted, \
             CASE WHEN r.found < $3 THEN r.found ELSE ",
            $count,
            " END FROM (SELECT count(*) AS found, coalesce(array_agg(changed_seq), '{}') \
             AS changed_seqs, coalesce(array_agg(seq), '{}') AS seqs, \
             coalesce(array_agg(id), '{}') AS ids, coalesce(array_agg(message_id), '{}') \
             AS messages, coalesce(array_agg(read_at IS NOT NULL), '{}') AS is_read, \
             coalesce(array_agg(deleted_at IS NOT NULL), '{}') AS is_deleted FROM (",
            $rows,
            ") f) r LEFT JOIN inboxes i ON i.user_id = $1"
        )
    };
}

const NEWEST_BIRTHS: &str = select_rows!(
    "SELECT seq AS changed_seq, seq, id, message_id, read_at, deleted_at FROM notifications \
     WHERE recipient_id = $1 AND seq > $2 AND deleted_at IS NULL ORDER BY seq DESC LIMIT $3",
    "(SELECT count(*) FROM notifications \
     WHERE recipient_id = $1 AND seq > $2 AND deleted_at IS NULL)"
);

/// Entries after the position whose rows did not change since, and changed rows from their own
/// index. Both are read in index order and merged.
macro_rules! changes {
    ($order:literal) => {
        concat!(
            "SELECT * FROM ((SELECT seq AS changed_seq, seq, id, message_id, read_at, deleted_at \
             FROM notifications WHERE recipient_id = $1 AND seq > $2 AND changed_seq = seq \
             ORDER BY notifications.seq ",
            $order,
            " LIMIT $3) UNION ALL \
             (SELECT changed_seq, seq, id, message_id, read_at, deleted_at FROM notifications \
             WHERE recipient_id = $1 AND changed_seq > $2 AND changed_seq <> seq \
             ORDER BY notifications.changed_seq ",
            $order,
            " LIMIT $3)) e ORDER BY changed_seq ",
            $order,
            " LIMIT $3"
        )
    };
}

const OLDEST_CHANGES: &str = select_rows!(changes!("ASC"), "r.found");
const NEWEST_CHANGES: &str = select_rows!(
    changes!("DESC"),
    "(SELECT count(*) FROM notifications WHERE recipient_id = $1 AND seq > $2 \
     AND changed_seq = seq) + (SELECT count(*) FROM notifications \
     WHERE recipient_id = $1 AND changed_seq > $2 AND changed_seq <> seq)"
);

impl PostgresStore {
    async fn rows_after(
        &self,
        sql: &'static str,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<ChangedRows, StoreError> {
        let query = sqlx::query(sql).bind(user.0).bind(after.0).bind(i64::from(limit));
        let row = query.fetch_one(&self.pool).await.map_err(failed)?;
        let mut outlines = outlines(&row)?;
        outlines.sort_unstable_by_key(|outline| outline.changed_seq);
        let total: i64 = column(&row, 10)?;
        let returned = i64::try_from(outlines.len()).unwrap_or(i64::MAX);
        let (rows, rest) = self.with_texts(outlines).await?;
        Ok(ChangedRows { head: head_of(&row)?, skipped: (total - returned).max(0), rows, rest })
    }

    /// The first of these rows with their texts, and the others.
    async fn with_texts(
        &self,
        mut outlines: Vec<Outline>,
    ) -> Result<(Vec<Changed>, Vec<Outline>), StoreError> {
        let messages: Vec<i64> = outlines.iter().map(|outline| outline.message.0).collect();
        let contents = first_contents(&self.contents, &self.pool, &messages).await?;
        let rest = outlines.split_off(contents.len());
        let with_text = |(outline, message): (Outline, Arc<MessageContent>)| {
            let Outline { id, seq, changed_seq, is_read, is_deleted, .. } = outline;
            Changed { entry: Entry { id, seq, is_read, message }, changed_seq, is_deleted }
        };
        Ok((outlines.into_iter().zip(contents).map(with_text).collect(), rest))
    }
}

/// The heads of these users' inboxes; inboxes without a row are left out.
pub(super) async fn heads(
    database: Database,
    users: Vec<UserId>,
) -> Result<HashMap<UserId, Head>, StoreError> {
    let sql = "SELECT last_seq, unread_count, delivered_seq, forgotten_seq, user_id FROM inboxes \
               WHERE user_id = ANY($1)";
    let users: Vec<i64> = users.into_iter().map(|user| user.0).collect();
    let rows = sqlx::query(sql).bind(users).fetch_all(database.by_key()).await.map_err(failed)?;
    rows.iter().map(|row| Ok((UserId(column(row, 4)?), head_of(row)?))).collect()
}

/// The rows that took these numbers of inboxes, at their entry or their last change. Two queries
/// of an index each, since no index is for both.
pub(super) async fn holders(
    pool: Database,
    numbers: Vec<(UserId, Seq)>,
) -> Result<HashMap<(UserId, Seq), Taken>, StoreError> {
    let sql = "WITH v AS MATERIALIZED (SELECT DISTINCT * FROM \
               UNNEST($1::bigint[], $2::bigint[]) AS v (user_id, number)) \
               SELECT v.user_id, v.number, n.id, TRUE FROM v JOIN notifications n \
               ON n.recipient_id = v.user_id AND n.seq = v.number UNION ALL \
               SELECT v.user_id, v.number, n.id, FALSE FROM v JOIN notifications n \
               ON n.recipient_id = v.user_id AND n.changed_seq = v.number \
               AND n.changed_seq <> n.seq";
    let (users, seqs): (Vec<i64>, Vec<i64>) =
        numbers.into_iter().map(|(user, number)| (user.0, number.0)).unzip();
    let query = sqlx::query_as(sql).bind(users).bind(seqs);
    let rows: Vec<(i64, i64, i64, bool)> = query.fetch_all(pool.by_key()).await.map_err(failed)?;
    let held = |(user, number, id, is_entry)| {
        let taken = Taken { number: Seq(number), id: NotificationId(id), is_entry };
        ((UserId(user), taken.number), taken)
    };
    Ok(rows.into_iter().map(held).collect())
}

fn outlines(row: &PgRow) -> Result<Vec<Outline>, StoreError> {
    let numbers = |index| column::<Vec<i64>>(row, index);
    let flags = |index| column::<Vec<bool>>(row, index);
    let numbers = numbers(4)?.into_iter().zip(numbers(5)?).zip(numbers(6)?).zip(numbers(7)?);
    let rows = numbers.zip(flags(8)?).zip(flags(9)?);
    let outline = |(((((changed_seq, seq), id), message), is_read), is_deleted)| Outline {
        id: NotificationId(id),
        seq: Seq(seq),
        changed_seq: Seq(changed_seq),
        is_read,
        is_deleted,
        message: MessageId(message),
    };
    Ok(rows.map(outline).collect())
}

/// The inbox' state, from a query's first four columns.
fn head_of(row: &PgRow) -> Result<Head, StoreError> {
    Ok(Head {
        last_seq: Seq(column(row, 0)?),
        unread_count: column(row, 1)?,
        delivered_seq: Seq(column(row, 2)?),
        forgotten_seq: Seq(column(row, 3)?),
    }
    .mended())
}

fn column<'r, T>(row: &'r PgRow, index: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(index).map_err(failed)
}
