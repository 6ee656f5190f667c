//! Sends as admins see them.

use async_trait::async_trait;
use bellpull_domain::ids::{ProjectId, SendId};
use bellpull_domain::plan::send::Progress;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::Recipients;
use bellpull_domain::user::Role;
use bellpull_port::send_log::{CancelSend, SendRow};
use bellpull_port::{Page, PageRequest, SendLog, StoreError};
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::columns::message_columns;
use super::error::{corrupt, unavailable};
use super::rows::{get, get_time, json, message};
use super::slow_reads::{READ_MAX, read_error};
use super::writer::{Done, Write, mismatch};

/// Sends `s`, each with its message. Of its audience only what is shown: it may have 10,000 names.
macro_rules! select_sends {
    ($which:literal) => {
        concat!(
            "SELECT s.id, s.channels, s.is_critical, s.recipients, s.told, s.cursor, s.status, \
             s.due_at, s.created_at AS taken_in_at, s.audience ->> '$.role' AS role, \
             s.audience ->> '$.project' AS project, s.audience = '\"all\"' AS is_all, ",
            message_columns!(),
            " FROM sends s JOIN messages m ON m.id = s.message_id WHERE s.id ",
            $which
        )
    };
}

#[async_trait]
impl SendLog for SqliteStore {
    async fn unfinished(&self, page: PageRequest) -> Result<Page<SendRow>, StoreError> {
        let mut read = self.slow.begin(READ_MAX).await?;
        let mut snapshot = read.snapshot().await?;
        let count = sqlx::query_scalar("SELECT count(*) FROM sends WHERE status = 'ACTIVE'");
        let count = count.fetch_one(&mut *snapshot).await.map_err(read_error)?;
        let sql = select_sends!(
            "IN (SELECT id FROM sends WHERE status = 'ACTIVE' ORDER BY due_at, id \
             LIMIT ? OFFSET ?) ORDER BY s.due_at, s.id"
        );
        let query = sqlx::query(sql).bind(i64::from(page.page_size)).bind(page.offset());
        let rows = query.fetch_all(&mut *snapshot).await.map_err(read_error)?;
        Ok(Page { count, rows: rows.iter().map(send).collect::<Result<_, _>>()? })
    }

    async fn send(&self, id: SendId) -> Result<Option<SendRow>, StoreError> {
        let query = sqlx::query(select_sends!("= ?")).bind(id.0);
        let row = query.fetch_optional(&self.readers).await.map_err(unavailable)?;
        row.as_ref().map(send).transpose()
    }

    async fn cancel_send(&self, id: SendId) -> Result<CancelSend, StoreError> {
        let Done::Cancelled(outcome) = self.writer.write(Write::CancelSend(id)).await? else {
            return Err(mismatch());
        };
        Ok(outcome)
    }
}

fn send(row: &SqliteRow) -> Result<SendRow, StoreError> {
    let role: Option<&str> = get(row, "role")?;
    let project: Option<i64> = get(row, "project")?;
    let recipients = match (role, project, get(row, "is_all")?) {
        (Some(role), _, _) => {
            Recipients::Role(role.parse::<Role>().map_err(|_| corrupt("audience"))?)
        }
        (None, Some(project), _) => Recipients::Project(ProjectId(project)),
        (None, None, true) => Recipients::All,
        (None, None, false) => Recipients::Users(Vec::new()),
    };
    let channels: Vec<Channel> = json(get(row, "channels")?)?;
    let progress = Progress::from_name(get(row, "status")?).ok_or_else(|| corrupt("status"))?;
    let status = progress.status(get::<i64, _>(row, "cursor")? > 0);
    Ok(SendRow {
        id: SendId(get(row, "id")?),
        message: message(row)?,
        recipients,
        channels: Channels::of(&channels),
        is_critical: get(row, "is_critical")?,
        status,
        total: get(row, "recipients")?,
        announced: get(row, "told")?,
        due_at: get_time(row, "due_at")?,
        created_at: get_time(row, "taken_in_at")?,
    })
}
