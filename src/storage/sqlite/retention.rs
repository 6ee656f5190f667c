//! The port for retention.

use async_trait::async_trait;
use bellpull_port::retention::{Forgotten, Old, Position};
use bellpull_port::{RetentionStore, StoreError};
use jiff::Timestamp;

use super::SqliteStore;
use super::writer::{Done, Step, Write, mismatch};

#[async_trait]
impl RetentionStore for SqliteStore {
    async fn forget(
        &self,
        what: Old,
        before: Timestamp,
        from: Position,
        limit: u32,
    ) -> Result<Forgotten, StoreError> {
        let step = Step { what, before, from, limit };
        let Done::Forgotten(forgotten) = self.writer.write(Write::Forget(step)).await? else {
            return Err(mismatch());
        };
        Ok(forgotten)
    }

    async fn renew_words(&self, limit: u32) -> Result<u64, StoreError> {
        let Done::Changed(count) = self.writer.write(Write::RenewWords(limit)).await? else {
            return Err(mismatch());
        };
        Ok(count)
    }
}
