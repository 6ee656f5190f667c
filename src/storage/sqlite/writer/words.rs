//! The index of words, by which tickets are found: kept in the transaction of the ticket.
//!
//! The index has no copy of the text. A ticket whose text changes is taken out of it and put in
//! again; a step of the workflow does not touch it.

use std::collections::BTreeMap;

use bellpull_actors::domain::ids::TicketId;
use bellpull_actors::domain::ticket::Ticket;
use rusqlite::Connection;

use super::super::multi_row::{Cell, MultiRow};

static INSERT: MultiRow = MultiRow::new(
    "INSERT INTO ticket_words (rowid, text) SELECT column1, column2 FROM ",
    2,
    " WHERE column1 IS NOT NULL",
);

/// What a group changes of the index. Of a ticket that changes twice, the last text is written.
#[derive(Debug, Default)]
pub(super) struct TicketWords(BTreeMap<TicketId, Entry>);

#[derive(Debug)]
struct Entry {
    /// The index has nothing of it yet.
    is_new: bool,
    /// None, once it is deleted.
    text: Option<String>,
}

impl TicketWords {
    /// The ticket is found by this text from now on. The migration that made the index composes the
    /// text in the same way.
    pub(super) fn put(&mut self, ticket: &Ticket, is_new: bool) {
        let Ticket { key, title, description, .. } = ticket;
        let text = format!("{key}\n{title}\n{description}");
        self.0.entry(ticket.id).or_insert(Entry { is_new, text: None }).text = Some(text);
    }

    /// The ticket is not found any more.
    pub(super) fn remove(&mut self, ticket: TicketId) {
        self.0.entry(ticket).or_insert(Entry { is_new: false, text: None }).text = None;
    }

    /// Writes it.
    pub(super) fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        let mut cells = Vec::new();
        for (ticket, Entry { is_new, text }) in self.0 {
            if !is_new {
                let sql = "DELETE FROM ticket_words WHERE rowid = ?";
                connection.prepare_cached(sql)?.execute((ticket.0,))?;
            }
            if let Some(text) = text {
                cells.extend([Cell::Int(ticket.0), text.into()]);
            }
        }
        INSERT.run(connection, &cells)
    }
}
