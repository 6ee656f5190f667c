//! Tickets and their history.

use async_trait::async_trait;
use bellpull_actors::domain::ids::{TicketId, UserId};
use bellpull_actors::domain::ticket::{Decision, Status, Ticket};
use bellpull_actors::domain::user::{Role, User};
use bellpull_actors::port::tickets::{Committed, StoredEntry, TicketFilter};
use bellpull_actors::port::{Page, PageRequest, StoreError, TicketStore};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite};

use super::SqliteStore;
use super::error::{corrupt, unavailable};
use super::multi_row::id_list;
use super::rows::{
    containing, get, get_name, get_time, select_tickets, ticket, user, user_columns,
};
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
        // Count and page from one snapshot.
        let mut snapshot = self.readers.begin().await.map_err(unavailable)?;
        let mut count = QueryBuilder::new(
            "SELECT count(*) FROM tickets t JOIN projects p ON p.id = t.project_id",
        );
        narrow(&mut count, filter);
        let count =
            count.build_query_scalar().fetch_one(&mut *snapshot).await.map_err(unavailable)?;
        let mut rows = QueryBuilder::new(select_tickets!());
        narrow(&mut rows, filter);
        rows.push(" ORDER BY t.id DESC LIMIT ").push_bind(i64::from(page.page_size));
        rows.push(" OFFSET ").push_bind(page.offset());
        let rows = rows.build().fetch_all(&mut *snapshot).await.map_err(unavailable)?;
        Ok(Page { count, rows: rows.iter().map(ticket).collect::<Result<_, _>>()? })
    }

    async fn history(
        &self,
        id: TicketId,
        page: PageRequest,
    ) -> Result<Page<StoredEntry>, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(unavailable)?;
        let count = sqlx::query_scalar("SELECT count(*) FROM ticket_history WHERE ticket_id = ?")
            .bind(id.0)
            .fetch_one(&mut *snapshot)
            .await
            .map_err(unavailable)?;
        let sql = "SELECT version, action, from_status, to_status, actor_id, actor_name, note, \
                   created_at FROM ticket_history WHERE ticket_id = ? ORDER BY version \
                   LIMIT ? OFFSET ?";
        let rows = sqlx::query(sql)
            .bind(id.0)
            .bind(i64::from(page.page_size))
            .bind(page.offset())
            .fetch_all(&mut *snapshot)
            .await
            .map_err(unavailable)?;
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

/// What the filter leaves of the tickets `t` of the projects `p`.
fn narrow(sql: &mut QueryBuilder<Sqlite>, filter: &TicketFilter) {
    sql.push(" WHERE t.deleted_at IS NULL");
    if let Some((user, role)) = &filter.visible_to
        && !role.is_admin()
    {
        sql.push(" AND (t.created_by = ").push_bind(user.0);
        sql.push(
            " OR EXISTS (SELECT 1 FROM ticket_assignees v \
             WHERE v.ticket_id = t.id AND v.user_id = ",
        );
        sql.push_bind(user.0).push(")");
        if *role == Role::Developer {
            sql.push(
                " OR p.is_open = 1 OR EXISTS (SELECT 1 FROM project_members m \
                 WHERE m.project_id = t.project_id AND m.user_id = ",
            );
            sql.push_bind(user.0).push(")");
        }
        sql.push(")");
    }
    if let Some(status) = filter.status {
        sql.push(" AND t.status = ").push_bind(status.as_str());
    }
    if let Some(project) = filter.project {
        sql.push(" AND t.project_id = ").push_bind(project.0);
    }
    if let Some(priority) = filter.priority {
        sql.push(" AND t.priority = ").push_bind(priority.as_str());
    }
    if let Some(user) = filter.assigned_to {
        sql.push(" AND t.id IN (SELECT ticket_id FROM ticket_assignees WHERE user_id = ");
        sql.push_bind(user.0).push(")");
    }
    if let Some(user) = filter.created_by {
        sql.push(" AND t.created_by = ").push_bind(user.0);
    }
    if let Some(text) = &filter.search {
        let pattern = containing(text);
        sql.push(" AND (t.title LIKE ").push_bind(pattern.clone()).push(" ESCAPE '\\'");
        sql.push(" OR t.description LIKE ").push_bind(pattern.clone()).push(" ESCAPE '\\'");
        sql.push(" OR p.key || '-' || t.number LIKE ").push_bind(pattern);
        sql.push(" ESCAPE '\\')");
    }
}
