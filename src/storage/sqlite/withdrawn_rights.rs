//! Accounts that lost rights, and members who were removed, as triggers note them.

use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_port::accounts::WithdrawnRights;
use bellpull_port::clock::SystemClock;
use bellpull_port::{Clock, StoreError};
use jiff::Timestamp;

use super::SqliteStore;
use super::error::unavailable;
use super::rows::timestamp;

/// A member who was removed may see the project all the same if it is open, or as a member again.
const REMOVED: &str = "SELECT e.project_id, e.user_id FROM ended_memberships e \
    JOIN projects p ON p.id = e.project_id \
    WHERE e.ended_at >= ? AND NOT p.is_open AND NOT EXISTS (SELECT 1 FROM project_members m \
    WHERE m.project_id = e.project_id AND m.user_id = e.user_id) \
    ORDER BY e.ended_at DESC LIMIT ?";

/// As `AccountStore::rights_withdrawn`.
pub(super) async fn read(
    store: &SqliteStore,
    since: Option<Timestamp>,
    limit: u32,
) -> Result<WithdrawnRights, StoreError> {
    // The store's clock is the machine's: every process that opens the file runs there.
    let read_at = SystemClock.now();
    let Some(since) = since else {
        return Ok(WithdrawnRights { read_at, ..WithdrawnRights::default() });
    };
    let sql = "SELECT user_id, withdrawn_at FROM withdrawn_rights WHERE withdrawn_at >= ? \
               ORDER BY withdrawn_at DESC LIMIT ?";
    let query = sqlx::query_as(sql).bind(since.as_millisecond()).bind(limit);
    let rows: Vec<(i64, i64)> = query.fetch_all(&store.readers).await.map_err(unavailable)?;
    let account = |(user, at)| Ok((UserId(user), timestamp(at)?));
    let accounts = rows.into_iter().map(account).collect::<Result<_, StoreError>>()?;
    let query = sqlx::query_as(REMOVED).bind(since.as_millisecond()).bind(limit);
    let rows: Vec<(i64, i64)> = query.fetch_all(&store.readers).await.map_err(unavailable)?;
    let members = rows.into_iter().map(|(project, user)| (ProjectId(project), UserId(user)));
    Ok(WithdrawnRights { read_at, accounts, members: members.collect() })
}
