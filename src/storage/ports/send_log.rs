//! The sends that admins see, and their cancellation.

use async_trait::async_trait;
use bellpull_domain::ids::SendId;
use bellpull_domain::plan::send::{Audience, Progress};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::Recipients;
use bellpull_port::send_log::{CancelSend, SendRow};
use bellpull_port::{Page, PageRequest, SendLog, StoreError};

use crate::engine::{
    Db, Dialect, Engine, Failure, Operation, ReadPage, Reads, Row, Statement, sql, values,
};
use crate::rows::{Columns, get_name, get_time, int, json, message, message_columns, text};

/// Sends `s`, each with its message. Of its audience only what is shown: it may have 10,000 names.
macro_rules! select_sends {
    ($which:literal) => {
        concat!(
            "SELECT s.id, s.channels, s.is_critical, s.recipients, s.told, s.cursor, s.status, \
             s.due_at, s.created_at AS taken_in_at, \
             CASE WHEN substr(s.audience, 1, 9) = '{\"users\":' THEN '{\"users\":[]}' \
             ELSE s.audience END AS audience, ",
            message_columns!(),
            " FROM sends s JOIN messages m ON m.id = s.message_id WHERE s.id ",
            $which
        )
    };
}

#[async_trait]
impl<D: Dialect> SendLog for Engine<D> {
    async fn unfinished(&self, page: PageRequest) -> Result<Page<SendRow>, StoreError> {
        let count = sql!("SELECT count(*) FROM sends WHERE status = 'ACTIVE'");
        let rows = sql!(select_sends!(
            "IN (SELECT id FROM sends WHERE status = 'ACTIVE' ORDER BY due_at, id \
             LIMIT $1 OFFSET $2) ORDER BY s.due_at, s.id"
        ));
        let read = ReadPage {
            count: Statement::new(count, &[]),
            rows: Statement::new(rows, values![page.page_size, page.offset()]),
            decode: send,
        };
        self.read(Reads::Lists, read).await
    }

    async fn send(&self, id: SendId) -> Result<Option<SendRow>, StoreError> {
        self.row(sql!(select_sends!("= $1")), values![id], send).await
    }

    async fn cancel_send(&self, id: SendId) -> Result<CancelSend, StoreError> {
        self.write(Cancel(id)).await
    }
}

/// Cancels a send. A chunk in progress is waited for: it holds the row's lock.
#[derive(Debug)]
struct Cancel(SendId);

impl Operation for Cancel {
    type Answer = CancelSend;

    async fn run(&self, db: &mut Db<'_>) -> Result<CancelSend, Failure> {
        let sql = sql!("SELECT status, cursor, told FROM sends WHERE id = $1{| FOR UPDATE}");
        let found = |row: &Row| {
            let progress = get_name(row, "status", Progress::from_name)?;
            Ok((progress, int(row, "cursor")? > 0, int(row, "told")?))
        };
        let found = db.optional(sql, values![self.0], found).await?;
        let (progress, was_begun, announced) = found.ok_or(StoreError::NotFound)?;
        if !progress.can_cancel() {
            return Ok(CancelSend::TooLate);
        }
        let sql = sql!("UPDATE sends SET status = $1 WHERE id = $2");
        db.execute(sql, values![Progress::Cancelled.as_str(), self.0]).await?;
        Ok(CancelSend::Cancelled { announced, was_begun })
    }
}

fn send(row: &Row) -> Result<SendRow, StoreError> {
    let recipients = match json(text(row, "audience")?)? {
        Audience::Users(_) => Recipients::Users(Vec::new()),
        Audience::Role(role) => Recipients::Role(role),
        Audience::Project(project) => Recipients::Project(project),
        Audience::All => Recipients::All,
    };
    let channels: Vec<Channel> = json(text(row, "channels")?)?;
    let progress = get_name(row, "status", Progress::from_name)?;
    Ok(SendRow {
        id: SendId(int(row, "id")?),
        message: message(row)?,
        recipients,
        channels: Channels::of(&channels),
        is_critical: row.flag("is_critical")?,
        status: progress.status(int(row, "cursor")? > 0),
        total: int(row, "recipients")?,
        announced: int(row, "told")?,
        due_at: get_time(row, "due_at")?,
        created_at: get_time(row, "taken_in_at")?,
    })
}
