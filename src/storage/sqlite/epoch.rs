//! The epoch of a file: see [`bellpull_port::epoch`].

use async_trait::async_trait;
use bellpull_domain::ids::Seq;
use bellpull_port::epoch::{Epoch, LEAP};
use bellpull_port::{AccountStore, EpochStore, StoreError};
use rusqlite::Connection;

use super::SqliteStore;
use super::options::BoxError;
use super::statement::execute;
use super::writer::Write;
use crate::error::unavailable;

/// The setting with the epoch.
pub(super) const EPOCH: &str = "epoch";
/// The setting by which `restore` asks the next hub to begin a new epoch: numbers can be raised
/// only when nothing is deferred, which a hub sees to.
pub(super) const DUE: &str = "epoch_due";

/// Begins a new epoch, within a transaction. No entry of an inbox may be deferred. Numbers go on
/// above those of this file and `known`, the highest that was given out by another.
pub(super) fn renew(connection: &Connection, epoch: &str, known: Seq) -> rusqlite::Result<()> {
    // Inboxes without an entry, too: they may have had some in the other history.
    let sql = "INSERT INTO inboxes (user_id, last_seq, unread_count) \
               SELECT id, ?1 + ?2, 0 FROM users WHERE TRUE ON CONFLICT (user_id) DO UPDATE SET \
               delivered_seq = min(delivered_seq, last_seq), last_seq = max(last_seq, ?1) + ?2";
    let raised = execute(connection, sql, (known.0, LEAP))?;
    execute(connection, "DELETE FROM settings WHERE name = ?1", [DUE])?;
    let sql = "INSERT INTO settings (name, value) VALUES (?1, ?2) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    execute(connection, sql, (EPOCH, epoch))?;
    tracing::warn!(
        epoch,
        known = known.0,
        inboxes = raised,
        "this database was restored, or has less than was given out: a new epoch has begun, and \
         clients start again"
    );
    Ok(())
}

/// A name for an epoch.
pub(super) fn new_name() -> Result<String, BoxError> {
    let number = getrandom::u64().map_err(|error| error.to_string())?;
    Ok(format!("{number:016x}"))
}

#[async_trait]
impl EpochStore for SqliteStore {
    fn epoch(&self) -> Epoch {
        self.epoch.clone()
    }

    async fn read_epoch(&self) -> Result<(), StoreError> {
        let name = self.setting_or_insert(EPOCH, &new_name().map_err(unavailable)?).await?;
        self.epoch.set(&name);
        Ok(())
    }

    async fn renew_epoch(&self) -> Result<(), StoreError> {
        let name = new_name().map_err(unavailable)?;
        self.writer.write(Write::RenewEpoch(name.clone(), Seq::ZERO)).await?;
        self.epoch.set(&name);
        Ok(())
    }
}
