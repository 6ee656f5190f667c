//! Entries of the audit log.

use bellpull_port::StoreError;
use bellpull_port::audit::AuditEntry;

use super::Postgres;
use super::ids::Sequence;
use super::transaction::failed;

/// The entry may be there: it is written again if the connection was lost. Another one with its id
/// is of a history that this node does not know yet.
const INSERT: &str = "INSERT INTO audit_log AS l (id, at, user_id, username, role, action, path, \
    address, status, node) OVERRIDING SYSTEM VALUE \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
    ON CONFLICT (id) DO UPDATE SET status = excluded.status \
    WHERE (l.at, l.user_id, l.path, l.node) = \
    (excluded.at, excluded.user_id, excluded.path, excluded.node)";

/// Adds an entry, in one round trip.
pub(super) async fn add(store: &Postgres, entry: AuditEntry) -> Result<(), StoreError> {
    let AuditEntry { at, user, username, role, action, path, address, status, node } = entry;
    loop {
        let id = store.next_id(Sequence::AuditLog).await?;
        let query = sqlx::query(INSERT).bind(id).bind(at.as_millisecond()).bind(user.0);
        let query = query.bind(&*username).bind(&*role).bind(&*action).bind(&*path);
        let query = query.bind(&*address).bind(status.map(i64::from)).bind(&*node);
        let written = query.execute(store.pool.by_key()).await.map_err(failed)?;
        if written.rows_affected() > 0 {
            return Ok(());
        }
    }
}
