//! Deliveries as operators see them.

use async_trait::async_trait;
use bellpull_domain::ids::{DeliveryId, NotificationId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::routing::Channel;
use bellpull_port::delivery_log::{AttemptRow, DeliveryFilter, DeliveryRow, Waiting};
use bellpull_port::{DeliveryLog, Page, PageRequest, StoreError};

use super::PostgresStore;
use super::database::Connection;
use super::slow_reads::{READ_MAX, Snapshot};
use super::transaction::failed;
use crate::delivery_rows::{attempt, delivery, parts, waiting};

/// Deliveries `d` with their recipients' names.
macro_rules! select_deliveries {
    ($which:literal) => {
        concat!(
            "SELECT d.id, d.notification_id, u.id AS recipient_id, CASE u.full_name WHEN '' \
             THEN u.username ELSE u.full_name END AS recipient_name, d.channel, \
             CASE d.channel WHEN 'EMAIL' THEN 0 ELSE d.target_id END AS target_id, d.status, \
             d.rule, d.until_seen IS NOT NULL AS until_seen, d.leases, d.due_at, d.leased_until, \
             d.sent_at, d.provider_id, d.provider_status, d.error FROM deliveries d \
             LEFT JOIN account_links k ON d.recipient_id IS NULL AND d.channel = 'EMAIL' \
             AND k.id = d.target_id \
             LEFT JOIN users u ON u.id = coalesce(d.recipient_id, k.user_id) WHERE ",
            $which
        )
    };
}

const ALL: &str = select_deliveries!(
    "d.id = ANY (ARRAY (SELECT id FROM deliveries ORDER BY id DESC LIMIT $1 OFFSET $2)) \
     ORDER BY d.id DESC"
);

/// Within a part the index is ordered by id: no more rows of each part are read than the page
/// needs.
const NARROWED: &str = select_deliveries!(
    "d.id = ANY (ARRAY (SELECT q.id FROM unnest($3::text[], $4::text[]) AS p (status, channel) \
     CROSS JOIN LATERAL (SELECT q.id FROM deliveries q WHERE q.status = p.status \
     AND q.channel = p.channel ORDER BY q.id DESC LIMIT $1::bigint + $2::bigint) q \
     ORDER BY q.id DESC LIMIT $1 OFFSET $2)) ORDER BY d.id DESC"
);

const COUNT_NARROWED: &str = "SELECT coalesce(sum(q.count), 0)::bigint \
    FROM unnest($1::text[], $2::text[]) AS p (status, channel) CROSS JOIN LATERAL \
    (SELECT count(*) FROM deliveries q WHERE q.status = p.status AND q.channel = p.channel) q";

#[async_trait]
impl DeliveryLog for PostgresStore {
    async fn deliveries(
        &self,
        filter: DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<DeliveryRow>, StoreError> {
        let read = async move |mut snapshot: Snapshot| match parts(filter) {
            None => all(&mut snapshot, page).await,
            Some(parts) => narrowed(&mut snapshot, &parts, page).await,
        };
        self.slow.read(READ_MAX, read).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>, StoreError> {
        let query = sqlx::query(select_deliveries!("d.id = $1")).bind(id.0);
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(delivery).transpose()
    }

    async fn deliveries_of(
        &self,
        notifications: &[NotificationId],
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let ids: Vec<i64> = notifications.iter().map(|id| id.0).collect();
        let query = sqlx::query(select_deliveries!("d.notification_id = ANY ($1)")).bind(ids);
        let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
        let mut rows = rows.iter().map(delivery).collect::<Result<Vec<_>, _>>()?;
        rows.sort_by_key(|row| (row.notification, row.channel, row.id));
        Ok(rows)
    }

    async fn attempts(&self, deliveries: &[DeliveryId]) -> Result<Vec<AttemptRow>, StoreError> {
        let sql = "SELECT delivery_id, number, started_at, took_ms, outcome, detail \
                   FROM delivery_attempts WHERE delivery_id = ANY ($1) \
                   ORDER BY delivery_id, number";
        let ids: Vec<i64> = deliveries.iter().map(|id| id.0).collect();
        let rows = sqlx::query(sql).bind(ids).fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(attempt).collect()
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        let sql = "SELECT channel, count(*) AS queued, min(due_at) AS first_due_at \
                   FROM deliveries WHERE status = 'QUEUED' AND leased_until IS NULL \
                   GROUP BY channel";
        let read = async move |mut snapshot: Snapshot| {
            let rows = sqlx::query(sql).fetch_all(&mut *snapshot).await.map_err(failed)?;
            rows.iter().map(waiting).collect()
        };
        self.slow.read(READ_MAX, read).await
    }
}

async fn all(
    connection: &mut Connection,
    page: PageRequest,
) -> Result<Page<DeliveryRow>, StoreError> {
    let sql = "SELECT count(*) FROM deliveries";
    let count = sqlx::query_scalar(sql).fetch_one(&mut *connection).await.map_err(failed)?;
    let query = sqlx::query(ALL).bind(i64::from(page.page_size)).bind(page.offset());
    let rows = query.fetch_all(connection).await.map_err(failed)?;
    Ok(Page { count, rows: rows.iter().map(delivery).collect::<Result<_, _>>()? })
}

async fn narrowed(
    connection: &mut Connection,
    parts: &[(DeliveryStatus, Channel)],
    page: PageRequest,
) -> Result<Page<DeliveryRow>, StoreError> {
    let (statuses, channels): (Vec<&str>, Vec<&str>) =
        parts.iter().map(|(status, channel)| (status.as_str(), channel.as_str())).unzip();
    let query = sqlx::query_scalar(COUNT_NARROWED).bind(&statuses).bind(&channels);
    let count = query.fetch_one(&mut *connection).await.map_err(failed)?;
    let query = sqlx::query(NARROWED).bind(i64::from(page.page_size)).bind(page.offset());
    let query = query.bind(statuses).bind(channels);
    let rows = query.fetch_all(connection).await.map_err(failed)?;
    Ok(Page { count, rows: rows.iter().map(delivery).collect::<Result<_, _>>()? })
}
