//! Searches of callers who may see few tickets: these are read first and their words second, the
//! same on both databases. The index of words knows nothing of rights. It would find the words in
//! the tickets of all, and a caller without any could keep it busy.

use bellpull_domain::plan::search_text;
use bellpull_domain::search::Search;
use bellpull_domain::ticket::{Ticket, VisibleTo};
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{Page, PageRequest};
use sqlx::{Database, Encode, QueryBuilder, Type};

/// So many tickets are few. Their texts are read and folded for each search, and one text may have
/// 10,000 characters.
pub(super) const FEW: usize = 50;
/// Reads one more than few.
pub(super) const LIMIT: &str = " LIMIT 51";

/// Which tickets the filter's user may see: the domain's rule.
pub(super) fn rule(filter: &TicketFilter) -> VisibleTo {
    filter.visible_to.as_ref().map_or(VisibleTo::All, |(user, role)| VisibleTo::of(*user, role))
}

/// Reads the ids of the tickets that a search's caller may see; of more than [`FEW`] it reads some
/// more than that. `None` if the caller sees all, or if nothing is searched. `of_projects` joins
/// the tickets of the caller's projects `p`.
pub(super) fn ids<D: Database>(
    filter: &TicketFilter,
    of_projects: &'static str,
) -> Option<QueryBuilder<D>>
where
    i64: for<'q> Encode<'q, D> + Type<D>,
{
    let (user, with_projects) = match rule(filter) {
        VisibleTo::Own(user) => (user, false),
        VisibleTo::OwnAndProjects(user) => (user, true),
        VisibleTo::All => return None,
    };
    filter.search.as_ref()?;
    let mut sql = QueryBuilder::new("SELECT id FROM (SELECT id FROM tickets WHERE created_by = ");
    sql.push_bind(user.0).push(" AND deleted_at IS NULL").push(LIMIT);
    sql.push(") r UNION SELECT id FROM (SELECT ticket_id AS id FROM ticket_assignees ");
    sql.push("WHERE user_id = ").push_bind(user.0).push(LIMIT).push(") a");
    if with_projects {
        sql.push(" UNION SELECT id FROM (SELECT t.id FROM (SELECT id FROM projects WHERE is_open ");
        sql.push("UNION SELECT project_id FROM project_members WHERE user_id = ");
        sql.push_bind(user.0).push(") p ").push(of_projects).push(LIMIT).push(") o");
    }
    Some(sql)
}

/// A page of those of these tickets that the search finds. They are in the list's order.
pub(super) async fn page(
    tickets: Vec<Ticket>,
    search: Option<&Search>,
    page: PageRequest,
) -> Page<Ticket> {
    let mut found = Vec::new();
    for ticket in tickets {
        // Other tasks go on between two long texts.
        tokio::task::yield_now().await;
        let Ticket { key, title, description, .. } = &ticket;
        if search.is_none_or(|search| search.finds(&search_text(key, title, description))) {
            found.push(ticket);
        }
    }
    let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
    let before = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let size = usize::try_from(page.page_size).unwrap_or(usize::MAX);
    Page { count, rows: found.into_iter().skip(before).take(size).collect() }
}
