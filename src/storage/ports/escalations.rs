//! Escalations as admins see them.

use async_trait::async_trait;
use bellpull_domain::escalation::{Escalation, POLICIES_MAX};
use bellpull_domain::event::Event;
use bellpull_domain::version::Version;
use bellpull_port::escalations::EscalationRow;
use bellpull_port::{EscalationStore, Page, PageRequest, StoreError};
use jiff::Timestamp;

use crate::engine::{
    Change, Db, Dialect, Engine, Failure, Operation, ReadPage, Reads, Row, Statement, sql, values,
};
use crate::rows::{get_time, json, text, to_json};

#[async_trait]
impl<D: Dialect> EscalationStore for Engine<D> {
    async fn escalations(&self, page: PageRequest) -> Result<Page<EscalationRow>, StoreError> {
        let count = sql!("SELECT count(*) FROM escalations");
        let rows = sql!(
            "SELECT event, steps, updated_at FROM escalations \
             ORDER BY event LIMIT $1 OFFSET $2"
        );
        let read = ReadPage {
            count: Statement::new(count, &[]),
            rows: Statement::new(rows, values![page.page_size, page.offset()]),
            decode: escalation,
        };
        self.read(Reads::Short, read).await
    }

    async fn escalation(&self, event: &Event) -> Result<Option<EscalationRow>, StoreError> {
        let sql = sql!("SELECT event, steps, updated_at FROM escalations WHERE event = $1");
        self.row(sql, values![event.as_str()], escalation).await
    }

    async fn set_escalation(
        &self,
        event: &Event,
        escalation: Escalation,
        seen: Option<Version>,
        now: Timestamp,
    ) -> Result<Option<EscalationRow>, StoreError> {
        self.write(Set { event: event.clone(), escalation, seen, now }).await
    }

    async fn remove_escalation(&self, event: &Event) -> Result<bool, StoreError> {
        let sql = sql!("DELETE FROM escalations WHERE event = $1");
        Ok(self.write(Change::new(sql, values![event.as_str()])).await? > 0)
    }
}

/// Sets an event's policy, unless there would be too many.
#[derive(Debug)]
struct Set {
    event: Event,
    escalation: Escalation,
    seen: Option<Version>,
    now: Timestamp,
}

impl Operation for Set {
    type Answer = Option<EscalationRow>;

    async fn run(&self, db: &mut Db<'_>) -> Result<Option<EscalationRow>, Failure> {
        let Self { event, escalation, seen, now } = self;
        // Two at once are counted one after the other. Readers are not held up.
        db.execute(sql!("{|LOCK TABLE escalations IN SHARE ROW EXCLUSIVE MODE}"), &[]).await?;
        let sql = sql!("SELECT updated_at FROM escalations WHERE event = $1");
        let before = db.int(sql, values![event.as_str()]).await?;
        if !Version(before.unwrap_or_default()).admits(*seen) {
            return Err(StoreError::Conflict.into());
        }
        let sql = sql!(
            "INSERT INTO escalations (event, steps, updated_at) SELECT $1, $2, $3 \
             WHERE (SELECT count(*) FROM escalations WHERE event <> $1) < $4 \
             ON CONFLICT (event) DO UPDATE SET steps = excluded.steps, \
             updated_at = excluded.updated_at"
        );
        let values = values![event.as_str(), to_json(escalation)?, *now, POLICIES_MAX];
        let is_set = db.execute(sql, values).await? > 0;
        Ok(is_set.then(|| EscalationRow {
            event: event.clone(),
            escalation: escalation.clone(),
            updated_at: *now,
        }))
    }
}

fn escalation(row: &Row) -> Result<EscalationRow, StoreError> {
    Ok(EscalationRow {
        event: Event::from_name(text(row, "event")?),
        escalation: json(text(row, "steps")?)?,
        updated_at: get_time(row, "updated_at")?,
    })
}
