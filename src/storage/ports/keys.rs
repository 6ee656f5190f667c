//! Idempotency keys: their first uses, read and recorded in the transaction of what they create.

use bellpull_domain::idempotency::{Creates, FirstUse, IdempotencyKey};
use bellpull_port::StoreError;
use jiff::Timestamp;

use crate::engine::{Db, Failure, Row, sql, values};
use crate::postgres::{class, lock, lock_of};
use crate::rows::{int, string};

/// Lets a request with this key create something now. Of two nodes that are sent one request at
/// the same time, the second finds what the first has created.
///
/// # Errors
/// [`StoreError::Used`].
pub(super) async fn admit(
    db: &mut Db<'_>,
    key: Option<&IdempotencyKey>,
    creates: Creates,
) -> Result<(), Failure> {
    let Some(key) = key else { return Ok(()) };
    let held = sql!("{|SELECT ", lock!(idempotency_key, "$1::int"), "}");
    db.execute(held, values![i64::from(lock_of(key))]).await?;
    let sql = sql!(
        "SELECT body_hash, made, coalesce(made_id, send_id) AS id FROM idempotency_keys \
         WHERE owner_id = $1 AND key = $2"
    );
    let first = db.optional(sql, values![key.owner, &key.key], first_use).await?;
    Ok(key.admit(creates, first.as_ref()).map_err(StoreError::Used)?)
}

/// Records what a request has created, if it has a key. A send's is recorded with the send.
pub(super) async fn record(
    db: &mut Db<'_>,
    key: Option<&IdempotencyKey>,
    made: Creates,
    id: i64,
    at: Timestamp,
) -> Result<(), Failure> {
    let Some(key) = key else { return Ok(()) };
    let sql = sql!(
        "INSERT INTO idempotency_keys (owner_id, key, body_hash, made, made_id, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6)"
    );
    let values = values![key.owner, &key.key, &key.body_hash[..], made.as_str(), id, at];
    db.execute(sql, values).await.map(drop)
}

fn first_use(row: &Row) -> Result<FirstUse, StoreError> {
    Ok(FirstUse {
        body_hash: row.bytes("body_hash")?,
        made: string(row, "made")?,
        id: int(row, "id")?,
    })
}
