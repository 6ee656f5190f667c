//! Sends to many, and the keys that make a retry the same request.

use async_trait::async_trait;
use bellpull_actors::domain::ids::SendId;
use bellpull_actors::domain::send::NewSend;
use bellpull_actors::port::sends::{BeginSend as Outcome, Chunks};
use bellpull_actors::port::{SendStore, StoreError};
use jiff::Timestamp;

use super::SqliteStore;
use super::error::unavailable;
use super::rows::optional_timestamp;
use super::writer::{BeginSend, Done, Write, mismatch};

/// Keys removed in one transaction: a few ms, so that other writes do not wait.
const FORGOTTEN_AT_ONCE: u32 = 512;

#[async_trait]
impl SendStore for SqliteStore {
    async fn begin_send(
        &self,
        send: NewSend,
        chunk: u32,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let begin = Box::new(BeginSend { send, chunk, now });
        let Done::Begun(outcome) = self.writer.write(Write::BeginSend(begin)).await? else {
            return Err(mismatch());
        };
        Ok(*outcome)
    }

    async fn continue_sends(
        &self,
        ids: &[SendId],
        rows: u32,
        now: Timestamp,
    ) -> Result<Chunks, StoreError> {
        let write = Write::ContinueSends { ids: ids.to_vec(), rows, now };
        let Done::Chunks(chunks) = self.writer.write(write).await? else { return Err(mismatch()) };
        Ok(chunks)
    }

    async fn due_sends(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<SendId>, Option<Timestamp>), StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(unavailable)?;
        let sql = "SELECT id FROM sends WHERE status = 'ACTIVE' AND due_at <= ? \
                   ORDER BY due_at, id LIMIT ?";
        let due: Vec<i64> = sqlx::query_scalar(sql)
            .bind(now.as_millisecond())
            .bind(i64::from(limit))
            .fetch_all(&mut *snapshot)
            .await
            .map_err(unavailable)?;
        let sql = "SELECT min(due_at) FROM sends WHERE status = 'ACTIVE' AND due_at > ?";
        let next: Option<i64> = sqlx::query_scalar(sql)
            .bind(now.as_millisecond())
            .fetch_one(&mut *snapshot)
            .await
            .map_err(unavailable)?;
        Ok((due.into_iter().map(SendId).collect(), optional_timestamp(next)?))
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let write = Write::ForgetKeys { before, limit: FORGOTTEN_AT_ONCE };
            let Done::Changed(rows) = self.writer.write(write).await? else {
                return Err(mismatch());
            };
            forgotten += rows;
            if rows < u64::from(FORGOTTEN_AT_ONCE) {
                return Ok(forgotten);
            }
        }
    }
}
