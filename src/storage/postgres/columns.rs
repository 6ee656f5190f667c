//! The columns that queries select for [`crate::rows`] to decode.

use bellpull_port::{Page, StoreError};
use sqlx::postgres::PgRow;

use crate::rows::{Columns, get, int};

/// Of a user `u`.
macro_rules! user_columns {
    () => {
        "u.id, u.username, u.full_name, u.role, u.is_active, u.email_verified, u.created_at, \
         u.claims_at, u.tokens_from, \
         (SELECT coalesce(json_object_agg(a.channel, a.address), '{}')::text FROM addresses a \
         WHERE a.user_id = u.id) AS addresses"
    };
}

macro_rules! project_columns {
    () => {
        "id, key, name, is_open"
    };
}

/// Tickets `t` with what a ticket shows of its project `p` and its creator `u`.
macro_rules! select_tickets {
    () => {
        "SELECT t.id, t.project_id, p.name AS project_name, p.key || '-' || t.number AS key, \
         t.title, t.description, t.priority, t.category, t.status, t.created_by, \
         CASE u.full_name WHEN '' THEN u.username ELSE u.full_name END AS created_by_name, \
         t.version, t.created_at, t.updated_at, \
         (SELECT coalesce(json_agg(a.user_id ORDER BY a.position), '[]')::text \
         FROM ticket_assignees a WHERE a.ticket_id = t.id) AS assigned_to \
         FROM tickets t JOIN projects p ON p.id = t.project_id JOIN users u ON u.id = t.created_by"
    };
}

/// A link's row, by its id.
pub(super) const STORED_LINK: &str = "SELECT id, user_id, purpose, email, created_at, expires_at, \
    ended_at FROM account_links WHERE id = $1";

pub(super) use {project_columns, select_tickets, user_columns};

impl Columns for PgRow {
    fn text(&self, column: &str) -> Result<Option<&str>, StoreError> {
        get(self, column)
    }

    fn int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        get(self, column)
    }

    fn flag(&self, column: &str) -> Result<bool, StoreError> {
        get(self, column)
    }
}

/// A page from rows that have the number of all rows in the column `count`; a page without rows
/// has one row, whose column `present` is NULL. So the count and the rows are of one statement.
pub(super) fn page_of<T>(
    rows: &[PgRow],
    present: &str,
    decode: impl Fn(&PgRow) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let count = rows.first().map_or(Ok(0), |row| int(row, "count"))?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        if row.int(present)?.is_some() {
            found.push(decode(row)?);
        }
    }
    Ok(Page { count, rows: found })
}
