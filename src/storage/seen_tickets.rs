//! Searches of callers who may see few tickets: these are read first and their words second, the
//! same on both databases. The index of words knows nothing of rights. It would find the words in
//! the tickets of all, and a caller without any could keep it busy.

use bellpull_domain::plan::search_text;
use bellpull_domain::search::Search;
use bellpull_domain::ticket::{Ticket, VisibleTo};
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{Page, PageRequest};

use crate::engine::Build;
use crate::rows::select_tickets;

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
/// more than that. `None` if the caller sees all, or if nothing is searched.
pub(super) fn ids(filter: &TicketFilter) -> Option<Build> {
    // In this order: SQLite would read all tickets. PostgreSQL reads by an index whose order is
    // asked for, or it might read all tickets, too, to find those of a project.
    const OF_PROJECTS: &str = "CROSS JOIN {tickets t ON t.project_id = p.id\
        |LATERAL (SELECT t.id FROM tickets t WHERE t.project_id = p.id \
        ORDER BY t.number LIMIT 51) t}";
    let (user, with_projects) = match rule(filter) {
        VisibleTo::Own(user) => (user, false),
        VisibleTo::OwnAndProjects(user) => (user, true),
        VisibleTo::All => return None,
    };
    filter.search.as_ref()?;
    let mut sql = Build::new("SELECT id FROM (SELECT id FROM tickets WHERE created_by = ");
    sql.bind(user).push(" AND deleted_at IS NULL").push(LIMIT);
    sql.push(") r UNION SELECT id FROM (SELECT ticket_id AS id FROM ticket_assignees ");
    sql.push("WHERE user_id = ").bind(user).push(LIMIT).push(") a");
    if with_projects {
        sql.push(" UNION SELECT id FROM (SELECT t.id FROM (SELECT id FROM projects WHERE is_open ");
        sql.push("UNION SELECT project_id FROM project_members WHERE user_id = ");
        sql.bind(user).push(") p ").push(OF_PROJECTS).push(LIMIT).push(") o");
    }
    Some(sql)
}

/// The tickets with these ids that fulfil the filter's other conditions.
pub(super) fn rows(ids: Vec<i64>, filter: &TicketFilter) -> Build {
    let mut sql = Build::new(select_tickets!());
    sql.push(" WHERE t.deleted_at IS NULL AND t.id ");
    sql.push("{IN (SELECT value FROM json_each(|= ANY (}").bind(ids).push("){)|}");
    narrow(&mut sql, filter, Known::Nothing);
    sql.push(" ORDER BY {t.id|t.created_at DESC, t.id} DESC");
    sql
}

/// What is known of tickets before they are narrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Nothing,
    /// The filter's user may see them.
    Visible,
    /// The filter's creator raised them.
    Raised,
    /// The filter's developer is assigned to them.
    Assigned,
}

/// The conditions of the filter without its words, on tickets `t`.
pub(super) fn narrow(sql: &mut Build, filter: &TicketFilter, known: Known) {
    const ASSIGNED: &str = "(SELECT ticket_id FROM ticket_assignees WHERE user_id = ";
    match rule(filter) {
        VisibleTo::All => {}
        VisibleTo::Own(_) if known == Known::Visible => {}
        VisibleTo::Own(user) => {
            // Each half has an index, which an OR would not use.
            sql.push(" AND t.id IN (SELECT id FROM tickets WHERE created_by = ").bind(user);
            sql.push(" AND deleted_at IS NULL UNION SELECT ticket_id FROM ticket_assignees");
            sql.push(" WHERE user_id = ").bind(user).push(")");
        }
        VisibleTo::OwnAndProjects(user) => {
            sql.push(" AND (t.created_by = ").bind(user).push(" OR t.id IN ");
            sql.push(ASSIGNED).bind(user);
            sql.push(") OR t.project_id IN (SELECT id FROM projects WHERE is_open ");
            sql.push("UNION SELECT project_id FROM project_members WHERE user_id = ");
            sql.bind(user).push("))");
        }
    }
    if let Some(project) = filter.project {
        sql.push(" AND t.project_id = ").bind(project);
    }
    if let Some(user) = filter.created_by.filter(|_| known != Known::Raised) {
        sql.push(" AND t.created_by = ").bind(user);
    }
    if let Some(user) = filter.assigned_to.filter(|_| known != Known::Assigned) {
        sql.push(" AND t.id IN ").push(ASSIGNED).bind(user).push(")");
    }
    // The rows have these columns in front of the text.
    if let Some(status) = filter.status {
        sql.push(" AND t.status = ").bind(status.as_str());
    }
    if let Some(priority) = filter.priority {
        sql.push(" AND t.priority = ").bind(priority.as_str());
    }
}

/// A page of those of these tickets that the search finds. They are in the list's order.
pub(super) async fn found_in(
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
