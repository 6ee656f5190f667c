//! The columns that SQLite's queries select for [`crate::rows`] to decode, and how a
//! column is read.

use bellpull_port::StoreError;

use super::error::unavailable;
use super::rows::Columns;

macro_rules! user_columns {
    () => {
        "id, username, full_name, role, is_active, email_verified, created_at, claims_at, tokens_from, \
         (SELECT json_group_object(channel, address) FROM addresses WHERE user_id = users.id) \
         AS addresses"
    };
}

/// The target of webhook `w` at `?2`, as JSON; [`target`](super::webhook_rows::target) decodes it.
macro_rules! webhook_target {
    () => {
        "json_array(w.id, w.project_id, w.url, w.secret, \
         iif(w.old_secret_until > ?2, w.old_secret, NULL))"
    };
}

pub(super) use {user_columns, webhook_target};

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
