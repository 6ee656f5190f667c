//! Notifications as lists show them.

use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::Head;
use bellpull_domain::notification::{Delivery, DeliveryStatus, Notification};
use bellpull_domain::routing::Channel;
use bellpull_port::inbox::NotificationFilter;
use bellpull_port::{Slice, StoreError};

use crate::engine::{Build, Db, Failure, Operation, ReadRows, ReadWhole, Row, sql, values};
use crate::error::corrupt;
use crate::narrow::{self, needs_messages};
use crate::rows::{Columns, int, json, message, message_columns, optional_timestamp, string, text};

/// A notification with its message, its recipient's name, and its deliveries as JSON.
const SELECT: &str = concat!(
    "SELECT n.id, n.seq, n.recipient_id, n.read_at, \
     CASE u.full_name WHEN '' THEN u.username ELSE u.full_name END AS recipient_name, \
     (SELECT {json_group_array(json_array(d.channel, d.status, d.leases, d.sent_at, d.error))\
     |coalesce(json_agg(json_build_array(d.channel, d.status, d.leases, d.sent_at, d.error)), \
     '[]')::text} FROM deliveries d WHERE d.notification_id = n.id) AS deliveries, ",
    message_columns!(),
    " FROM notifications n JOIN messages m ON m.id = n.message_id \
     JOIN users u ON u.id = n.recipient_id"
);

/// The count of the user's own, and a page of them: first the numbers, then the rows of these, so
/// that rows before the page are not assembled.
pub(in super::super) fn list(
    user: UserId,
    filter: &NotificationFilter,
    slice: Slice,
) -> ReadWhole<Notification> {
    let from = if needs_messages(filter) {
        " FROM notifications n JOIN messages m ON m.id = n.message_id"
    } else {
        " FROM notifications n"
    };
    let order = if filter.since_seq.is_some() { "ASC" } else { "DESC" };
    let mut sql = Build::new("SELECT c.count, p.* FROM (SELECT count(*) AS count");
    sql.push(from);
    narrow(&mut sql, user, filter);
    sql.push(") c LEFT JOIN (").push(SELECT).push(" WHERE n.recipient_id = ").bind(user);
    sql.push(" AND n.seq IN (SELECT n.seq").push(from);
    narrow(&mut sql, user, filter);
    sql.push(" ORDER BY n.seq ").push(order).push(" LIMIT ").bind(slice.limit);
    sql.push(" OFFSET ").bind(slice.offset);
    sql.push(")) p ON TRUE ORDER BY p.seq ").push(order);
    ReadWhole { statement: sql.done(), present: "id", decode: notification }
}

/// One of the user's own.
pub(in super::super) fn one(user: UserId, id: NotificationId) -> ReadRows<Notification> {
    let mut sql = Build::new(SELECT);
    narrow(&mut sql, user, &NotificationFilter::default());
    sql.push(" AND n.id = ").bind(id);
    ReadRows { statement: sql.done(), decode: notification }
}

/// How many are unread (with the head's last number), and how many of them go out on each channel;
/// `None` if more than `most` are unread.
pub(in super::super) struct CountUnread {
    pub(in super::super) user: UserId,
    pub(in super::super) most: i64,
}

impl Operation for CountUnread {
    type Answer = Option<Counts>;

    /// The scan starts at the newest and ends with the last unread one.
    async fn run(&self, db: &mut Db<'_>) -> Result<Self::Answer, Failure> {
        let sql = sql!(
            "WITH head AS (SELECT coalesce(max(unread_count), 0) AS unread, \
             coalesce(max(last_seq), 0) AS last_seq FROM inboxes WHERE user_id = $1) \
             SELECT last_seq, unread, CASE WHEN unread <= $2 THEN (SELECT \
             {json_group_array(json_array(channel, times))\
             |coalesce(json_agg(json_build_array(channel, times)), '[]')::text} FROM \
             (SELECT d.channel, count(DISTINCT n.id) AS times FROM (SELECT id FROM notifications \
             WHERE recipient_id = $1 AND read_at IS NULL AND deleted_at IS NULL \
             ORDER BY seq DESC LIMIT (SELECT unread FROM head)) n \
             JOIN deliveries d ON d.notification_id = n.id GROUP BY d.channel) c) END \
             AS channels FROM head"
        );
        let found = db.optional(sql, values![self.user, self.most], unread).await?;
        Ok(found.flatten())
    }
}

/// A head, and how many go out on each channel.
type Counts = (Head, Vec<(Channel, i64)>);

fn unread(row: &Row) -> Result<Option<Counts>, StoreError> {
    let Some(channels) = row.text("channels")? else { return Ok(None) };
    let channels: Vec<(String, i64)> = json(channels)?;
    let counts = channels.into_iter().map(|(name, times)| Ok((channel(&name)?, times)));
    let mut counts = counts.collect::<Result<Vec<_>, StoreError>>()?;
    counts.sort_unstable();
    let (last_seq, unread_count) = (Seq(int(row, "last_seq")?), int(row, "unread")?);
    Ok(Some((Head { last_seq, unread_count, ..Head::default() }, counts)))
}

/// The condition that a notification `n` is the user's and fulfils the filter.
fn narrow(sql: &mut Build, user: UserId, filter: &NotificationFilter) {
    sql.push(" WHERE n.recipient_id = ").bind(user).push(" AND ");
    narrow::push(sql, filter);
}

type DeliveryRow = (String, String, u32, Option<i64>, Option<String>);

fn notification(row: &Row) -> Result<Notification, StoreError> {
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
