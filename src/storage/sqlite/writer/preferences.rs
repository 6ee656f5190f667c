//! Preferences: rare, so each change is its own statement in the group's transaction, before
//! anything of the group is announced.

use bellpull_actors::domain::ids::UserId;
use bellpull_actors::domain::preference::{PreferenceChanges, Preferences};
use bellpull_actors::port::StoreError;
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::super::rows::json;
use super::group::Failure;
use super::rows::text;
use super::{Answer, Done};

/// Merges changes into a user's preferences; nothing is written where they would be too many.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    user: UserId,
    changes: &PreferenceChanges,
    now: Timestamp,
) -> Result<Answer, Failure> {
    let sql = "SELECT p.body FROM users u LEFT JOIN preferences p ON p.user_id = u.id \
               WHERE u.id = ?";
    let query = sqlx::query_scalar(sql).bind(user.0);
    let known: Option<Option<String>> = query.fetch_optional(&mut *connection).await?;
    let Some(body) = known else { return Ok(Err(StoreError::NotFound)) };
    let before: Preferences = body.map_or_else(|| Ok(Preferences::default()), |b| json(&b))?;
    let Some(after) = before.with(changes) else { return Ok(Ok(Done::Preferences(None))) };
    let sql = "INSERT INTO preferences (user_id, body, updated_at) VALUES (?, ?, ?) \
               ON CONFLICT (user_id) DO UPDATE SET body = excluded.body, \
               updated_at = excluded.updated_at";
    let query = sqlx::query(sql).bind(user.0).bind(text(&after)?);
    query.bind(now.as_millisecond()).execute(connection).await?;
    Ok(Ok(Done::Preferences(Some(Box::new(after)))))
}
