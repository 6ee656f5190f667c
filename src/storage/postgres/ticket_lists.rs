//! Lists of tickets. The newest are those that were created last: the ids come from blocks of
//! several nodes and say nothing about time.

use bellpull_port::PageRequest;
use bellpull_port::tickets::TicketFilter;

use super::words;
use crate::engine::Build;
use crate::rows::select_tickets;
use crate::seen_tickets::{Known, narrow};

/// How many tickets match the filter, and a page of them: for [`page_of`](crate::rows::page_of), by
/// the column `id`.
pub(in super::super) fn list_tickets(filter: &TicketFilter, page: PageRequest) -> Build {
    // A search finds its tickets once, by the index of words. Left to itself the server would look
    // for the newest page among all tickets, one by one, for it cannot tell how rare a word is.
    let finds_once = filter.search.is_some();
    let from = |sql: &mut Build| match finds_once {
        true => drop(sql.push("FROM found t")),
        false => push(sql, filter),
    };
    let mut sql = Build::new("");
    if finds_once {
        sql.push("WITH found AS MATERIALIZED (SELECT t.id, t.created_at ");
        push(&mut sql, filter);
        sql.push(") ");
    }
    sql.push("SELECT c.count, p.* FROM (SELECT count(*) ");
    from(&mut sql);
    sql.push(") c LEFT JOIN (").push(select_tickets!()).push(" WHERE t.id IN (SELECT t.id ");
    from(&mut sql);
    sql.push(" ORDER BY t.created_at DESC, t.id DESC LIMIT ").bind(page.page_size);
    sql.push(" OFFSET ").bind(page.offset());
    sql.push(")) p ON TRUE ORDER BY p.created_at DESC, p.id DESC");
    sql
}

/// `FROM … WHERE …` with all conditions of the filter.
fn push(sql: &mut Build, filter: &TicketFilter) {
    sql.push("FROM tickets t");
    let query = filter.search.as_ref().and_then(words::query);
    if query.is_some() {
        sql.push(" JOIN ticket_words w ON w.ticket_id = t.id");
    }
    sql.push(" WHERE t.deleted_at IS NULL");
    if let Some(query) = query {
        sql.push(" AND w.words @@ ").bind(query).push("::tsquery");
    }
    narrow(sql, filter, Known::Nothing);
}
