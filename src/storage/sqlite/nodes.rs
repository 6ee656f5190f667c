//! The one node on the file, which is listed for the commands beside it.

use std::sync::OnceLock;

use bellpull_port::StoreError;
use rusqlite::Connection;

/// Removes the nodes of earlier processes: this one has the file for itself.
pub(super) fn forget(connection: &Connection) {
    if let Err(error) = connection.execute("DELETE FROM nodes", ()) {
        tracing::warn!(%error, "nodes of earlier processes stay listed for a time");
    }
}

/// One process has the file, so the process names it, whatever copies of the file there are.
pub(super) fn database_id() -> Result<String, StoreError> {
    static ID: OnceLock<u64> = OnceLock::new();
    let random = getrandom::u64().map_err(|e| StoreError::Unavailable(e.to_string()))?;
    Ok(format!("{:016x}", ID.get_or_init(|| random)))
}
