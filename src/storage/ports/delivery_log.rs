//! Deliveries as operators see them.

use async_trait::async_trait;
use bellpull_domain::ids::{DeliveryId, NotificationId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::routing::Channel;
use bellpull_port::delivery_log::{AttemptRow, DeliveryFilter, DeliveryRow, Waiting};
use bellpull_port::{DeliveryLog, Page, PageRequest, StoreError};

use crate::delivery_rows::{attempt, delivery, parts, waiting};
use crate::engine::{
    Build, Dialect, Engine, ReadPage, ReadRows, Reads, Statement, among, sql, values,
};

/// Deliveries `d` with their recipients' names.
macro_rules! select_deliveries {
    () => {
        "SELECT d.id, d.notification_id, u.id AS recipient_id, CASE u.full_name WHEN '' \
         THEN u.username ELSE u.full_name END AS recipient_name, d.channel, \
         CASE d.channel WHEN 'EMAIL' THEN 0 ELSE d.target_id END AS target_id, d.status, \
         d.rule, d.until_seen IS NOT NULL AS until_seen, d.leases, d.due_at, d.leased_until, \
         d.sent_at, d.provider_id, d.provider_status, d.error FROM deliveries d \
         LEFT JOIN account_links k ON d.recipient_id IS NULL AND d.channel = 'EMAIL' \
         AND k.id = d.target_id \
         LEFT JOIN users u ON u.id = coalesce(d.recipient_id, k.user_id) WHERE "
    };
}

#[async_trait]
impl<D: Dialect> DeliveryLog for Engine<D> {
    async fn deliveries(
        &self,
        filter: DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<DeliveryRow>, StoreError> {
        let mut count = Build::new("SELECT count(*) FROM deliveries");
        let mut rows = Build::new(select_deliveries!());
        rows.push("d.id {IN (|= ANY (ARRAY (}SELECT id FROM (");
        match parts(filter) {
            None => drop(rows.push("SELECT id FROM deliveries")),
            Some(parts) => {
                narrow(&mut count, filter);
                newest_of_each(&mut rows, &parts, page);
            }
        }
        rows.push(") q ORDER BY id DESC LIMIT ").bind(page.page_size);
        rows.push(" OFFSET ").bind(page.offset()).push("{)|))} ORDER BY d.id DESC");
        let read = ReadPage { count: count.done(), rows: rows.done(), decode: delivery };
        self.read(Reads::Lists, read).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>, StoreError> {
        self.row(sql!(select_deliveries!(), "d.id = $1"), values![id], delivery).await
    }

    async fn deliveries_of(
        &self,
        notifications: &[NotificationId],
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let ids: Vec<i64> = notifications.iter().map(|id| id.0).collect();
        let sql = sql!(select_deliveries!(), "d.notification_id ", among!("$1"));
        let mut rows = self.rows(sql, values![ids], delivery).await?;
        rows.sort_by_key(|row| (row.notification, row.channel, row.id));
        Ok(rows)
    }

    async fn attempts(&self, deliveries: &[DeliveryId]) -> Result<Vec<AttemptRow>, StoreError> {
        let sql = sql!(
            "SELECT delivery_id, number, started_at, took_ms, outcome, detail \
             FROM delivery_attempts WHERE delivery_id ",
            among!("$1"),
            " ORDER BY delivery_id, number"
        );
        let ids: Vec<i64> = deliveries.iter().map(|id| id.0).collect();
        self.rows(sql, values![ids], attempt).await
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        // Without the index's name SQLite would choose the one on the status, and sort.
        let sql = sql!(
            "SELECT channel, count(*) AS queued, min(due_at) AS first_due_at \
             FROM deliveries{ INDEXED BY deliveries_due|} \
             WHERE status = 'QUEUED' AND leased_until IS NULL GROUP BY channel"
        );
        let read = ReadRows { statement: Statement::new(sql, &[]), decode: waiting };
        self.read(Reads::Lists, read).await
    }
}

/// The filter's condition. The index begins with the status, so a filter by channel alone names all
/// statuses.
fn narrow(sql: &mut Build, DeliveryFilter { status, channel }: DeliveryFilter) {
    if let Some(status) = status {
        sql.push(" WHERE status = ").bind(status.as_str());
    } else {
        sql.push(" WHERE status IN ('QUEUED', 'SENT', 'FAILED', 'SUPPRESSED')");
    }
    if let Some(channel) = channel {
        sql.push(" AND channel = ").bind(channel.as_str());
    }
}

/// Within a part the index is ordered by id: no more rows of each part are read than the page
/// needs.
fn newest_of_each(sql: &mut Build, parts: &[(DeliveryStatus, Channel)], page: PageRequest) {
    let needed = page.offset().saturating_add(i64::from(page.page_size));
    let mut word = "";
    for (status, channel) in parts {
        sql.push(word).push("SELECT id FROM (SELECT id FROM deliveries WHERE status = ");
        sql.bind(status.as_str()).push(" AND channel = ").bind(channel.as_str());
        sql.push(" ORDER BY id DESC LIMIT ").bind(needed).push(") p");
        word = " UNION ALL ";
    }
}
