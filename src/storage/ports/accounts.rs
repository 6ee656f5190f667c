//! Accounts, read and locked by what changes them or what is theirs.

use bellpull_domain::ids::UserId;
use bellpull_domain::user::User;
use bellpull_port::StoreError;

use crate::engine::{Db, Failure, Row, sql, values};
use crate::rows::{Columns, user, user_columns};

/// Locks an account until the end of the transaction, if there is one. Rows that refer to it may
/// be written meanwhile.
pub(super) async fn hold(db: &mut Db<'_>, id: UserId) -> Result<bool, Failure> {
    let sql = sql!("SELECT id FROM users WHERE id = $1{| FOR NO KEY UPDATE}");
    db.exists(sql, values![id]).await
}

/// The same.
///
/// # Errors
/// [`StoreError::NotFound`] if there is no such account.
pub(super) async fn lock(db: &mut Db<'_>, id: UserId) -> Result<(), Failure> {
    if hold(db, id).await? { Ok(()) } else { Err(StoreError::NotFound.into()) }
}

/// An account, locked, and whether it has a password.
pub(super) async fn locked(db: &mut Db<'_>, id: UserId) -> Result<Option<(User, bool)>, Failure> {
    if hold(db, id).await? { account(db, id).await } else { Ok(None) }
}

/// An account, and whether it has a password. Not read with the statement that locks it: one that
/// has waited for the lock would return the addresses as they were before.
pub(in super::super) async fn account(
    db: &mut Db<'_>,
    id: UserId,
) -> Result<Option<(User, bool)>, Failure> {
    let sql = sql!(
        "SELECT ",
        user_columns!(),
        ", u.password_hash IS NOT NULL AS has_password FROM users u WHERE u.id = $1"
    );
    let account = |row: &Row| Ok((user(row)?, row.flag("has_password")?));
    db.optional(sql, values![id], account).await
}
