//! Accounts that are read together.

use std::collections::HashMap;

use bellpull_domain::ids::UserId;
use bellpull_domain::user::User;
use bellpull_port::StoreError;

use super::database::Database;
use crate::engine::{Db, among, sql, values};
use crate::rows::{user, user_columns};

/// The accounts with these ids; ids that do not exist are left out.
pub(super) async fn read(
    database: Database,
    ids: Vec<UserId>,
) -> Result<HashMap<UserId, User>, StoreError> {
    let sql = sql!("SELECT ", user_columns!(), " FROM users u WHERE u.id ", among!("$1"));
    let ids: Vec<i64> = ids.into_iter().map(|id| id.0).collect();
    let users = Db::Pool(&database).all(sql, values![ids], user).await?;
    Ok(users.into_iter().map(|user| (user.id, user)).collect())
}
