//! Lists of tickets: which index the ids of a page are read from. The full-text index for a search
//! of a caller who sees more than a few, else the tickets of the user or the developer that the
//! filters name, else the index of all tickets.

use bellpull_domain::ids::UserId;
use bellpull_domain::search::{Search, Term};
use bellpull_domain::ticket::VisibleTo;
use bellpull_port::PageRequest;
use bellpull_port::tickets::TicketFilter;

use crate::engine::Build;
use crate::rows::select_tickets;
use crate::seen_tickets::{Known, narrow, rule};

/// How many tickets match the filter, and a page of them.
pub(in super::super) fn list_tickets(filter: &TicketFilter, page: PageRequest) -> (Build, Build) {
    (count(filter), rows(filter, page))
}

/// How many tickets match the filter.
fn count(filter: &TicketFilter) -> Build {
    let mut sql = Build::new("SELECT count(*) ");
    Lead::of(filter).push(&mut sql, filter);
    sql
}

/// A page of them, the newest first.
fn rows(filter: &TicketFilter, page: PageRequest) -> Build {
    let lead = Lead::of(filter);
    let mut sql = Build::new(select_tickets!());
    sql.push(" WHERE t.id IN (SELECT ").push(lead.id()).push(" ");
    lead.push(&mut sql, filter);
    sql.push(" ORDER BY ").push(lead.id()).push(" DESC LIMIT ");
    sql.bind(page.page_size).push(" OFFSET ").bind(page.offset());
    sql.push(") ORDER BY t.id DESC");
    sql
}

/// Where the ids come from, the newest first.
#[derive(Debug, Clone, Copy)]
enum Lead<'a> {
    /// The full-text index.
    Words(&'a Search),
    /// Tickets that this user created.
    Raised(UserId),
    /// Tickets that this developer is assigned to.
    Assigned(UserId),
    /// Tickets that this user created or is assigned to. These ids are sorted; they are one user's.
    Own(UserId),
    /// All tickets. With a status or a priority, their rows; else their index.
    All,
}

impl<'a> Lead<'a> {
    fn of(filter: &'a TicketFilter) -> Self {
        if let Some(search) = &filter.search {
            Self::Words(search)
        } else if let Some(user) = filter.created_by {
            Self::Raised(user)
        } else if let Some(user) = filter.assigned_to {
            Self::Assigned(user)
        } else {
            match rule(filter) {
                VisibleTo::Own(user) => Self::Own(user),
                VisibleTo::OwnAndProjects(_) | VisibleTo::All => Self::All,
            }
        }
    }

    /// The id column that its index is ordered by.
    fn id(self) -> &'static str {
        match self {
            Self::Words(_) => "w.rowid",
            Self::Assigned(_) => "a.ticket_id",
            Self::Own(_) => "own.id",
            Self::Raised(_) | Self::All => "t.id",
        }
    }

    /// `FROM … WHERE …` with all conditions of the filter.
    fn push(self, sql: &mut Build, filter: &TicketFilter) {
        const LIVE: &str = "tickets t INDEXED BY tickets_live ON t.id = ";
        match self {
            Self::Words(search) => {
                sql.push("FROM ticket_words w");
                // A deleted ticket is not in the full-text index.
                let is_narrowed = is_narrowed(filter);
                if is_narrowed {
                    sql.push(" CROSS JOIN ").push(LIVE).push("w.rowid");
                }
                sql.push(" WHERE w.ticket_words MATCH ").bind(words(search));
                if is_narrowed {
                    sql.push(" AND t.deleted_at IS NULL");
                }
            }
            Self::Raised(user) => {
                sql.push("FROM tickets t INDEXED BY tickets_creator WHERE t.created_by = ");
                sql.bind(user).push(" AND t.deleted_at IS NULL");
            }
            Self::Assigned(user) => {
                sql.push("FROM ticket_assignees a CROSS JOIN ").push(LIVE).push("a.ticket_id");
                sql.push(" WHERE a.user_id = ").bind(user);
                sql.push(" AND t.deleted_at IS NULL");
            }
            Self::Own(user) => {
                sql.push("FROM (SELECT id FROM tickets INDEXED BY tickets_creator");
                sql.push(" WHERE created_by = ").bind(user);
                sql.push(" AND deleted_at IS NULL UNION SELECT ticket_id FROM ticket_assignees");
                sql.push(" WHERE user_id = ").bind(user).push(") own CROSS JOIN ");
                sql.push(LIVE).push("own.id WHERE t.deleted_at IS NULL");
            }
            // Only the rows have the status and the priority, so the index would only add lookups.
            // Every step of the workflow would have to write an index of them.
            Self::All => {
                let needs_rows = filter.status.is_some() || filter.priority.is_some();
                let index = if needs_rows { "NOT INDEXED" } else { "INDEXED BY tickets_live" };
                sql.push("FROM tickets t ").push(index).push(" WHERE t.deleted_at IS NULL");
            }
        }
        narrow(sql, filter, self.known());
    }

    /// What its tickets have in common.
    fn known(self) -> Known {
        match self {
            Self::Raised(_) => Known::Raised,
            Self::Assigned(_) => Known::Assigned,
            Self::Own(_) => Known::Visible,
            Self::Words(_) | Self::All => Known::Nothing,
        }
    }
}

/// Whether a filter has more conditions than its words.
fn is_narrowed(filter: &TicketFilter) -> bool {
    let TicketFilter { visible_to, status, project, priority, assigned_to, created_by, search: _ } =
        filter;
    visible_to.as_ref().is_some_and(|_| rule(filter) != VisibleTo::All)
        || status.is_some()
        || project.is_some()
        || priority.is_some()
        || assigned_to.is_some()
        || created_by.is_some()
}

/// A query in FTS5's syntax: `"web 5" AND "door" *`. Words have letters, digits and marks only, so
/// nothing within the quotes is special.
fn words(search: &Search) -> String {
    let term = |term: &Term| {
        let mark = if term.is_prefix { " *" } else { "" };
        format!("\"{}\"{mark}", term.words.join(" "))
    };
    search.terms().iter().map(term).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::super::{SqliteStore, StoreOptions};
    use super::*;
    use crate::seen_tickets;
    use bellpull_domain::ids::ProjectId;
    use bellpull_domain::ticket::{Priority, Status};
    use bellpull_domain::user::Role;

    /// SQLite's query plan.
    fn plan(store: &SqliteStore, sql: &str) -> Vec<String> {
        let connection = rusqlite::Connection::open(&store.path).unwrap();
        let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // Parameters that are not bound are NULL.
        let lines = explained.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>();
        lines.unwrap()
    }

    fn filters() -> Vec<TicketFilter> {
        let all = TicketFilter::default;
        let seen = |role| TicketFilter { visible_to: Some((UserId(1), role)), ..all() };
        let roles = [Role::Admin, Role::Developer, Role::Client];
        let search = || Some(Search::of("a b-c").unwrap());
        let mut filters = Vec::new();
        for base in std::iter::once(all()).chain(roles.map(seen)) {
            let base = || base.clone();
            filters.extend([
                base(),
                TicketFilter { search: search(), ..base() },
                TicketFilter { search: search(), status: Some(Status::New), ..base() },
                TicketFilter { created_by: Some(UserId(2)), ..base() },
                TicketFilter { assigned_to: Some(UserId(2)), ..base() },
                TicketFilter { project: Some(ProjectId(1)), ..base() },
                TicketFilter { status: Some(Status::New), ..base() },
                TicketFilter {
                    status: Some(Status::New),
                    priority: Some(Priority::Low),
                    assigned_to: Some(UserId(3)),
                    created_by: Some(UserId(2)),
                    ..base()
                },
            ]);
        }
        filters
    }

    #[tokio::test]
    async fn no_list_reads_the_table_from_end_to_end_or_sorts_it() {
        let store = SqliteStore::open("sqlite::memory:", StoreOptions::default()).await.unwrap();
        let page = PageRequest { page: 3, page_size: 20 };
        for filter in filters() {
            let is_own = matches!(Lead::of(&filter), Lead::Own(_));
            for sql in [
                count(&filter).done().sqlite().to_owned(),
                rows(&filter, page).done().sqlite().to_owned(),
            ] {
                let plan = plan(&store, &sql);
                let needs_rows = filter.status.is_some()
                    || filter.project.is_some()
                    || filter.created_by.is_some();
                for line in &plan {
                    let is_scan = line.starts_with("SCAN t") && !line.contains(" INDEX ");
                    assert!(!is_scan || filter.status.is_some(), "{sql}: {plan:#?}");
                    let reads_rows = line.contains(" t USING INDEX");
                    assert!(needs_rows || !reads_rows, "{sql}: {plan:#?}");
                    let sorts = line.contains("TEMP B-TREE FOR ORDER BY");
                    assert!(is_own || !sorts, "{sql}: {plan:#?}");
                }
            }
        }
        for role in [Role::Developer, Role::Client] {
            let visible_to = Some((UserId(1), role));
            let search = Some(Search::of("a").unwrap());
            let filter = TicketFilter { visible_to, search, ..TicketFilter::default() };
            let ids = seen_tickets::ids(&filter).unwrap().done();
            let plan = plan(&store, ids.sqlite());
            assert!(plan.iter().all(|line| !line.starts_with("SCAN t")), "{plan:#?}");
        }
        let columns = |filter: &TicketFilter| count(filter).done().sqlite().to_owned();
        let all = plan(&store, &columns(&TicketFilter::default()));
        assert_eq!(all, ["SCAN t USING COVERING INDEX tickets_live"]);
        store.close().await;
    }

    #[test]
    fn words_are_quoted() {
        let search = Search::of("web-5 door NEAR \"x").unwrap();
        assert_eq!(words(&search), "\"web 5\" AND \"door\" * AND \"near\" * AND \"x\"");
    }
}
