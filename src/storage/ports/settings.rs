//! Settings.

use bellpull_port::StoreError;

use crate::engine::{Change, Db, Dialect, Engine, Failure, Operation, Row, Sql, sql, values};
use crate::error::corrupt;
use crate::rows::string;

/// As `AccountStore::setting`.
pub(in super::super) async fn get(
    store: &Engine<impl Dialect>,
    name: &str,
) -> Result<Option<String>, StoreError> {
    store.row(found(), values![name], value).await
}

/// As `AccountStore::set_setting`.
pub(in super::super) async fn set(
    store: &Engine<impl Dialect>,
    name: &str,
    value: &str,
) -> Result<(), StoreError> {
    let sql = sql!(
        "INSERT INTO settings (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    );
    store.write(Change::new(sql, values![name, value])).await.map(drop)
}

/// As `AccountStore::setting_or_insert`.
pub(in super::super) async fn get_or_insert(
    store: &Engine<impl Dialect>,
    name: &str,
    initial: &str,
) -> Result<String, StoreError> {
    // The row exists on every start but the first; only the first writes.
    if let Some(value) = get(store, name).await? {
        return Ok(value);
    }
    store.write(GetOrInsert { name: name.to_owned(), initial: initial.to_owned() }).await
}

/// A setting's value, which is this one if there was none.
#[derive(Debug)]
struct GetOrInsert {
    name: String,
    initial: String,
}

impl Operation for GetOrInsert {
    type Answer = String;

    async fn run(&self, db: &mut Db<'_>) -> Result<String, Failure> {
        let Self { name, initial } = self;
        // Waits for another node that inserts it at this moment.
        let sql = sql!(
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
        );
        db.execute(sql, values![name, initial]).await?;
        // A statement of its own, which sees what that one has inserted.
        let value = db.optional(found(), values![name], value).await?;
        Ok(value.ok_or_else(|| corrupt("settings"))?)
    }
}

fn found() -> &'static Sql {
    sql!("SELECT value FROM settings WHERE name = $1")
}

fn value(row: &Row) -> Result<String, StoreError> {
    string(row, "value")
}
