//! Accounts, read and locked by what changes them or what is theirs.

use bellpull_domain::ids::UserId;
use bellpull_domain::user::User;
use bellpull_port::StoreError;

use super::columns::user_columns;
use super::database::Connection;
use super::transaction::failed;
use crate::rows::{get, user};

/// Locks an account until the end of the transaction. Rows that refer to it may be written
/// meanwhile.
///
/// # Errors
/// [`StoreError::NotFound`] if there is no such account.
pub(super) async fn lock(connection: &mut Connection, id: UserId) -> Result<(), StoreError> {
    let sql = "SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE";
    let query = sqlx::query_scalar::<_, i64>(sql).bind(id.0);
    let found = query.fetch_optional(connection).await.map_err(failed)?;
    found.map(drop).ok_or(StoreError::NotFound)
}

/// An account, locked, and whether it has a password.
pub(super) async fn locked(
    connection: &mut Connection,
    id: UserId,
) -> Result<Option<(User, bool)>, StoreError> {
    match lock(connection, id).await {
        Ok(()) => account(connection, id).await,
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An account, and whether it has a password. Not read with the statement that locks it: one that
/// has waited for the lock would return the addresses as they were before.
pub(super) async fn account(
    connection: &mut Connection,
    id: UserId,
) -> Result<Option<(User, bool)>, StoreError> {
    let sql = concat!(
        "SELECT ",
        user_columns!(),
        ", u.password_hash IS NOT NULL AS has_password FROM users u WHERE u.id = $1"
    );
    let row = sqlx::query(sql).bind(id.0).fetch_optional(connection).await.map_err(failed)?;
    row.map(|row| Ok((user(&row)?, get(&row, "has_password")?))).transpose()
}
