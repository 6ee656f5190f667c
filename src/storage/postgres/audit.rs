//! The audit log.

use async_trait::async_trait;
use bellpull_port::audit::{AuditEntry, AuditFilter, AuditRow};
use bellpull_port::{AuditStore, Page, PageRequest, StoreError};
use sqlx::{Postgres, QueryBuilder};

use super::PostgresStore;
use super::ids::Sequence;
use super::slow_reads::{READ_MAX, Snapshot};
use super::transaction::failed;
use crate::audit_rows::{self, narrow};

/// The column was made without a collation, which cannot be changed while the previous version
/// runs; its index compares bytes.
const ACTION: &str = "action COLLATE \"C\"";

/// The entry may be there: it is written again if the connection was lost. Another one with its id
/// is of a history that this node does not know yet.
const INSERT: &str = "INSERT INTO audit_log AS l (id, at, user_id, username, role, action, path, \
    address, status, node) OVERRIDING SYSTEM VALUE \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
    ON CONFLICT (id) DO UPDATE SET status = excluded.status \
    WHERE (l.at, l.user_id, l.path, l.node) = \
    (excluded.at, excluded.user_id, excluded.path, excluded.node)";

#[async_trait]
impl AuditStore for PostgresStore {
    async fn add_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        let AuditEntry { at, user, username, role, action, path, address, status, node } = entry;
        loop {
            let id = self.next_id(Sequence::AuditLog).await?;
            let query = sqlx::query(INSERT).bind(id).bind(at.as_millisecond()).bind(user.0);
            let query = query.bind(&*username).bind(&*role).bind(&*action).bind(&*path);
            let query = query.bind(&*address).bind(status.map(i64::from)).bind(&*node);
            let written = query.execute(self.pool.by_key()).await.map_err(failed)?;
            if written.rows_affected() > 0 {
                return Ok(());
            }
        }
    }

    async fn audit(
        &self,
        filter: AuditFilter,
        page: PageRequest,
    ) -> Result<Page<AuditRow>, StoreError> {
        let read = async move |mut snapshot: Snapshot| {
            let mut count = QueryBuilder::<Postgres>::new(audit_rows::COUNT);
            narrow(&mut count, &filter, ACTION);
            let count = count.build_query_scalar().fetch_one(&mut *snapshot);
            let count = count.await.map_err(failed)?;
            let mut rows = QueryBuilder::<Postgres>::new(audit_rows::SELECT);
            narrow(&mut rows, &filter, ACTION);
            audit_rows::one_page(&mut rows, page);
            let rows = rows.build().fetch_all(&mut *snapshot).await.map_err(failed)?;
            Ok(Page { count, rows: rows.iter().map(audit_rows::row).collect::<Result<_, _>>()? })
        };
        self.slow.read(READ_MAX, read).await
    }
}
