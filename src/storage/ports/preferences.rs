//! Preferences as their owners see them. A change locks the account, so that two changes at once
//! are merged one after the other.

use async_trait::async_trait;
use bellpull_domain::ids::UserId;
use bellpull_domain::preference::{PreferenceChanges, Preferences};
use bellpull_port::{PreferenceStore, StoreError};
use jiff::Timestamp;

use super::accounts;
use crate::engine::{Db, Dialect, Engine, Failure, Operation, Row, Sql, sql, values};
use crate::rows::{json, text, to_json};

#[async_trait]
impl<D: Dialect> PreferenceStore for Engine<D> {
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        Ok(self.row(body(), values![user], preferences).await?.unwrap_or_default())
    }

    async fn change_preferences(
        &self,
        user: UserId,
        changes: PreferenceChanges,
        now: Timestamp,
    ) -> Result<Option<Preferences>, StoreError> {
        self.write(Alter { user, changes, now }).await
    }
}

/// Merges changes into a user's preferences; nothing is written where they would be too many.
#[derive(Debug)]
struct Alter {
    user: UserId,
    changes: PreferenceChanges,
    now: Timestamp,
}

impl Operation for Alter {
    type Answer = Option<Preferences>;

    fn changes_people(&self) -> bool {
        true
    }

    async fn run(&self, db: &mut Db<'_>) -> Result<Option<Preferences>, Failure> {
        let Self { user, changes, now } = self;
        accounts::lock(db, *user).await?;
        let before = db.optional(body(), values![*user], preferences).await?.unwrap_or_default();
        if !before.version().admits(changes.seen) {
            return Err(StoreError::Conflict.into());
        }
        let Some(after) = before.with(changes) else { return Ok(None) };
        let sql = sql!(
            "INSERT INTO preferences (user_id, body, updated_at) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id) DO UPDATE SET body = excluded.body, \
             updated_at = excluded.updated_at"
        );
        db.execute(sql, values![*user, to_json(&after)?, *now]).await?;
        Ok(Some(after))
    }
}

/// A user's preferences.
fn body() -> &'static Sql {
    sql!("SELECT body FROM preferences WHERE user_id = $1")
}

fn preferences(row: &Row) -> Result<Preferences, StoreError> {
    json(text(row, "body")?)
}
