//! Tickets and their history.

use async_trait::async_trait;
use bellpull_domain::ids::{TicketId, UserId};
use bellpull_domain::ticket::{Decision, Status, Ticket};
use bellpull_domain::user::User;
use bellpull_port::tickets::{Committed, StoredEntry, TicketFilter};
use bellpull_port::{Page, PageRequest, ProjectStore, StoreError, TicketStore};

use super::ticket_lists::list;
use crate::engine::{Dialect, Engine, ReadPage, Reads, Row, Statement, among, sql, values};
use crate::error::corrupt;
use crate::rows::{
    Columns, get_name, get_time, int, select_tickets, string, ticket, user, user_columns,
};

#[async_trait]
impl<D: Dialect> TicketStore for Engine<D>
where
    Self: ProjectStore,
{
    async fn reserve_ticket_id(&self) -> Result<TicketId, StoreError> {
        Dialect::next_ticket_id(&**self).await
    }

    async fn ticket(&self, id: TicketId) -> Result<Option<Ticket>, StoreError> {
        let sql = sql!(select_tickets!(), " WHERE t.id = $1 AND t.deleted_at IS NULL");
        self.row(sql, values![id], ticket).await
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        let sql = sql!("SELECT ", user_columns!(), " FROM users u WHERE u.id ", among!("$1"));
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        self.rows(sql, values![ids], user).await
    }

    async fn commit(&self, decision: Decision) -> Result<Committed, StoreError> {
        Dialect::commit(&**self, decision).await
    }

    async fn tickets(
        &self,
        filter: &TicketFilter,
        page: PageRequest,
    ) -> Result<Page<Ticket>, StoreError> {
        if filter.search.as_ref().is_some_and(|search| search.terms().is_empty()) {
            return Ok(Page { count: 0, rows: Vec::new() });
        }
        list(&**self, filter.clone(), page).await
    }

    async fn history(
        &self,
        id: TicketId,
        page: PageRequest,
    ) -> Result<Page<StoredEntry>, StoreError> {
        let count =
            sql!("SELECT coalesce(max(version), 0) FROM ticket_history WHERE ticket_id = $1");
        // A ticket's versions have no gaps, so no row before the page is read.
        let rows = sql!(
            "SELECT version, action, from_status, to_status, actor_id, actor_name, note, \
             created_at FROM ticket_history WHERE ticket_id = $1 AND version > $2 \
             AND version <= $2 + $3 ORDER BY version"
        );
        let read = ReadPage {
            count: Statement::new(count, values![id]),
            rows: Statement::new(rows, values![id, page.offset(), page.page_size]),
            decode: entry,
        };
        self.read(Reads::Short, read).await
    }
}

fn entry(row: &Row) -> Result<StoredEntry, StoreError> {
    let from = row.text("from_status")?;
    let from = from.map(|name| Status::from_name(name).ok_or_else(|| corrupt("from_status")));
    Ok(StoredEntry {
        version: int(row, "version")?,
        action: string(row, "action")?,
        from: from.transpose()?,
        to: get_name(row, "to_status", Status::from_name)?,
        by: UserId(int(row, "actor_id")?),
        by_name: string(row, "actor_name")?,
        note: string(row, "note")?,
        at: get_time(row, "created_at")?,
    })
}
