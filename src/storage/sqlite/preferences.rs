//! Preferences as their owners see them.

use async_trait::async_trait;
use bellpull_domain::ids::UserId;
use bellpull_domain::preference::{PreferenceChanges, Preferences};
use bellpull_port::{PreferenceStore, StoreError};
use jiff::Timestamp;

use super::SqliteStore;
use super::error::unavailable;
use super::rows::json;
use super::writer::{Done, Write, mismatch};

#[async_trait]
impl PreferenceStore for SqliteStore {
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        let query = sqlx::query_scalar("SELECT body FROM preferences WHERE user_id = ?");
        let body: Option<String> =
            query.bind(user.0).fetch_optional(&self.readers).await.map_err(unavailable)?;
        body.map_or_else(|| Ok(Preferences::default()), |body| json(&body))
    }

    async fn change_preferences(
        &self,
        user: UserId,
        changes: PreferenceChanges,
        now: Timestamp,
    ) -> Result<Option<Preferences>, StoreError> {
        let write = Write::ChangePreferences { user, changes: Box::new(changes), now };
        let Done::Preferences(after) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        Ok(after.map(|after| *after))
    }
}
