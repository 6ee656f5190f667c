//! Deliveries as operators see them.

use async_trait::async_trait;
use bellpull_domain::ids::{DeliveryId, NotificationId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::routing::Channel;
use bellpull_port::delivery_log::{AttemptRow, DeliveryFilter, DeliveryRow, Waiting};
use bellpull_port::{DeliveryLog, Page, PageRequest, StoreError};
use sqlx::{QueryBuilder, Sqlite};

use super::SqliteStore;
use super::delivery_rows::{attempt, delivery, parts, waiting};
use super::error::unavailable;
use super::multi_row::id_list;
use super::slow_reads::{READ_MAX, read_error};

/// Deliveries `d` with their recipients' names.
const SELECT: &str = "SELECT d.id, d.notification_id, u.id AS recipient_id, \
    iif(u.full_name = '', u.username, u.full_name) AS recipient_name, d.channel, \
    iif(d.channel = 'EMAIL', 0, d.target_id) AS target_id, \
    d.status, d.rule, d.until_seen IS NOT NULL AS until_seen, d.leases, d.due_at, d.leased_until, \
    d.sent_at, d.provider_id, d.provider_status, d.error \
    FROM deliveries d LEFT JOIN account_links k ON d.recipient_id IS NULL \
    AND d.channel = 'EMAIL' AND k.id = d.target_id \
    LEFT JOIN users u ON u.id = ifnull(d.recipient_id, k.user_id) WHERE d.id";

#[async_trait]
impl DeliveryLog for SqliteStore {
    async fn deliveries(
        &self,
        filter: DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<DeliveryRow>, StoreError> {
        let mut read = self.slow.begin(READ_MAX).await?;
        let mut snapshot = read.snapshot().await?;
        let mut count = QueryBuilder::new("SELECT count(*) FROM deliveries");
        let mut rows = QueryBuilder::new(SELECT);
        rows.push(" IN (SELECT id FROM (");
        match parts(filter) {
            None => drop(rows.push("SELECT id FROM deliveries")),
            Some(parts) => {
                narrow(&mut count, filter);
                newest_of_each(&mut rows, &parts, page);
            }
        }
        rows.push(") ORDER BY id DESC LIMIT ").push_bind(i64::from(page.page_size));
        rows.push(" OFFSET ").push_bind(page.offset()).push(") ORDER BY d.id DESC");
        let count =
            count.build_query_scalar().fetch_one(&mut *snapshot).await.map_err(read_error)?;
        let rows = rows.build().fetch_all(&mut *snapshot).await.map_err(read_error)?;
        Ok(Page { count, rows: rows.iter().map(delivery).collect::<Result<_, _>>()? })
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>, StoreError> {
        let mut sql = QueryBuilder::<Sqlite>::new(SELECT);
        sql.push(" = ").push_bind(id.0);
        let row = sql.build().fetch_optional(&self.readers).await.map_err(unavailable)?;
        row.as_ref().map(delivery).transpose()
    }

    async fn deliveries_of(
        &self,
        notifications: &[NotificationId],
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let mut sql = QueryBuilder::<Sqlite>::new(SELECT);
        sql.push(
            " IN (SELECT id FROM deliveries WHERE notification_id IN (SELECT value FROM json_each(",
        );
        sql.push_bind(id_list(notifications.iter().map(|id| id.0))).push(")))");
        let rows = sql.build().fetch_all(&self.readers).await.map_err(unavailable)?;
        let mut rows = rows.iter().map(delivery).collect::<Result<Vec<_>, _>>()?;
        rows.sort_by_key(|row| (row.notification, row.channel, row.id));
        Ok(rows)
    }

    async fn attempts(&self, deliveries: &[DeliveryId]) -> Result<Vec<AttemptRow>, StoreError> {
        let sql = "SELECT delivery_id, number, started_at, took_ms, outcome, detail \
                   FROM delivery_attempts WHERE delivery_id IN (SELECT value FROM json_each(?)) \
                   ORDER BY delivery_id, number";
        let query = sqlx::query(sql).bind(id_list(deliveries.iter().map(|id| id.0)));
        let rows = query.fetch_all(&self.readers).await.map_err(unavailable)?;
        rows.iter().map(attempt).collect()
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        // Without the index's name SQLite would choose the one on the status, and sort.
        let sql = "SELECT channel, count(*) AS queued, min(due_at) AS first_due_at \
                   FROM deliveries INDEXED BY deliveries_due \
                   WHERE status = 'QUEUED' AND leased_until IS NULL GROUP BY channel";
        let _turn = self.counts.lock().await;
        let mut read = self.slow.begin(READ_MAX).await?;
        let mut snapshot = read.snapshot().await?;
        let rows = sqlx::query(sql).fetch_all(&mut *snapshot).await.map_err(read_error)?;
        rows.iter().map(waiting).collect()
    }
}

/// The filter's condition. The index begins with the status, so a filter by channel alone names all
/// statuses.
fn narrow(sql: &mut QueryBuilder<Sqlite>, DeliveryFilter { status, channel }: DeliveryFilter) {
    if let Some(status) = status {
        sql.push(" WHERE status = ").push_bind(status.as_str());
    } else {
        sql.push(" WHERE status IN ('QUEUED', 'SENT', 'FAILED', 'SUPPRESSED')");
    }
    if let Some(channel) = channel {
        sql.push(" AND channel = ").push_bind(channel.as_str());
    }
}

/// Within a part the index is ordered by id: no more rows of each part are read than the page
/// needs.
fn newest_of_each(
    sql: &mut QueryBuilder<Sqlite>,
    parts: &[(DeliveryStatus, Channel)],
    page: PageRequest,
) {
    let needed = page.offset().saturating_add(i64::from(page.page_size));
    let mut word = "";
    for (status, channel) in parts {
        sql.push(word).push("SELECT id FROM (SELECT id FROM deliveries WHERE status = ");
        sql.push_bind(status.as_str()).push(" AND channel = ").push_bind(channel.as_str());
        sql.push(" ORDER BY id DESC LIMIT ").push_bind(needed).push(")");
        word = " UNION ALL ";
    }
}
