//! Deliveries as operators see them.

use async_trait::async_trait;
use bellpull_actors::domain::delivery::{ProviderStatus, Rule};
use bellpull_actors::domain::ids::{DeliveryId, NotificationId, UserId};
use bellpull_actors::domain::notification::DeliveryStatus;
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::delivery_log::{DeliveryFilter, DeliveryRow};
use bellpull_actors::port::{DeliveryLog, Page, PageRequest, StoreError};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite};

use super::SqliteStore;
use super::error::{corrupt, unavailable};
use super::rows::{get, get_name, get_time, optional_timestamp};

/// Deliveries `d` with their recipients' names.
const SELECT: &str = "SELECT d.id, d.notification_id, d.recipient_id, \
    iif(u.full_name = '', u.username, u.full_name) AS recipient_name, d.channel, d.status, d.rule, \
    d.leases, d.due_at, d.leased_until, d.sent_at, d.provider_id, d.provider_status, d.error \
    FROM deliveries d JOIN users u ON u.id = d.recipient_id WHERE d.id";

#[async_trait]
impl DeliveryLog for SqliteStore {
    async fn deliveries(
        &self,
        filter: DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<DeliveryRow>, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(unavailable)?;
        let mut count = QueryBuilder::new("SELECT count(*) FROM deliveries WHERE true");
        narrow(&mut count, filter);
        let count =
            count.build_query_scalar().fetch_one(&mut *snapshot).await.map_err(unavailable)?;
        // The page's ids come from the index alone.
        let mut rows = QueryBuilder::new(SELECT);
        rows.push(" IN (SELECT id FROM deliveries WHERE true");
        narrow(&mut rows, filter);
        rows.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(page.page_size));
        rows.push(" OFFSET ").push_bind(page.offset()).push(") ORDER BY d.id DESC");
        let rows = rows.build().fetch_all(&mut *snapshot).await.map_err(unavailable)?;
        Ok(Page { count, rows: rows.iter().map(delivery).collect::<Result<_, _>>()? })
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>, StoreError> {
        let mut sql = QueryBuilder::<Sqlite>::new(SELECT);
        sql.push(" = ").push_bind(id.0);
        let row = sql.build().fetch_optional(&self.readers).await.map_err(unavailable)?;
        row.as_ref().map(delivery).transpose()
    }
}

/// What the filter leaves. The index begins with the status: for a channel alone, all are named.
fn narrow(sql: &mut QueryBuilder<Sqlite>, filter: DeliveryFilter) {
    if let Some(status) = filter.status {
        sql.push(" AND status = ").push_bind(status.as_str());
    } else if filter.channel.is_some() {
        sql.push(" AND status IN ('QUEUED', 'SENT', 'FAILED', 'SUPPRESSED')");
    }
    if let Some(channel) = filter.channel {
        sql.push(" AND channel = ").push_bind(channel.as_str());
    }
}

fn delivery(row: &SqliteRow) -> Result<DeliveryRow, StoreError> {
    Ok(DeliveryRow {
        id: DeliveryId(get(row, "id")?),
        notification: NotificationId(get(row, "notification_id")?),
        recipient: UserId(get(row, "recipient_id")?),
        recipient_name: get(row, "recipient_name")?,
        channel: get_name(row, "channel", Channel::from_name)?,
        status: get_name(row, "status", DeliveryStatus::from_name)?,
        rule: optional_name(row, "rule", Rule::from_name)?,
        attempts: get(row, "leases")?,
        due_at: get_time(row, "due_at")?,
        leased_until: optional_timestamp(get(row, "leased_until")?)?,
        sent_at: optional_timestamp(get(row, "sent_at")?)?,
        provider_id: get(row, "provider_id")?,
        provider_status: optional_name(row, "provider_status", ProviderStatus::from_name)?,
        error: get(row, "error")?,
    })
}

/// The column's name where it has one, as the enum that it is of.
fn optional_name<T>(
    row: &SqliteRow,
    column: &str,
    from_name: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    let name: Option<&str> = get(row, column)?;
    name.map(|name| from_name(name).ok_or_else(|| corrupt(column))).transpose()
}
