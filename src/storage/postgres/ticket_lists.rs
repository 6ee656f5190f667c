//! Lists of tickets, the newest first.
//!
//! A list is read in two steps of one statement. First the ids of its page, from indexes alone if
//! the filters allow it; then the rows of these ids. So skipping to a deep page reads some bytes of
//! an index, not rows with their joins. The newest are those that were created last: the ids come
//! from blocks of several nodes and say nothing about time.

use bellpull_domain::ticket::{Ticket, VisibleTo};
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{Page, PageRequest, StoreError};
use sqlx::{Postgres, QueryBuilder};

use super::columns::{page_of, select_tickets};
use super::slow_reads::{READ_MAX, Snapshot};
use super::transaction::failed;
use super::words;
use crate::rows::ticket;
use crate::seen_tickets::{self, FEW, rule};

impl super::Postgres {
    /// A page of the tickets that match the filter; the count and the rows are of one snapshot.
    pub(super) async fn list_tickets(
        &self,
        filter: &TicketFilter,
        page: PageRequest,
    ) -> Result<Page<Ticket>, StoreError> {
        let filter = filter.clone();
        let reads = if filter.search.is_some() { &self.searches } else { &self.slow };
        let read = async move |mut snapshot: Snapshot| {
            if let Some(few) = few(&filter, &mut snapshot).await? {
                return Ok(seen_tickets::page(few, filter.search.as_ref(), page).await);
            }
            let mut sql = statement(&filter, page);
            let rows = sql.build().fetch_all(&mut *snapshot).await.map_err(failed)?;
            page_of(&rows, "id", ticket)
        };
        reads.read(READ_MAX, read).await
    }
}

/// The tickets that a search's caller may see and that fulfil its other conditions, if these are
/// few.
async fn few(
    filter: &TicketFilter,
    snapshot: &mut Snapshot,
) -> Result<Option<Vec<Ticket>>, StoreError> {
    // In the order of an index, or the server might read all tickets to find those of a project.
    let of_projects = "CROSS JOIN LATERAL (SELECT t.id FROM tickets t WHERE t.project_id = p.id \
                       ORDER BY t.number LIMIT 51) t";
    let Some(mut ids) = seen_tickets::ids(filter, of_projects) else { return Ok(None) };
    let ids: Vec<i64> =
        ids.build_query_scalar().fetch_all(&mut **snapshot).await.map_err(failed)?;
    if ids.len() > FEW {
        return Ok(None);
    }
    let mut sql = QueryBuilder::new(select_tickets!());
    sql.push(" WHERE t.deleted_at IS NULL AND t.id = ANY (").push_bind(ids).push(")");
    narrow(&mut sql, filter);
    sql.push(" ORDER BY t.created_at DESC, t.id DESC");
    let rows = sql.build().fetch_all(&mut **snapshot).await.map_err(failed)?;
    rows.iter().map(ticket).collect::<Result<_, _>>().map(Some)
}

/// The count of all, and a page of them.
fn statement(filter: &TicketFilter, page: PageRequest) -> QueryBuilder<Postgres> {
    // A search finds its tickets once, by the index of words. Left to itself the server would look
    // for the newest page among all tickets, one by one, for it cannot tell how rare a word is.
    let finds_once = filter.search.is_some();
    let from = |sql: &mut QueryBuilder<Postgres>| match finds_once {
        true => drop(sql.push("FROM found t")),
        false => push(sql, filter),
    };
    let mut sql = QueryBuilder::new("");
    if finds_once {
        sql.push("WITH found AS MATERIALIZED (SELECT t.id, t.created_at ");
        push(&mut sql, filter);
        sql.push(") ");
    }
    sql.push("SELECT c.count, p.* FROM (SELECT count(*) ");
    from(&mut sql);
    sql.push(") c LEFT JOIN (").push(select_tickets!()).push(" WHERE t.id IN (SELECT t.id ");
    from(&mut sql);
    sql.push(" ORDER BY t.created_at DESC, t.id DESC LIMIT ");
    sql.push_bind(i64::from(page.page_size)).push(" OFFSET ").push_bind(page.offset());
    sql.push(")) p ON TRUE ORDER BY p.created_at DESC, p.id DESC");
    sql
}

/// `FROM … WHERE …` with all conditions of the filter.
fn push(sql: &mut QueryBuilder<Postgres>, filter: &TicketFilter) {
    sql.push("FROM tickets t");
    let query = filter.search.as_ref().and_then(words::query);
    if query.is_some() {
        sql.push(" JOIN ticket_words w ON w.ticket_id = t.id");
    }
    sql.push(" WHERE t.deleted_at IS NULL");
    if let Some(query) = query {
        sql.push(" AND w.words @@ ").push_bind(query).push("::tsquery");
    }
    narrow(sql, filter);
}

/// The conditions of the filter without its words.
fn narrow(sql: &mut QueryBuilder<Postgres>, filter: &TicketFilter) {
    match rule(filter) {
        VisibleTo::All => {}
        VisibleTo::Own(user) => {
            // Each half has an index, which an OR would not use.
            sql.push(" AND t.id IN (SELECT id FROM tickets WHERE created_by = ").push_bind(user.0);
            sql.push(" AND deleted_at IS NULL UNION SELECT ticket_id FROM ticket_assignees");
            sql.push(" WHERE user_id = ").push_bind(user.0).push(")");
        }
        VisibleTo::OwnAndProjects(user) => {
            sql.push(" AND (t.created_by = ").push_bind(user.0).push(" OR t.id IN ");
            sql.push("(SELECT ticket_id FROM ticket_assignees WHERE user_id = ");
            sql.push_bind(user.0).push(") OR t.project_id IN (SELECT id FROM projects ");
            sql.push("WHERE is_open UNION SELECT project_id FROM project_members WHERE user_id = ");
            sql.push_bind(user.0).push("))");
        }
    }
    if let Some(project) = filter.project {
        sql.push(" AND t.project_id = ").push_bind(project.0);
    }
    if let Some(user) = filter.created_by {
        sql.push(" AND t.created_by = ").push_bind(user.0);
    }
    if let Some(user) = filter.assigned_to {
        sql.push(" AND t.id IN (SELECT ticket_id FROM ticket_assignees WHERE user_id = ");
        sql.push_bind(user.0).push(")");
    }
    if let Some(status) = filter.status {
        sql.push(" AND t.status = ").push_bind(status.as_str());
    }
    if let Some(priority) = filter.priority {
        sql.push(" AND t.priority = ").push_bind(priority.as_str());
    }
}
