//! Accounts that lost rights, and members who were removed, as triggers note them by the server's
//! clock.

use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_port::StoreError;
use bellpull_port::accounts::WithdrawnRights;
use jiff::Timestamp;

use super::PostgresStore;
use super::transaction::failed;
use crate::rows::timestamp;

/// The time, and with each account again: one row without an account if there is none. A row with a
/// project names a user who was removed from it, and who may not see it since: it is not open, and
/// the user is not a member again.
const READ: &str = "SELECT c.now, w.project_id, w.user_id, w.withdrawn_at FROM \
    (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now) c \
    LEFT JOIN ((SELECT NULL::bigint AS project_id, user_id, withdrawn_at FROM withdrawn_rights \
    WHERE withdrawn_at >= $1 ORDER BY withdrawn_at DESC LIMIT $2) UNION ALL \
    (SELECT e.project_id, e.user_id, e.ended_at FROM ended_memberships e \
    JOIN projects p ON p.id = e.project_id \
    WHERE e.ended_at >= $1 AND NOT p.is_open AND NOT EXISTS (SELECT 1 FROM project_members m \
    WHERE m.project_id = e.project_id AND m.user_id = e.user_id) \
    ORDER BY e.ended_at DESC LIMIT $2)) w ON TRUE ORDER BY w.withdrawn_at DESC";

/// The time; a project, a user, and when the right ended.
type Row = (i64, Option<i64>, Option<i64>, Option<i64>);

/// As `AccountStore::rights_withdrawn`.
pub(super) async fn read(
    store: &PostgresStore,
    since: Option<Timestamp>,
    limit: u32,
) -> Result<WithdrawnRights, StoreError> {
    // No row is of this time or later.
    let since_ms = since.map_or(i64::MAX, Timestamp::as_millisecond);
    let query = sqlx::query_as(READ).bind(since_ms).bind(i64::from(limit));
    let rows: Vec<Row> = query.fetch_all(&store.pool).await.map_err(failed)?;
    let mut withdrawn = WithdrawnRights::default();
    for (now, project, user, at) in rows {
        withdrawn.read_at = timestamp(now)?;
        match (project, user, at) {
            (Some(project), Some(user), _) => {
                withdrawn.members.push((ProjectId(project), UserId(user)));
            }
            (None, Some(user), Some(at)) => {
                withdrawn.accounts.push((UserId(user), timestamp(at)?));
            }
            (_, None, _) | (None, Some(_), None) => {}
        }
    }
    Ok(withdrawn)
}
