//! Notifications as lists show them.

use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::Head;
use bellpull_domain::notification::{Delivery, DeliveryStatus, Notification};
use bellpull_domain::routing::Channel;
use bellpull_port::inbox::NotificationFilter;
use bellpull_port::{Page, Slice, StoreError};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqliteExecutor, SqlitePool};

use super::error::{corrupt, unavailable};
use super::rows::{get, json, message, optional_timestamp};
use super::slow_reads::read_error;
use crate::narrow::{self, needs_messages};
use crate::rows::message_columns;

/// A notification with its message, its recipient's name, and its deliveries as JSON.
const SELECT: &str = concat!(
    "SELECT n.id, n.seq, n.recipient_id, n.read_at, \
     iif(u.full_name = '', u.username, u.full_name) AS recipient_name, \
     (SELECT json_group_array(json_array(d.channel, d.status, d.leases, d.sent_at, d.error)) \
     FROM deliveries d WHERE d.notification_id = n.id) AS deliveries, ",
    message_columns!(),
    " FROM notifications n JOIN messages m ON m.id = n.message_id \
     JOIN users u ON u.id = n.recipient_id"
);

/// Whether a list reads few rows: its count reads the whole inbox, or what `since_seq` leaves.
pub(super) async fn is_short(
    snapshot: &mut SqliteConnection,
    user: UserId,
    filter: &NotificationFilter,
) -> Result<bool, StoreError> {
    let sql = "SELECT ifnull(max(last_seq), 0) FROM inboxes WHERE user_id = ?";
    let query = sqlx::query_scalar(sql).bind(user.0);
    let last_seq: i64 = query.fetch_one(snapshot).await.map_err(unavailable)?;
    Ok(narrow::is_short(Seq(last_seq), filter))
}

/// A page of the user's own; the count and the rows are of one snapshot.
pub(super) async fn page(
    snapshot: &mut SqliteConnection,
    user: UserId,
    filter: &NotificationFilter,
    slice: Slice,
) -> Result<Page<Notification>, StoreError> {
    let mut count = QueryBuilder::new("SELECT count(*) FROM notifications n");
    if needs_messages(filter) {
        count.push(" JOIN messages m ON m.id = n.message_id");
    }
    narrow(&mut count, user, filter);
    let count = count.build_query_scalar().fetch_one(&mut *snapshot).await.map_err(read_error)?;
    // First the ids, then the rows: rows before the page are not assembled.
    let mut rows = QueryBuilder::new(SELECT);
    rows.push(" WHERE n.recipient_id = ")
        .push_bind(user.0)
        .push(" AND n.seq IN (SELECT n.seq FROM ");
    rows.push("notifications n");
    if needs_messages(filter) {
        rows.push(" JOIN messages m ON m.id = n.message_id");
    }
    narrow(&mut rows, user, filter);
    rows.push(match filter.since_seq {
        Some(_) => " ORDER BY n.seq ASC LIMIT ",
        None => " ORDER BY n.seq DESC LIMIT ",
    });
    rows.push_bind(i64::from(slice.limit)).push(" OFFSET ").push_bind(slice.offset);
    rows.push(match filter.since_seq {
        Some(_) => ") ORDER BY n.seq ASC",
        None => ") ORDER BY n.seq DESC",
    });
    let rows = rows.build().fetch_all(snapshot).await.map_err(read_error)?;
    Ok(Page { count, rows: rows.iter().map(notification).collect::<Result<_, _>>()? })
}

/// One of the user's own.
pub(super) async fn one(
    readers: &SqlitePool,
    user: UserId,
    id: NotificationId,
) -> Result<Option<Notification>, StoreError> {
    let mut sql = QueryBuilder::<Sqlite>::new(SELECT);
    narrow(&mut sql, user, &NotificationFilter::default());
    sql.push(" AND n.id = ").push_bind(id.0);
    let row = sql.build().fetch_optional(readers).await.map_err(unavailable)?;
    row.as_ref().map(notification).transpose()
}

/// How many are unread (from the head, with `last_seq`), and how many of them go out on each
/// channel; no channels if more than `most` are unread. The scan starts at the newest and ends with
/// the last unread one.
pub(super) async fn unread_counts(
    reader: impl SqliteExecutor<'_>,
    user: UserId,
    most: i64,
) -> Result<Option<(Head, Vec<(Channel, i64)>)>, StoreError> {
    let sql = "WITH head AS (SELECT ifnull(max(unread_count), 0) AS unread, \
               ifnull(max(last_seq), 0) AS last_seq FROM inboxes WHERE user_id = ?1) \
               SELECT last_seq, unread, iif(unread > ?2, NULL, \
               (SELECT json_group_array(json_array(channel, times)) FROM \
               (SELECT d.channel, count(DISTINCT n.id) AS times FROM (SELECT id FROM notifications \
               WHERE recipient_id = ?1 AND read_at IS NULL AND deleted_at IS NULL \
               ORDER BY seq DESC LIMIT (SELECT unread FROM head)) n \
               JOIN deliveries d ON d.notification_id = n.id GROUP BY d.channel))) FROM head";
    let query = sqlx::query_as(sql).bind(user.0).bind(most);
    let (last_seq, unread_count, channels): (i64, i64, Option<String>) =
        query.fetch_one(reader).await.map_err(read_error)?;
    let Some(channels) = channels else { return Ok(None) };
    let channels: Vec<(String, i64)> = json(&channels)?;
    let mut counts = channels
        .into_iter()
        .map(|(name, times)| Ok((channel(&name)?, times)))
        .collect::<Result<Vec<_>, StoreError>>()?;
    counts.sort_unstable();
    Ok(Some((Head { last_seq: Seq(last_seq), unread_count, ..Head::default() }, counts)))
}

/// The condition that a notification `n` is the user's and fulfils the filter.
fn narrow(sql: &mut QueryBuilder<Sqlite>, user: UserId, filter: &NotificationFilter) {
    sql.push(" WHERE n.recipient_id = ").push_bind(user.0).push(" AND ");
    narrow::push(sql, filter);
}

type DeliveryRow = (String, String, u32, Option<i64>, Option<String>);

fn notification(row: &SqliteRow) -> Result<Notification, StoreError> {
    let deliveries: Vec<DeliveryRow> = json(get(row, "deliveries")?)?;
    let mut deliveries =
        deliveries.into_iter().map(delivery).collect::<Result<Vec<_>, StoreError>>()?;
    // One row a channel even if it has several addresses: the one with the best outcome.
    deliveries.sort_by_key(|delivery| (delivery.channel, rank(delivery.status)));
    deliveries.dedup_by_key(|delivery| delivery.channel);
    Ok(Notification {
        id: NotificationId(get(row, "id")?),
        seq: Seq(get(row, "seq")?),
        recipient: UserId(get(row, "recipient_id")?),
        recipient_name: get(row, "recipient_name")?,
        read_at: optional_timestamp(get(row, "read_at")?)?,
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
