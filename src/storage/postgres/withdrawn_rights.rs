//! Accounts that lost rights, as a trigger notes them by the server's clock.

use bellpull_actors::domain::ids::UserId;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::accounts::WithdrawnRights;
use jiff::Timestamp;

use super::PostgresStore;
use super::transaction::failed;
use crate::storage::rows::timestamp;

/// The time, and with each account again: one row without an account if there is none.
const READ: &str = "SELECT c.now, w.user_id, w.withdrawn_at FROM \
    (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now) c \
    LEFT JOIN (SELECT user_id, withdrawn_at FROM withdrawn_rights WHERE withdrawn_at >= $1 \
    ORDER BY withdrawn_at DESC LIMIT $2) w ON TRUE ORDER BY w.withdrawn_at DESC";

/// As `AccountStore::rights_withdrawn`.
pub(super) async fn read(
    store: &PostgresStore,
    since: Option<Timestamp>,
    limit: u32,
) -> Result<WithdrawnRights, StoreError> {
    // No row is of this time or later.
    let since_ms = since.map_or(i64::MAX, Timestamp::as_millisecond);
    let query = sqlx::query_as(READ).bind(since_ms).bind(i64::from(limit));
    let rows: Vec<(i64, Option<i64>, Option<i64>)> =
        query.fetch_all(&store.pool).await.map_err(failed)?;
    let mut withdrawn = WithdrawnRights::default();
    for (now, user, at) in rows {
        withdrawn.read_at = timestamp(now)?;
        if let (Some(user), Some(at)) = (user, at) {
            withdrawn.accounts.push((UserId(user), timestamp(at)?));
        }
    }
    Ok(withdrawn)
}
