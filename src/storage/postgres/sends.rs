//! Sends to many, and the keys that make a retry the same request.

use async_trait::async_trait;
use bellpull_domain::ids::SendId;
use bellpull_domain::send::NewSend;
use bellpull_port::sends::{BeginSend as Outcome, Chunks};
use bellpull_port::{LeaseOwner, SendStore, StoreError};
use jiff::Timestamp;

use super::PostgresStore;
use super::transaction::failed;
use super::writer::{Done, Write, mismatch};
use crate::requests::BeginSend;
use crate::rows::optional_timestamp;

/// Keys removed in one transaction.
const FORGOTTEN_AT_ONCE: u32 = 2_048;

#[async_trait]
impl SendStore for PostgresStore {
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
        let sql = "SELECT ARRAY(SELECT id FROM sends WHERE status = 'ACTIVE' AND due_at <= $1 \
                   AND (claim_until IS NULL OR claim_until <= $1 OR claim_owner = $2) \
                   ORDER BY due_at, id LIMIT $3), \
                   least((SELECT min(due_at) FROM sends WHERE status = 'ACTIVE' AND due_at > $1), \
                   (SELECT min(claim_until) FROM sends WHERE status = 'ACTIVE' AND due_at <= $1 \
                   AND claim_until > $1 AND claim_owner <> $2))";
        let (due, next): (Vec<i64>, Option<i64>) = sqlx::query_as(sql)
            .bind(now.as_millisecond())
            .bind(owner.as_str())
            .bind(i64::from(limit))
            .fetch_one(&self.pool)
            .await
            .map_err(failed)?;
        Ok((due.into_iter().map(SendId).collect(), optional_timestamp(next)?))
    }

    async fn release_sends(&self, owner: &LeaseOwner) -> Result<(), StoreError> {
        // A step that was asked for before is written before: it renews the claim.
        self.writer.write(Write::Steps).await?;
        let mut work = self.begin().await?;
        let sql = "UPDATE sends SET claim_owner = NULL, claim_until = NULL WHERE id IN \
                   (SELECT id FROM sends WHERE status = 'ACTIVE' AND claim_owner = $1 \
                   ORDER BY id FOR UPDATE)";
        sqlx::query(sql).bind(owner.as_str()).execute(&mut *work).await.map_err(failed)?;
        work.commit().await
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let mut work = self.begin().await?;
            let sql = "DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY( \
                       SELECT ctid FROM idempotency_keys WHERE created_at < $1 \
                       ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))";
            let deleted = sqlx::query(sql)
                .bind(before.as_millisecond())
                .bind(i64::from(FORGOTTEN_AT_ONCE))
                .execute(&mut *work)
                .await
                .map_err(failed)?
                .rows_affected();
            work.commit().await?;
            forgotten += deleted;
            if deleted < u64::from(FORGOTTEN_AT_ONCE) {
                return Ok(forgotten);
            }
        }
    }
}
