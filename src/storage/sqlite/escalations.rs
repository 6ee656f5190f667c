//! Escalations as admins see them.

use async_trait::async_trait;
use bellpull_domain::escalation::Escalation;
use bellpull_domain::event::Event;
use bellpull_domain::version::Version;
use bellpull_port::escalations::EscalationRow;
use bellpull_port::{EscalationStore, Page, PageRequest, StoreError};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::error::unavailable;
use super::rows::{get, get_time, json};
use super::writer::{Done, Write, mismatch};

#[async_trait]
impl EscalationStore for SqliteStore {
    async fn escalations(&self, page: PageRequest) -> Result<Page<EscalationRow>, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(unavailable)?;
        let count = sqlx::query_scalar("SELECT count(*) FROM escalations");
        let count = count.fetch_one(&mut *snapshot).await.map_err(unavailable)?;
        let sql = "SELECT event, steps, updated_at FROM escalations \
                   ORDER BY event LIMIT ? OFFSET ?";
        let query = sqlx::query(sql).bind(i64::from(page.page_size)).bind(page.offset());
        let rows = query.fetch_all(&mut *snapshot).await.map_err(unavailable)?;
        Ok(Page { count, rows: rows.iter().map(escalation).collect::<Result<_, _>>()? })
    }

    async fn escalation(&self, event: &Event) -> Result<Option<EscalationRow>, StoreError> {
        let sql = "SELECT event, steps, updated_at FROM escalations WHERE event = ?";
        let query = sqlx::query(sql).bind(event.as_str());
        let row = query.fetch_optional(&self.readers).await.map_err(unavailable)?;
        row.as_ref().map(escalation).transpose()
    }

    async fn set_escalation(
        &self,
        event: &Event,
        escalation: Escalation,
        seen: Option<Version>,
        now: Timestamp,
    ) -> Result<Option<EscalationRow>, StoreError> {
        let escalation = Box::new(escalation);
        let write = Write::SetEscalation { event: event.clone(), escalation, seen, now };
        let Done::Escalation(row) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        Ok(row.map(|row| *row))
    }

    async fn remove_escalation(&self, event: &Event) -> Result<bool, StoreError> {
        let write = Write::RemoveEscalation(event.clone());
        let Done::Changed(rows) = self.writer.write(write).await? else { return Err(mismatch()) };
        Ok(rows > 0)
    }
}

fn escalation(row: &SqliteRow) -> Result<EscalationRow, StoreError> {
    Ok(EscalationRow {
        event: Event::from_name(get(row, "event")?),
        escalation: json(get(row, "steps")?)?,
        updated_at: get_time(row, "updated_at")?,
    })
}
