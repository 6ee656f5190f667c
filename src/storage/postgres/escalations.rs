//! Escalations as admins see them.

use async_trait::async_trait;
use bellpull_domain::escalation::{Escalation, POLICIES_MAX};
use bellpull_domain::event::Event;
use bellpull_domain::version::Version;
use bellpull_port::escalations::EscalationRow;
use bellpull_port::{EscalationStore, Page, PageRequest, StoreError};
use jiff::Timestamp;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::transaction::failed;
use crate::rows::{get_time, json, text, to_json};

#[async_trait]
impl EscalationStore for PostgresStore {
    async fn escalations(&self, page: PageRequest) -> Result<Page<EscalationRow>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let count = sqlx::query_scalar("SELECT count(*) FROM escalations");
        let count = count.fetch_one(&mut *snapshot).await.map_err(failed)?;
        let sql = "SELECT event, steps, updated_at FROM escalations \
                   ORDER BY event LIMIT $1 OFFSET $2";
        let query = sqlx::query(sql).bind(i64::from(page.page_size)).bind(page.offset());
        let rows = query.fetch_all(&mut *snapshot).await.map_err(failed)?;
        Ok(Page { count, rows: rows.iter().map(escalation).collect::<Result<_, _>>()? })
    }

    async fn escalation(&self, event: &Event) -> Result<Option<EscalationRow>, StoreError> {
        let sql = "SELECT event, steps, updated_at FROM escalations WHERE event = $1";
        let query = sqlx::query(sql).bind(event.as_str());
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(escalation).transpose()
    }

    async fn set_escalation(
        &self,
        event: &Event,
        escalation: Escalation,
        seen: Option<Version>,
        now: Timestamp,
    ) -> Result<Option<EscalationRow>, StoreError> {
        let mut work = self.begin().await?;
        // Two at once are counted one after the other. Readers are not held up.
        let lock = "LOCK TABLE escalations IN SHARE ROW EXCLUSIVE MODE";
        sqlx::query(lock).execute(&mut *work).await.map_err(failed)?;
        let sql = "SELECT updated_at FROM escalations WHERE event = $1";
        let before = sqlx::query_scalar(sql).bind(event.as_str());
        let before: Option<i64> = before.fetch_optional(&mut *work).await.map_err(failed)?;
        if !Version(before.unwrap_or_default()).admits(seen) {
            return Err(StoreError::Conflict);
        }
        let sql = "INSERT INTO escalations (event, steps, updated_at) SELECT $1, $2, $3 \
                   WHERE (SELECT count(*) FROM escalations WHERE event <> $1) < $4 \
                   ON CONFLICT (event) DO UPDATE SET steps = excluded.steps, \
                   updated_at = excluded.updated_at";
        let query = sqlx::query(sql).bind(event.as_str()).bind(to_json(&escalation)?);
        let query = query.bind(now.as_millisecond()).bind(POLICIES_MAX);
        let is_set = query.execute(&mut *work).await.map_err(failed)?.rows_affected() > 0;
        work.commit().await?;
        let row = || EscalationRow { event: event.clone(), escalation, updated_at: now };
        Ok(is_set.then(row))
    }

    async fn remove_escalation(&self, event: &Event) -> Result<bool, StoreError> {
        let mut work = self.begin().await?;
        let query = sqlx::query("DELETE FROM escalations WHERE event = $1").bind(event.as_str());
        let removed = query.execute(&mut *work).await.map_err(failed)?.rows_affected();
        work.commit().await?;
        Ok(removed > 0)
    }
}

fn escalation(row: &PgRow) -> Result<EscalationRow, StoreError> {
    Ok(EscalationRow {
        event: Event::from_name(text(row, "event")?),
        escalation: json(text(row, "steps")?)?,
        updated_at: get_time(row, "updated_at")?,
    })
}
