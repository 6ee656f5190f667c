//! Idempotency keys: their first uses, read and recorded in the transaction of what they create.

use std::collections::{BTreeSet, HashMap};

use bellpull_domain::idempotency::{Creates, FirstUse, IdempotencyKey};
use bellpull_domain::ids::UserId;
use bellpull_port::StoreError;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::database::Connection;
use super::locks::{class, lock};

/// The first uses of keys, by owner and key.
pub(super) type FirstUses = HashMap<(UserId, String), FirstUse>;

/// Locks the keys until the end of the transaction, and reads their first uses: of two nodes that
/// are sent one request at the same time, the second finds what the first has created. Ordered, so
/// that two transactions cannot deadlock.
pub(super) async fn read(
    connection: &mut Connection,
    keys: &[&IdempotencyKey],
) -> sqlx::Result<FirstUses> {
    if keys.is_empty() {
        return Ok(FirstUses::new());
    }
    let locks: BTreeSet<i32> = keys.iter().map(|key| lock_of(key)).collect();
    let locks: Vec<i32> = locks.into_iter().collect();
    let sql =
        concat!("SELECT ", lock!(idempotency_key, "v.key"), " FROM UNNEST($1::int[]) AS v (key)");
    sqlx::query(sql).bind(locks).execute(&mut *connection).await?;
    let sql = "SELECT k.owner_id, k.key, k.body_hash, k.made, coalesce(k.made_id, k.send_id) \
               FROM UNNEST($1::bigint[], $2::text[]) AS w (owner_id, key) \
               JOIN idempotency_keys k ON k.owner_id = w.owner_id AND k.key = w.key";
    let rows: Vec<(i64, String, Vec<u8>, String, i64)> = sqlx::query_as(sql)
        .bind(keys.iter().map(|key| key.owner.0).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.key.as_str()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let used = |(owner, key, body_hash, made, id)| {
        ((UserId(owner), key), FirstUse { body_hash, made, id })
    };
    Ok(rows.into_iter().map(used).collect())
}

/// The number of a key's lock. Two keys may share one: then one waits for the other.
pub(in super::super) fn lock_of(key: &IdempotencyKey) -> i32 {
    let mut hash = Sha256::new();
    hash.update(key.owner.0.to_le_bytes());
    hash.update(key.key.as_bytes());
    let digest = hash.finalize();
    i32::from_le_bytes(std::array::from_fn(|nth| digest[nth]))
}

/// Whether a request with this key may create something now, in a transaction of its own.
///
/// # Errors
/// The inner one: [`StoreError::Used`].
pub(super) async fn admit(
    connection: &mut Connection,
    key: Option<&IdempotencyKey>,
    creates: Creates,
) -> sqlx::Result<Result<(), StoreError>> {
    let Some(key) = key else { return Ok(Ok(())) };
    let first = read(connection, &[key]).await?.into_values().next();
    Ok(key.admit(creates, first.as_ref()).map_err(StoreError::Used))
}

/// Records what a request has created, if it has a key. A send's is recorded with the send.
pub(super) async fn record(
    connection: &mut Connection,
    key: Option<&IdempotencyKey>,
    made: Creates,
    id: i64,
    at: Timestamp,
) -> sqlx::Result<()> {
    let Some(key) = key else { return Ok(()) };
    let sql = "INSERT INTO idempotency_keys (owner_id, key, body_hash, made, made_id, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(sql)
        .bind(key.owner.0)
        .bind(&key.key)
        .bind(&key.body_hash[..])
        .bind(made.as_str())
        .bind(id)
        .bind(at.as_millisecond())
        .execute(connection)
        .await
        .map(drop)
}
