//! Inboxes.

use std::collections::HashMap;

use bellpull_actors::domain::ids::UserId;
use bellpull_actors::domain::inbox::Head;
use bellpull_actors::port::StoreError;
use sqlx::PgPool;

/// The heads of these users' inboxes.
#[expect(clippy::unused_async, reason = "not written yet")]
pub(super) async fn heads(_: PgPool, _: Vec<UserId>) -> Result<HashMap<UserId, Head>, StoreError> {
    Err(StoreError::Unavailable("not written yet".to_owned()))
}
