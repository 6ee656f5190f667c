//! Accounts.

use std::collections::HashMap;

use bellpull_actors::domain::ids::UserId;
use bellpull_actors::domain::user::User;
use bellpull_actors::port::StoreError;
use sqlx::PgPool;

/// These accounts.
#[expect(clippy::unused_async, reason = "not written yet")]
pub(super) async fn read(_: PgPool, _: Vec<UserId>) -> Result<HashMap<UserId, User>, StoreError> {
    Err(StoreError::Unavailable("not written yet".to_owned()))
}
