//! The columns that queries select for [`crate::rows`] to decode.

use bellpull_port::StoreError;
use sqlx::postgres::PgRow;

use crate::rows::{Columns, get};

/// Of a user `u`.
macro_rules! user_columns {
    () => {
        "u.id, u.username, u.full_name, u.role, u.is_active, u.email_verified, u.created_at, \
         u.claims_at, u.tokens_from, \
         (SELECT coalesce(json_object_agg(a.channel, a.address), '{}')::text FROM addresses a \
         WHERE a.user_id = u.id) AS addresses"
    };
}

pub(super) use user_columns;

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
