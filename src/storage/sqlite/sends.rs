//! Sends to many, and the keys that make a retry the same request.

use async_trait::async_trait;
use bellpull_domain::ids::SendId;
use bellpull_domain::send::NewSend;
use bellpull_port::sends::{BeginSend as Outcome, Chunks};
use bellpull_port::{LeaseOwner, SendStore, StoreError};
use jiff::Timestamp;
use rusqlite::Connection;

use super::SqliteStore;
use super::rows::{int, optional_timestamp};
use super::writer::{BeginSend, Done, Write, mismatch};
use crate::engine::{Db, Dialect, Failure, Operation, Reads, Row, sql, values};

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
        self.read(Reads::Short, Due { owner: owner.clone(), now, limit }).await
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

/// The sends that are due, and when the next one is.
struct Due {
    owner: LeaseOwner,
    now: Timestamp,
    limit: u32,
}

impl Operation for Due {
    type Answer = (Vec<SendId>, Option<Timestamp>);

    async fn run(&self, db: &mut Db<'_>) -> Result<Self::Answer, Failure> {
        let Self { owner, now, limit } = self;
        let sql = sql!(
            "SELECT id FROM sends WHERE status = 'ACTIVE' AND due_at <= $1 \
             AND (claim_until IS NULL OR claim_until <= $1 OR claim_owner = $2) \
             ORDER BY due_at, id LIMIT $3"
        );
        let id = |row: &Row| int(row, "id").map(SendId);
        let due = db.all(sql, values![*now, owner.as_str(), *limit], id).await?;
        let sql = sql!(
            "SELECT min(at) FROM (SELECT min(due_at) AS at FROM sends \
             WHERE status = 'ACTIVE' AND due_at > $1 \
             UNION ALL SELECT min(claim_until) FROM sends \
             WHERE status = 'ACTIVE' AND due_at <= $1 AND claim_until > $1 \
             AND claim_owner <> $2)"
        );
        let next = db.int(sql, values![*now, owner.as_str()]).await?;
        Ok((due, optional_timestamp(next)?))
    }
}

/// Ends all claims to sends, for a process that has the file for itself: their owners have ended.
/// A full disk does not keep the hub from starting: then they expire.
pub(super) fn end_claims(connection: &Connection) {
    let sql = "UPDATE sends SET claim_owner = NULL, claim_until = NULL \
               WHERE status = 'ACTIVE' AND claim_until IS NOT NULL";
    if let Err(error) = connection.execute(sql, ()) {
        tracing::warn!(%error, "claims of earlier processes end by their time");
    }
}
