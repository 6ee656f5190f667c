//! Lists of tickets, the newest first.
//!
//! A list is read in two steps. First the ids of its page, from indexes alone if the filters allow
//! it; then the rows of these ids. So skipping to a deep page reads some bytes of an index, not
//! rows with their joins. Which index that is, each database's own module says.

use bellpull_domain::ticket::Ticket;
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{Page, PageRequest, StoreError};

use crate::engine::{Db, Dialect, Failure, Operation, ReadPage, Reads, Row};
use crate::rows::{int, page_of, ticket};
use crate::seen_tickets::{self, FEW};
use crate::{postgres, sqlite};

/// A page of the tickets that match the filter; the count and the rows are of one state.
pub(super) async fn list<D: Dialect>(
    store: &D,
    filter: TicketFilter,
    page: PageRequest,
) -> Result<Page<Ticket>, StoreError> {
    let search = filter.search.clone();
    let reads = if search.is_some() { Reads::Searches } else { Reads::Lists };
    match store.read(reads, List { filter, page }).await? {
        Found::Page(page) => Ok(page),
        Found::Few(few) => Ok(seen_tickets::found_in(few, search.as_ref(), page).await),
    }
}

struct List {
    filter: TicketFilter,
    page: PageRequest,
}

enum Found {
    Page(Page<Ticket>),
    /// All that a search's caller may see: its words are still to be looked for.
    Few(Vec<Ticket>),
}

impl Operation for List {
    type Answer = Found;

    async fn run(&self, db: &mut Db<'_>) -> Result<Found, Failure> {
        let Self { filter, page } = self;
        if let Some(few) = few(filter, db).await? {
            return Ok(Found::Few(few));
        }
        if matches!(db, Db::Sqlite(_)) {
            let (count, rows) = sqlite::list_tickets(filter, *page);
            let read = ReadPage { count: count.done(), rows: rows.done(), decode: ticket };
            return read.run(db).await.map(Found::Page);
        }
        let rows = db.rows_of(&postgres::list_tickets(filter, *page).done()).await?;
        Ok(Found::Page(page_of(&rows, "id", ticket)?))
    }
}

/// The tickets that a search's caller may see and that fulfil its other conditions, if these are
/// few.
async fn few(filter: &TicketFilter, db: &mut Db<'_>) -> Result<Option<Vec<Ticket>>, Failure> {
    let Some(ids) = seen_tickets::ids(filter) else { return Ok(None) };
    let ids = db.rows_of(&ids.done()).await?;
    if ids.len() > FEW {
        return Ok(None);
    }
    let ids = ids.iter().map(|row: &Row| int(row, "id")).collect::<Result<_, _>>()?;
    let rows = db.rows_of(&seen_tickets::rows(ids, filter).done()).await?;
    Ok(Some(rows.iter().map(ticket).collect::<Result<_, _>>()?))
}
