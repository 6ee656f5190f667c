//! Not written yet.

use bellpull_actors::port::StoreError;
use sqlx::PgConnection;

/// Locks the names.
pub(super) async fn lock_names(connection: &mut PgConnection) -> Result<(), StoreError> {
    let sql = "SELECT pg_advisory_xact_lock(7305804404)";
    sqlx::query(sql).execute(connection).await.map_err(super::transaction::failed)?;
    Ok(())
}
