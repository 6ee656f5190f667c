//! The audit log: rare, so each entry is its own statement in the group's transaction.

use bellpull_port::audit::AuditEntry;
use rusqlite::{Connection, params};

use super::failure::Failure;
use super::{Answer, Done};

const INSERT: &str = "INSERT INTO audit_log (at, user_id, username, role, action, path, address, \
    status, node) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Adds an entry.
pub(super) fn add(connection: &Connection, entry: &AuditEntry) -> Result<Answer, Failure> {
    let AuditEntry { at, user, username, role, action, path, address, status, node } = entry;
    let (at, status) = (at.as_millisecond(), status.map(i64::from));
    let values = params![at, user.0, username, role, action, path, address, status, node];
    let added = connection.prepare_cached(INSERT)?.execute(values)?;
    Ok(Ok(Done::Changed(u64::try_from(added).unwrap_or_default())))
}
