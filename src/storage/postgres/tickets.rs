//! Tickets and their history.

use async_trait::async_trait;
use bellpull_domain::ids::{TicketId, UserId};
use bellpull_domain::ticket::{Decision, Status, Ticket};
use bellpull_domain::user::User;
use bellpull_port::tickets::{Committed, StoredEntry, TicketFilter};
use bellpull_port::{Page, PageRequest, StoreError, TicketStore};
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::columns::{page_of, select_tickets, user_columns};
use super::ids::Sequence;
use super::transaction::failed;
use super::writer::{Done, Write, mismatch};
use crate::error::corrupt;
use crate::rows::{Columns, get_name, get_time, int, string, ticket, user};

#[async_trait]
impl TicketStore for PostgresStore {
    async fn reserve_ticket_id(&self) -> Result<TicketId, StoreError> {
        self.next_id(Sequence::Tickets).await.map(TicketId)
    }

    async fn ticket(&self, id: TicketId) -> Result<Option<Ticket>, StoreError> {
        let sql = concat!(select_tickets!(), " WHERE t.id = $1 AND t.deleted_at IS NULL");
        let row = sqlx::query(sql).bind(id.0).fetch_optional(self.pool.by_key()).await;
        row.map_err(failed)?.as_ref().map(ticket).transpose()
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        let sql = concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = ANY($1)");
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query(sql).bind(ids).fetch_all(self.pool.by_key()).await;
        rows.map_err(failed)?.iter().map(user).collect()
    }

    async fn commit(&self, decision: Decision) -> Result<Committed, StoreError> {
        let write = Write::Commit(Box::new(decision));
        let Done::Committed(committed) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        Ok(*committed)
    }

    async fn tickets(
        &self,
        filter: &TicketFilter,
        page: PageRequest,
    ) -> Result<Page<Ticket>, StoreError> {
        self.list_tickets(filter, page).await
    }

    async fn history(
        &self,
        id: TicketId,
        page: PageRequest,
    ) -> Result<Page<StoredEntry>, StoreError> {
        // A ticket's versions have no gaps, so no row before the page is read.
        let sql = "SELECT c.count, p.* FROM (SELECT coalesce(max(version), 0) AS count \
                   FROM ticket_history WHERE ticket_id = $1) c LEFT JOIN \
                   (SELECT version, action, from_status, to_status, actor_id, \
                   actor_name, note, created_at FROM ticket_history WHERE ticket_id = $1 \
                   AND version > $2 AND version <= $2 + $3) p ON TRUE ORDER BY p.version";
        let query = sqlx::query(sql).bind(id.0).bind(page.offset());
        let rows = query.bind(i64::from(page.page_size)).fetch_all(&self.pool).await;
        page_of(&rows.map_err(failed)?, "version", entry)
    }
}

fn entry(row: &PgRow) -> Result<StoredEntry, StoreError> {
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
