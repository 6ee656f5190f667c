//! Retention, in small steps: each locks and reads the next rows of one kind in the order of their
//! time, and removes those that [`retention`] selects. Rows that another transaction has locked are
//! passed over: several nodes may be at it, and none removes a row twice.

use async_trait::async_trait;
use bellpull_domain::ids::{DeliveryId, NotificationId, Seq, UserId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::plan::retention::{
    self, OldDelivery, Tombstone, TombstoneRemoval, UnusedMessage,
};
use bellpull_port::retention::{Forgotten, Old, Position};
use bellpull_port::{RetentionStore, StoreError};
use jiff::Timestamp;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::database::Connection;
use super::transaction::failed;
use super::words;
use crate::rows::{Columns, get_name, get_time, int, optional_timestamp};

/// In the order of their time: ids say nothing about it.
const DELIVERIES: &str = "SELECT id, due_at, sent_at, status FROM deliveries \
    WHERE (due_at, id) > ($1, $2) ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED";

/// No event changes a tombstone, so its row may be locked before its inbox.
const TOMBSTONES: &str = "SELECT n.deleted_at, n.recipient_id, n.seq, n.changed_seq, n.id, \
    n.message_id, EXISTS (SELECT 1 FROM deliveries d WHERE d.notification_id = n.id) AS is_needed \
    FROM notifications n WHERE n.deleted_at IS NOT NULL AND n.deleted_at < $4 \
    AND (n.deleted_at, n.recipient_id, n.seq) > ($1, $2, $3) \
    ORDER BY n.deleted_at, n.recipient_id, n.seq LIMIT $5 FOR UPDATE OF n SKIP LOCKED";

/// Messages of sends that are active or referenced by a key stay, and are few. A message of a
/// project's webhooks is removed with the last of its deliveries, which name it.
const MESSAGES: &str = "SELECT m.created_at, m.id, EXISTS (SELECT 1 FROM sends s \
    WHERE s.message_id = m.id AND (s.status = 'ACTIVE' \
    OR EXISTS (SELECT 1 FROM idempotency_keys k WHERE k.send_id = s.id))) \
    OR EXISTS (SELECT 1 FROM deliveries d WHERE d.message_id = m.id) AS is_needed \
    FROM messages m WHERE m.copies = 0 AND m.created_at < $3 \
    AND (m.created_at, m.id) > ($1, $2) ORDER BY m.created_at, m.id LIMIT $4 \
    FOR UPDATE OF m SKIP LOCKED";

/// The highest change of the rows that an inbox has lost.
const FORGOTTEN: &str = "WITH locked AS (SELECT user_id FROM inboxes WHERE user_id = ANY ($1) \
    ORDER BY user_id FOR UPDATE) UPDATE inboxes i SET \
    forgotten_seq = greatest(i.forgotten_seq, v.seq) FROM locked \
    JOIN unnest($1::bigint[], $2::bigint[]) AS v (user_id, seq) ON v.user_id = locked.user_id \
    WHERE i.user_id = locked.user_id";

/// All of them may be removed.
const AUDIT: &str = "DELETE FROM audit_log WHERE id = ANY (ARRAY (SELECT id FROM audit_log \
    WHERE at < $1 ORDER BY at, id LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// The same; one whose refresh token has expired has few access tokens left, if any.
const LOGINS: &str = "DELETE FROM logins WHERE id = ANY (ARRAY (SELECT id FROM logins \
    WHERE expires_at < $1 AND access_until < $1 ORDER BY expires_at, id LIMIT $2 \
    FOR UPDATE SKIP LOCKED))";

/// Rows of these messages were removed.
const COPIES: &str = "WITH locked AS (SELECT id FROM messages WHERE id = ANY ($1) \
    ORDER BY id FOR UPDATE) UPDATE messages m SET copies = greatest(m.copies - v.count, 0) \
    FROM locked JOIN unnest($1::bigint[], $2::bigint[]) AS v (id, count) ON v.id = locked.id \
    WHERE m.id = locked.id";

#[async_trait]
impl RetentionStore for PostgresStore {
    async fn forget(
        &self,
        what: Old,
        before: Timestamp,
        from: Position,
        limit: u32,
    ) -> Result<Forgotten, StoreError> {
        let mut work = self.begin().await?;
        let forgotten = match what {
            Old::Deliveries => deliveries(&mut work, before, from, limit).await?,
            Old::Tombstones => tombstones(&mut work, before, from, limit).await?,
            Old::Messages => messages(&mut work, before, from, limit).await?,
            Old::Audit => all_before(&mut work, AUDIT, before, from, limit).await?,
            Old::Logins => all_before(&mut work, LOGINS, before, from, limit).await?,
        };
        if forgotten.removed == 0 {
            work.roll_back().await;
        } else {
            work.commit().await?;
        }
        Ok(forgotten)
    }

    async fn renew_words(&self, limit: u32) -> Result<u64, StoreError> {
        words::renew(self, limit).await
    }
}

async fn deliveries(
    connection: &mut Connection,
    before: Timestamp,
    Position([due_at, last, _]): Position,
    limit: u32,
) -> Result<Forgotten, StoreError> {
    let query = sqlx::query(DELIVERIES).bind(due_at).bind(last).bind(i64::from(limit));
    let rows = query.fetch_all(&mut *connection).await.map_err(failed)?;
    let found: Vec<_> = rows.iter().map(delivery).collect::<Result<_, _>>()?;
    let removal = retention::deliveries(&found, before, limit);
    let ids: Vec<i64> = removal.ids.iter().map(|id| id.0).collect();
    let attempts = "DELETE FROM delivery_attempts WHERE delivery_id = ANY ($1)";
    remove(connection, attempts, &ids).await?;
    remove(connection, "DELETE FROM deliveries WHERE id = ANY ($1)", &ids).await?;
    Ok(removal.outcome())
}

fn delivery(row: &PgRow) -> Result<OldDelivery, StoreError> {
    Ok(OldDelivery {
        id: DeliveryId(int(row, "id")?),
        due_at: get_time(row, "due_at")?,
        sent_at: optional_timestamp(row.int("sent_at")?)?,
        status: get_name(row, "status", DeliveryStatus::from_name)?,
    })
}

async fn tombstones(
    connection: &mut Connection,
    before: Timestamp,
    Position([deleted_at, recipient, seq]): Position,
    limit: u32,
) -> Result<Forgotten, StoreError> {
    let query = sqlx::query(TOMBSTONES).bind(deleted_at).bind(recipient).bind(seq);
    let query = query.bind(before.as_millisecond()).bind(i64::from(limit));
    let rows = query.fetch_all(&mut *connection).await.map_err(failed)?;
    let found: Vec<_> = rows.iter().map(tombstone).collect::<Result<_, _>>()?;
    let TombstoneRemoval { removal, forgotten, copies } = retention::tombstones(&found, limit);
    if !removal.ids.is_empty() {
        let (users, seqs): (Vec<i64>, Vec<i64>) =
            forgotten.into_iter().map(|(user, seq)| (user.0, seq.0)).unzip();
        let query = sqlx::query(FORGOTTEN).bind(users).bind(seqs);
        query.execute(&mut *connection).await.map_err(failed)?;
        let (messages, counts): (Vec<i64>, Vec<i64>) = copies.into_iter().unzip();
        let query = sqlx::query(COPIES).bind(messages).bind(counts);
        query.execute(&mut *connection).await.map_err(failed)?;
    }
    let ids: Vec<i64> = removal.ids.iter().map(|id| id.0).collect();
    remove(connection, "DELETE FROM notifications WHERE id = ANY ($1)", &ids).await?;
    Ok(removal.outcome())
}

fn tombstone(row: &PgRow) -> Result<Tombstone, StoreError> {
    Ok(Tombstone {
        deleted_at: get_time(row, "deleted_at")?,
        recipient: UserId(int(row, "recipient_id")?),
        seq: Seq(int(row, "seq")?),
        changed_seq: Seq(int(row, "changed_seq")?),
        id: NotificationId(int(row, "id")?),
        message: int(row, "message_id")?,
        has_deliveries: row.flag("is_needed")?,
    })
}

async fn messages(
    connection: &mut Connection,
    before: Timestamp,
    Position([created_at, last, _]): Position,
    limit: u32,
) -> Result<Forgotten, StoreError> {
    let query = sqlx::query(MESSAGES).bind(created_at).bind(last);
    let query = query.bind(before.as_millisecond()).bind(i64::from(limit));
    let rows = query.fetch_all(&mut *connection).await.map_err(failed)?;
    let message = |row: &PgRow| {
        let (id, created_at) = (int(row, "id")?, get_time(row, "created_at")?);
        Ok(UnusedMessage { id, created_at, is_needed: row.flag("is_needed")? })
    };
    let found: Vec<_> = rows.iter().map(message).collect::<Result<_, StoreError>>()?;
    let removal = retention::messages(&found, limit);
    remove(connection, "DELETE FROM sends WHERE message_id = ANY ($1)", &removal.ids).await?;
    remove(connection, "DELETE FROM messages WHERE id = ANY ($1)", &removal.ids).await?;
    Ok(removal.outcome())
}

async fn all_before(
    connection: &mut Connection,
    sql: &'static str,
    before: Timestamp,
    from: Position,
    limit: u32,
) -> Result<Forgotten, StoreError> {
    let query = sqlx::query(sql).bind(before.as_millisecond()).bind(i64::from(limit));
    let removed = query.execute(connection).await.map_err(failed)?.rows_affected();
    let is_all = removed < u64::from(limit);
    Ok(Forgotten { removed, next: (!is_all).then_some(from) })
}

async fn remove(
    connection: &mut Connection,
    sql: &'static str,
    ids: &[i64],
) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(sql).bind(ids).execute(connection).await.map(drop).map_err(failed)
}
