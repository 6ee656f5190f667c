//! Preferences as their owners see them. A change locks the account, so that two changes at once
//! are merged one after the other.

use async_trait::async_trait;
use bellpull_domain::ids::UserId;
use bellpull_domain::preference::{PreferenceChanges, Preferences};
use bellpull_port::{PreferenceStore, StoreError};
use jiff::Timestamp;

use super::transaction::failed;
use super::{PostgresStore, account_rows};
use crate::rows::{json, to_json};

#[async_trait]
impl PreferenceStore for PostgresStore {
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        let query = sqlx::query_scalar(BODY).bind(user.0);
        preferences(query.fetch_optional(&self.pool).await.map_err(failed)?)
    }

    async fn change_preferences(
        &self,
        user: UserId,
        changes: PreferenceChanges,
        now: Timestamp,
    ) -> Result<Option<Preferences>, StoreError> {
        let mut work = self.begin().await?;
        account_rows::lock(&mut work, user).await?;
        let query = sqlx::query_scalar(BODY).bind(user.0);
        let before = preferences(query.fetch_optional(&mut *work).await.map_err(failed)?)?;
        if !before.version().admits(changes.seen) {
            return Err(StoreError::Conflict);
        }
        let Some(after) = before.with(&changes) else { return Ok(None) };
        let sql = "INSERT INTO preferences (user_id, body, updated_at) VALUES ($1, $2, $3) \
                   ON CONFLICT (user_id) DO UPDATE SET body = excluded.body, \
                   updated_at = excluded.updated_at";
        let query = sqlx::query(sql).bind(user.0).bind(to_json(&after)?);
        query.bind(now.as_millisecond()).execute(&mut *work).await.map_err(failed)?;
        work.commit().await?;
        Ok(Some(after))
    }
}

const BODY: &str = "SELECT body FROM preferences WHERE user_id = $1";

fn preferences(body: Option<String>) -> Result<Preferences, StoreError> {
    body.map_or_else(|| Ok(Preferences::default()), |body| json(&body))
}
