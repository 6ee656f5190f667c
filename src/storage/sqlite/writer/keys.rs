//! Idempotency keys: their first uses, read and recorded in the transaction of what they create.

use std::collections::HashMap;

use bellpull_domain::idempotency::{Creates, FirstUse, IdempotencyKey};
use bellpull_domain::ids::UserId;
use bellpull_domain::plan::UsedKey;
use bellpull_port::StoreError;
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::multi_row::{Cell, MultiRow};
use super::super::statement::optional;

static KEYS: MultiRow = MultiRow::new(
    "INSERT INTO idempotency_keys (owner_id, key, body_hash, made, send_id, made_id, created_at) \
     SELECT * FROM ",
    7,
    " WHERE column1 IS NOT NULL",
);

/// The first uses of these keys, by owner and key.
pub(super) fn read(
    connection: &Connection,
    keys: &[&IdempotencyKey],
) -> rusqlite::Result<HashMap<(UserId, String), FirstUse>> {
    let mut used = HashMap::new();
    for key in keys {
        if let Some(first) = first_use(connection, key)? {
            used.insert((key.owner, key.key.clone()), first);
        }
    }
    Ok(used)
}

fn first_use(connection: &Connection, key: &IdempotencyKey) -> rusqlite::Result<Option<FirstUse>> {
    let sql = "SELECT body_hash, made, ifnull(made_id, send_id) FROM idempotency_keys \
               WHERE owner_id = ? AND key = ?";
    optional(connection, sql, (key.owner.0, &key.key), |row| {
        Ok(FirstUse { body_hash: row.get(0)?, made: row.get(1)?, id: row.get(2)? })
    })
}

/// Whether a request with this key may create something now.
pub(super) fn admit(
    connection: &Connection,
    key: Option<&IdempotencyKey>,
    creates: Creates,
) -> rusqlite::Result<Result<(), StoreError>> {
    let Some(key) = key else { return Ok(Ok(())) };
    let first = first_use(connection, key)?;
    Ok(key.admit(creates, first.as_ref()).map_err(StoreError::Used))
}

/// Records what a request has created, if it has a key.
pub(super) fn record(
    connection: &Connection,
    key: Option<&IdempotencyKey>,
    made: Creates,
    id: i64,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let Some(key) = key else { return Ok(()) };
    write(connection, &[UsedKey { key, made, id, at }])
}

/// Records first uses.
pub(super) fn write(connection: &Connection, keys: &[UsedKey<'_>]) -> rusqlite::Result<()> {
    let mut cells = Vec::with_capacity(7 * keys.len());
    for UsedKey { key, made, id, at } in keys {
        // Of a send, so that its row is kept as long as its key.
        let is_send = *made == Creates::Send;
        let (send, other) = if is_send { (Some(*id), None) } else { (None, Some(*id)) };
        cells.extend([Cell::Int(key.owner.0), key.key.as_str().into()]);
        cells.extend([Cell::Blob(&key.body_hash), made.as_str().into()]);
        cells.extend([send.into(), other.into(), Cell::Int(at.as_millisecond())]);
    }
    KEYS.run(connection, &cells)
}
