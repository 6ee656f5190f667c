//! The columns that SQLite's queries select for [`crate::rows`] to decode, and how both
//! of its libraries read a column.

use bellpull_port::StoreError;
use sqlx::sqlite::SqliteRow;

use super::error::unavailable;
use super::rows::{Columns, get};

macro_rules! user_columns {
    () => {
        "id, username, full_name, role, is_active, email_verified, created_at, claims_at, tokens_from, \
         (SELECT json_group_object(channel, address) FROM addresses WHERE user_id = users.id) \
         AS addresses"
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
         iif(u.full_name = '', u.username, u.full_name) AS created_by_name, t.version, \
         t.created_at, t.updated_at, (SELECT json_group_array(a.user_id ORDER BY a.position) \
         FROM ticket_assignees a WHERE a.ticket_id = t.id) AS assigned_to \
         FROM tickets t JOIN projects p ON p.id = t.project_id JOIN users u ON u.id = t.created_by"
    };
}

/// The target of webhook `w` at `?2`, as JSON; [`target`](super::webhook_rows::target) decodes it.
macro_rules! webhook_target {
    () => {
        "json_array(w.id, w.project_id, w.url, w.secret, \
         iif(w.old_secret_until > ?2, w.old_secret, NULL))"
    };
}

/// A link's row, by its id.
pub(super) const STORED_LINK: &str = "SELECT id, user_id, purpose, email, created_at, expires_at, \
    ended_at FROM account_links WHERE id = ?";

pub(super) use {project_columns, select_tickets, user_columns, webhook_target};

impl Columns for SqliteRow {
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

impl Columns for rusqlite::Row<'_> {
    fn text(&self, column: &str) -> Result<Option<&str>, StoreError> {
        let value = self.get_ref(column).map_err(unavailable)?;
        value.as_str_or_null().map_err(unavailable)
    }

    fn int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        self.get(column).map_err(unavailable)
    }

    fn flag(&self, column: &str) -> Result<bool, StoreError> {
        self.get(column).map_err(unavailable)
    }
}
