//! Accounts that lost rights, as a trigger notes them.

use bellpull_actors::domain::ids::UserId;
use bellpull_actors::port::accounts::WithdrawnRights;
use bellpull_actors::port::clock::SystemClock;
use bellpull_actors::port::{Clock, StoreError};
use jiff::Timestamp;

use super::SqliteStore;
use super::error::unavailable;
use super::rows::timestamp;

/// As `AccountStore::rights_withdrawn`.
pub(super) async fn read(
    store: &SqliteStore,
    since: Option<Timestamp>,
    limit: u32,
) -> Result<WithdrawnRights, StoreError> {
    // The store's clock is the machine's: every process that opens the file runs there.
    let read_at = SystemClock.now();
    let Some(since) = since else { return Ok(WithdrawnRights { read_at, accounts: Vec::new() }) };
    let sql = "SELECT user_id, withdrawn_at FROM withdrawn_rights WHERE withdrawn_at >= ? \
               ORDER BY withdrawn_at DESC LIMIT ?";
    let query = sqlx::query_as(sql).bind(since.as_millisecond()).bind(limit);
    let rows: Vec<(i64, i64)> = query.fetch_all(&store.readers).await.map_err(unavailable)?;
    let account = |(user, at)| Ok((UserId(user), timestamp(at)?));
    let accounts = rows.into_iter().map(account).collect::<Result<_, StoreError>>()?;
    Ok(WithdrawnRights { read_at, accounts })
}
