//! Tickets and their history.

use async_trait::async_trait;
use bellpull_domain::ids::{TicketId, UserId};
use bellpull_domain::ticket::{Decision, Status, Ticket};
use bellpull_domain::user::User;
use bellpull_port::tickets::{Committed, StoredEntry, TicketFilter};
use bellpull_port::{Page, PageRequest, StoreError, TicketStore};
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::columns::{select_tickets, user_columns};
use super::error::{corrupt, unavailable};
use super::multi_row::id_list;
use super::rows::{get, get_name, get_time, ticket, user};
use super::writer::{Done, Write, mismatch};

#[async_trait]
impl TicketStore for SqliteStore {
    async fn reserve_ticket_id(&self) -> Result<TicketId, StoreError> {
        Ok(self.next_ticket_id())
    }

    async fn ticket(&self, id: TicketId) -> Result<Option<Ticket>, StoreError> {
        let sql = concat!(select_tickets!(), " WHERE t.id = ? AND t.deleted_at IS NULL");
        let row = sqlx::query(sql).bind(id.0).fetch_optional(&self.readers).await;
        row.map_err(unavailable)?.as_ref().map(ticket).transpose()
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        let sql = concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE id IN (SELECT value FROM json_each(?))"
        );
        let ids = id_list(ids.iter().map(|id| id.0));
        let rows = sqlx::query(sql).bind(ids).fetch_all(&self.readers).await;
        rows.map_err(unavailable)?.iter().map(user).collect()
    }

    async fn commit(&self, decision: Decision) -> Result<Committed, StoreError> {
        let Done::Committed(committed) =
            self.writer.write(Write::Commit(Box::new(decision))).await?
        else {
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
        let sql = "SELECT version, action, from_status, to_status, actor_id, actor_name, note, \
                   created_at FROM ticket_history WHERE ticket_id = ?1 AND version > ?2 \
                   AND version <= ?2 + ?3 ORDER BY version";
        let mut snapshot = self.readers.begin().await.map_err(unavailable)?;
        let count = "SELECT ifnull(max(version), 0) FROM ticket_history WHERE ticket_id = ?";
        let count = sqlx::query_scalar(count).bind(id.0).fetch_one(&mut *snapshot).await;
        let count = count.map_err(unavailable)?;
        let query = sqlx::query(sql).bind(id.0).bind(page.offset());
        let rows = query.bind(i64::from(page.page_size)).fetch_all(&mut *snapshot).await;
        let rows = rows.map_err(unavailable)?;
        Ok(Page { count, rows: rows.iter().map(entry).collect::<Result<_, _>>()? })
    }
}

fn entry(row: &SqliteRow) -> Result<StoredEntry, StoreError> {
    let from: Option<&str> = get(row, "from_status")?;
    let from = from.map(|name| Status::from_name(name).ok_or_else(|| corrupt("from_status")));
    Ok(StoredEntry {
        version: get(row, "version")?,
        action: get(row, "action")?,
        from: from.transpose()?,
        to: get_name(row, "to_status", Status::from_name)?,
        by: UserId(get(row, "actor_id")?),
        by_name: get(row, "actor_name")?,
        note: get(row, "note")?,
        at: get_time(row, "created_at")?,
    })
}
