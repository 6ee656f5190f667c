//! Sends to many, and the keys that make a retry the same request.

use async_trait::async_trait;
use bellpull_domain::ids::SendId;
use bellpull_domain::send::NewSend;
use bellpull_port::sends::{BeginSend as Outcome, Chunks};
use bellpull_port::{LeaseOwner, SendStore, StoreError};
use jiff::Timestamp;
use sqlx::SqliteConnection;

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
        owner: &LeaseOwner,
        ids: &[SendId],
        rows: u32,
        now: Timestamp,
    ) -> Result<Chunks, StoreError> {
        let write = Write::ContinueSends { owner: owner.clone(), ids: ids.to_vec(), rows, now };
        let Done::Chunks(chunks) = self.writer.write(write).await? else { return Err(mismatch()) };
        Ok(chunks)
    }

    async fn due_sends(
        &self,
        owner: &LeaseOwner,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<SendId>, Option<Timestamp>), StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(unavailable)?;
        let sql = "SELECT id FROM sends WHERE status = 'ACTIVE' AND due_at <= ?1 \
                   AND (claim_until IS NULL OR claim_until <= ?1 OR claim_owner = ?2) \
                   ORDER BY due_at, id LIMIT ?3";
        let due: Vec<i64> = sqlx::query_scalar(sql)
            .bind(now.as_millisecond())
            .bind(owner.as_str())
            .bind(i64::from(limit))
            .fetch_all(&mut *snapshot)
            .await
            .map_err(unavailable)?;
        let sql = "SELECT min(at) FROM (SELECT min(due_at) AS at FROM sends \
                   WHERE status = 'ACTIVE' AND due_at > ?1 \
                   UNION ALL SELECT min(claim_until) FROM sends \
                   WHERE status = 'ACTIVE' AND due_at <= ?1 AND claim_until > ?1 \
                   AND claim_owner <> ?2)";
        let next: Option<i64> = sqlx::query_scalar(sql)
            .bind(now.as_millisecond())
            .bind(owner.as_str())
            .fetch_one(&mut *snapshot)
            .await
            .map_err(unavailable)?;
        Ok((due.into_iter().map(SendId).collect(), optional_timestamp(next)?))
    }

    async fn release_sends(&self, owner: &LeaseOwner) -> Result<(), StoreError> {
        self.writer.write(Write::ReleaseSends(owner.clone())).await.map(drop)
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

/// Ends all claims to sends, for a process that has the file for itself: their owners have ended.
/// A full disk does not keep the hub from starting: then they expire.
pub(super) async fn end_claims(connection: &mut SqliteConnection) {
    let sql = "UPDATE sends SET claim_owner = NULL, claim_until = NULL \
               WHERE status = 'ACTIVE' AND claim_until IS NOT NULL";
    if let Err(error) = sqlx::query(sql).execute(connection).await {
        tracing::warn!(%error, "claims of earlier processes end by their time");
    }
}
