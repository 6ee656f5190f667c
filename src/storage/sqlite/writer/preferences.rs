//! Preferences: rare, so each change is its own statement in the group's transaction, before
//! anything of the group is announced.

use bellpull_domain::ids::UserId;
use bellpull_domain::preference::{PreferenceChanges, Preferences};
use bellpull_port::StoreError;
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::rows::{json, to_json};
use super::super::statement::{execute, optional};
use super::failure::Failure;
use super::{Answer, Done};

/// Merges changes into a user's preferences; nothing is written where they would be too many.
pub(super) fn change(
    connection: &Connection,
    user: UserId,
    changes: &PreferenceChanges,
    now: Timestamp,
) -> Result<Answer, Failure> {
    let sql = "SELECT p.body FROM users u LEFT JOIN preferences p ON p.user_id = u.id \
               WHERE u.id = ?";
    let known: Option<Option<String>> = optional(connection, sql, (user.0,), |row| row.get(0))?;
    let Some(body) = known else { return Ok(Err(StoreError::NotFound)) };
    let before: Preferences = body.map_or_else(|| Ok(Preferences::default()), |b| json(&b))?;
    if !before.version().admits(changes.seen) {
        return Ok(Err(StoreError::Conflict));
    }
    let Some(after) = before.with(changes) else { return Ok(Ok(Done::Preferences(None))) };
    let sql = "INSERT INTO preferences (user_id, body, updated_at) VALUES (?, ?, ?) \
               ON CONFLICT (user_id) DO UPDATE SET body = excluded.body, \
               updated_at = excluded.updated_at";
    execute(connection, sql, (user.0, to_json(&after)?, now.as_millisecond()))?;
    Ok(Ok(Done::Preferences(Some(Box::new(after)))))
}
