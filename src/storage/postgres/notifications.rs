//! Notifications as lists show them.

use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::notification::{Delivery, DeliveryStatus, Notification};
use bellpull_domain::routing::Channel;
use bellpull_port::inbox::NotificationFilter;
use bellpull_port::{Page, Slice, StoreError};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Postgres, QueryBuilder};

use super::PostgresStore;
use super::columns::page_of;
use super::slow_reads::{READ_MAX, Snapshot};
use super::transaction::failed;
use crate::error::corrupt;
use crate::narrow::{self, is_short, needs_messages};
use crate::rows::message_columns;
use crate::rows::{Columns, int, json, message, optional_timestamp, string, text};

/// A notification with its message, its recipient's name, and its deliveries as JSON.
const SELECT: &str = concat!(
    "SELECT n.id, n.seq, n.recipient_id, n.read_at, \
     CASE u.full_name WHEN '' THEN u.username ELSE u.full_name END AS recipient_name, \
     (SELECT coalesce(json_agg(json_build_array(d.channel, d.status, d.leases, d.sent_at, \
     d.error)), '[]')::text FROM deliveries d WHERE d.notification_id = n.id) AS deliveries, ",
    message_columns!(),
    " FROM notifications n JOIN messages m ON m.id = n.message_id \
     JOIN users u ON u.id = n.recipient_id"
);

/// Unread rows whose deliveries are counted outside of the slow reads.
const UNREAD_SHORT: i64 = 1_000;

impl PostgresStore {
    /// A page of the user's own; the count and the rows are of one snapshot.
    pub(super) async fn list_notifications(
        &self,
        user: UserId,
        filter: &NotificationFilter,
        slice: Slice,
    ) -> Result<Page<Notification>, StoreError> {
        let mut sql = statement(user, filter, slice);
        let last_seq = self.heads.of(user).await?.unwrap_or_default().last_seq;
        if is_short(last_seq, filter) {
            let rows = sql.build().fetch_all(&self.pool).await.map_err(failed)?;
            return page_of(&rows, "id", notification);
        }
        let read = async move |mut snapshot: Snapshot| {
            let rows = sql.build().fetch_all(&mut *snapshot).await.map_err(failed)?;
            page_of(&rows, "id", notification)
        };
        self.slow.read(READ_MAX, read).await
    }

    /// One of the user's own.
    pub(super) async fn one_notification(
        &self,
        user: UserId,
        id: NotificationId,
    ) -> Result<Option<Notification>, StoreError> {
        let mut sql = QueryBuilder::new(SELECT);
        narrow(&mut sql, user, &NotificationFilter::default());
        sql.push(" AND n.id = ").push_bind(id.0);
        let row = sql.build().fetch_optional(self.pool.by_key()).await.map_err(failed)?;
        row.as_ref().map(notification).transpose()
    }

    /// How many are unread, and how many of them go out on each channel.
    pub(super) async fn count_unread(
        &self,
        user: UserId,
    ) -> Result<(i64, Vec<(Channel, i64)>), StoreError> {
        if let Some(counts) = unread_counts(&self.pool, user, UNREAD_SHORT).await? {
            return Ok(counts);
        }
        let read =
            async move |mut snapshot: Snapshot| unread_counts(&mut *snapshot, user, i64::MAX).await;
        Ok(self.slow.read(READ_MAX, read).await?.unwrap_or_default())
    }
}

/// The count of all, and a page of them: first the numbers, then the rows of these, so that rows
/// before the page are not assembled.
fn statement(user: UserId, filter: &NotificationFilter, slice: Slice) -> QueryBuilder<Postgres> {
    let from = if needs_messages(filter) {
        " FROM notifications n JOIN messages m ON m.id = n.message_id"
    } else {
        " FROM notifications n"
    };
    let order = if filter.since_seq.is_some() { "ASC" } else { "DESC" };
    let mut sql = QueryBuilder::new("SELECT c.count, p.* FROM (SELECT count(*)");
    sql.push(from);
    narrow(&mut sql, user, filter);
    sql.push(") c LEFT JOIN (").push(SELECT).push(" WHERE n.recipient_id = ").push_bind(user.0);
    sql.push(" AND n.seq IN (SELECT n.seq").push(from);
    narrow(&mut sql, user, filter);
    sql.push(" ORDER BY n.seq ").push(order).push(" LIMIT ").push_bind(i64::from(slice.limit));
    sql.push(" OFFSET ").push_bind(slice.offset);
    sql.push(")) p ON TRUE ORDER BY p.seq ").push(order);
    sql
}

/// How many are unread, and how many of them go out on each channel; `None` if more than `most` are
/// unread.
async fn unread_counts(
    reader: impl PgExecutor<'_>,
    user: UserId,
    most: i64,
) -> Result<Option<(i64, Vec<(Channel, i64)>)>, StoreError> {
    let sql = "WITH head AS \
               (SELECT coalesce(max(unread_count), 0) AS unread FROM inboxes WHERE user_id = $1) \
               SELECT unread, CASE WHEN unread <= $2 THEN \
               (SELECT coalesce(json_agg(json_build_array(channel, times)), '[]')::text FROM \
               (SELECT d.channel, count(DISTINCT n.id) AS times FROM notifications n \
               JOIN deliveries d ON d.notification_id = n.id \
               WHERE n.recipient_id = $1 AND n.read_at IS NULL AND n.deleted_at IS NULL \
               GROUP BY d.channel) c) END FROM head";
    let query = sqlx::query_as(sql).bind(user.0).bind(most);
    let (unread, channels): (i64, Option<String>) =
        query.fetch_one(reader).await.map_err(failed)?;
    let Some(channels) = channels else { return Ok(None) };
    let channels: Vec<(String, i64)> = json(&channels)?;
    let counts = channels.into_iter().map(|(name, times)| Ok((channel(&name)?, times)));
    let mut counts = counts.collect::<Result<Vec<_>, StoreError>>()?;
    counts.sort_unstable();
    Ok(Some((unread, counts)))
}

/// The condition that a notification `n` is the user's and fulfils the filter.
fn narrow(sql: &mut QueryBuilder<Postgres>, user: UserId, filter: &NotificationFilter) {
    sql.push(" WHERE n.recipient_id = ").push_bind(user.0).push(" AND ");
    narrow::push(sql, filter);
}

type DeliveryRow = (String, String, u32, Option<i64>, Option<String>);

fn notification(row: &PgRow) -> Result<Notification, StoreError> {
    let deliveries: Vec<DeliveryRow> = json(text(row, "deliveries")?)?;
    let mut deliveries =
        deliveries.into_iter().map(delivery).collect::<Result<Vec<_>, StoreError>>()?;
    // One row a channel even if it has several addresses: the one with the best outcome.
    deliveries.sort_by_key(|delivery| (delivery.channel, rank(delivery.status)));
    deliveries.dedup_by_key(|delivery| delivery.channel);
    Ok(Notification {
        id: NotificationId(int(row, "id")?),
        seq: Seq(int(row, "seq")?),
        recipient: UserId(int(row, "recipient_id")?),
        recipient_name: string(row, "recipient_name")?,
        read_at: optional_timestamp(row.int("read_at")?)?,
        message: message(row)?,
        deliveries,
    })
}

fn delivery((name, status, attempts, sent_at, error): DeliveryRow) -> Result<Delivery, StoreError> {
    let status = DeliveryStatus::from_name(&status).ok_or_else(|| corrupt("status"))?;
    let sent_at = optional_timestamp(sent_at)?;
    Ok(Delivery { channel: channel(&name)?, status, attempts, sent_at, error })
}

/// The best outcome first.
fn rank(status: DeliveryStatus) -> u8 {
    match status {
        DeliveryStatus::Sent => 0,
        DeliveryStatus::Queued => 1,
        DeliveryStatus::Failed => 2,
        DeliveryStatus::Suppressed => 3,
    }
}

fn channel(name: &str) -> Result<Channel, StoreError> {
    Channel::from_name(name).ok_or_else(|| corrupt("channel"))
}
