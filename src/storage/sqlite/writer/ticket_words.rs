//! The full-text index of tickets. It keeps no copy of the text: a ticket whose text changes is
//! removed and added again. The words are the domain's, and FTS5 takes them as they are: its
//! tokenizer `ascii` takes all of Unicode but ASCII for letters.
//!
//! Tickets whose words an older version has cut are indexed anew, the newest first, in portions
//! that the writer does beside other work. Until then they are found by words that both versions
//! cut alike.

use std::collections::BTreeMap;

use bellpull_domain::ids::TicketId;
use bellpull_domain::plan::{SearchText, search_text};
use rusqlite::Connection;

use super::super::multi_row::{Cell, MultiRow};
use super::super::statement::{execute, optional};
use super::failure::Failure;
use super::{Answer, Done};

static TEXTS: MultiRow = MultiRow::new(
    "INSERT INTO ticket_words (rowid, text) SELECT column1, column2 FROM ",
    2,
    " WHERE column1 IS NOT NULL",
);
const REMOVE: &str = "DELETE FROM ticket_words WHERE rowid = ?";

/// The setting with the id below which tickets have the words of an older version.
const BEFORE: &str = "old_words_before";
/// Bytes of text after which a portion ends.
const PORTION_BYTES: usize = 128 * 1024;

/// Writes the new words of tickets.
pub(super) fn write(
    connection: &Connection,
    texts: &BTreeMap<TicketId, SearchText>,
) -> rusqlite::Result<()> {
    let mut cells = Vec::new();
    for (ticket, SearchText { is_new, text }) in texts {
        if !is_new {
            execute(connection, REMOVE, (ticket.0,))?;
        }
        if let Some(text) = text {
            cells.extend([Cell::Int(ticket.0), Cell::Text(text.spaced())]);
        }
    }
    TEXTS.run(connection, &cells)
}

/// Indexes at most `limit` tickets anew. Answers with how many: none once all are.
pub(super) fn renew(connection: &Connection, limit: u32) -> Result<Answer, Failure> {
    let sql = "SELECT CAST(value AS INTEGER) FROM settings WHERE name = ?";
    let Some(before) = optional(connection, sql, (BEFORE,), |row| row.get::<_, i64>(0))? else {
        return Ok(Ok(Done::Changed(0)));
    };
    let mut statement = connection.prepare_cached(
        "SELECT t.id, p.key || '-' || t.number, t.title, t.description FROM tickets t \
         JOIN projects p ON p.id = t.project_id \
         WHERE t.id < ? AND t.deleted_at IS NULL ORDER BY t.id DESC LIMIT ?",
    )?;
    let mut rows = statement.query((before, limit))?;
    let (mut texts, mut bytes) = (BTreeMap::new(), 0);
    while bytes < PORTION_BYTES
        && let Some(row) = rows.next()?
    {
        let (key, title, description): (String, String, String) =
            (row.get(1)?, row.get(2)?, row.get(3)?);
        bytes += title.len() + description.len();
        let text = Some(search_text(&key, &title, &description));
        texts.insert(TicketId(row.get(0)?), SearchText { is_new: false, text });
    }
    write(connection, &texts)?;
    if let Some(first) = texts.keys().next() {
        let sql = "UPDATE settings SET value = ? WHERE name = ?";
        execute(connection, sql, (first.0, BEFORE))?;
    } else {
        execute(connection, "DELETE FROM settings WHERE name = ?", (BEFORE,))?;
    }
    Ok(Ok(Done::Changed(u64::try_from(texts.len()).unwrap_or(u64::MAX))))
}
