//! The sends that admins see, and their cancellation.

use async_trait::async_trait;
use bellpull_domain::ids::{ProjectId, SendId};
use bellpull_domain::plan::send::{Audience, Progress};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::Recipients;
use bellpull_port::send_log::{CancelSend, SendRow};
use bellpull_port::{Page, PageRequest, SendLog, StoreError};
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::columns::message_columns;
use super::transaction::failed;
use crate::error::corrupt;
use crate::rows::{get, get_name, get_time, json, message, text};

/// Sends `s`, each with its message. Of its audience only what is shown: it may have 10,000 names.
macro_rules! select_sends {
    ($which:literal) => {
        concat!(
            "SELECT s.id, s.channels, s.is_critical, s.recipients, s.told, s.cursor, s.status, \
             s.due_at, s.created_at AS taken_in_at, \
             CASE WHEN left(s.audience, 9) = '{\"users\":' THEN '{\"users\":[]}' \
             ELSE s.audience END AS audience, ",
            message_columns!(),
            " FROM sends s JOIN messages m ON m.id = s.message_id WHERE ",
            $which
        )
    };
}

#[async_trait]
impl SendLog for PostgresStore {
    async fn unfinished(&self, page: PageRequest) -> Result<Page<SendRow>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let sql = "SELECT count(*) FROM sends WHERE status = 'ACTIVE'";
        let count = sqlx::query_scalar(sql).fetch_one(&mut *snapshot).await.map_err(failed)?;
        let sql = select_sends!("s.status = 'ACTIVE' ORDER BY s.due_at, s.id LIMIT $1 OFFSET $2");
        let query = sqlx::query(sql).bind(i64::from(page.page_size)).bind(page.offset());
        let rows = query.fetch_all(&mut *snapshot).await.map_err(failed)?;
        Ok(Page { count, rows: rows.iter().map(send).collect::<Result<_, _>>()? })
    }

    async fn send(&self, id: SendId) -> Result<Option<SendRow>, StoreError> {
        let query = sqlx::query(select_sends!("s.id = $1")).bind(id.0);
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(send).transpose()
    }

    /// A chunk in progress is waited for: it holds the row's lock.
    async fn cancel_send(&self, id: SendId) -> Result<CancelSend, StoreError> {
        let mut work = self.begin().await?;
        let sql = "SELECT status, cursor > 0, told FROM sends WHERE id = $1 FOR UPDATE";
        let row: Option<(String, bool, i64)> =
            sqlx::query_as(sql).bind(id.0).fetch_optional(&mut *work).await.map_err(failed)?;
        let Some((status, was_begun, announced)) = row else { return Err(StoreError::NotFound) };
        let progress = Progress::from_name(&status).ok_or_else(|| corrupt("status"))?;
        if !progress.can_cancel() {
            return Ok(CancelSend::TooLate);
        }
        let sql = "UPDATE sends SET status = $1 WHERE id = $2";
        let query = sqlx::query(sql).bind(Progress::Cancelled.as_str()).bind(id.0);
        query.execute(&mut *work).await.map_err(failed)?;
        work.commit().await?;
        Ok(CancelSend::Cancelled { announced, was_begun })
    }
}

fn send(row: &PgRow) -> Result<SendRow, StoreError> {
    let recipients = match json(text(row, "audience")?)? {
        Audience::Users(_) => Recipients::Users(Vec::new()),
        Audience::Role(role) => Recipients::Role(role),
        Audience::Project(ProjectId(project)) => Recipients::Project(ProjectId(project)),
        Audience::All => Recipients::All,
    };
    let channels: Vec<Channel> = json(text(row, "channels")?)?;
    let progress = get_name(row, "status", Progress::from_name)?;
    Ok(SendRow {
        id: SendId(get(row, "id")?),
        message: message(row)?,
        recipients,
        channels: Channels::of(&channels),
        is_critical: get(row, "is_critical")?,
        status: progress.status(get::<i64, _>(row, "cursor")? > 0),
        total: get(row, "recipients")?,
        announced: get(row, "told")?,
        due_at: get_time(row, "due_at")?,
        created_at: get_time(row, "taken_in_at")?,
    })
}
