//! The audit log.

use async_trait::async_trait;
use bellpull_port::audit::{AuditEntry, AuditFilter, AuditRow};
use bellpull_port::{AuditStore, Page, PageRequest, StoreError};
use sqlx::{Postgres, QueryBuilder};

use super::PostgresStore;
use super::slow_reads::{READ_MAX, Snapshot};
use super::transaction::failed;
use crate::audit_rows::{self, narrow};

/// The column was made without a collation, which cannot be changed while the previous version
/// runs; its index compares bytes.
const ACTION: &str = "action COLLATE \"C\"";

const INSERT: &str = "INSERT INTO audit_log (at, user_id, username, role, action, path, address, \
    status, node) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

#[async_trait]
impl AuditStore for PostgresStore {
    async fn add_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        let AuditEntry { at, user, username, role, action, path, address, status, node } = entry;
        let query = sqlx::query(INSERT).bind(at.as_millisecond()).bind(user.0).bind(username);
        let query = query.bind(role).bind(action).bind(path).bind(address);
        let query = query.bind(status.map(i64::from)).bind(node);
        query.execute(&self.pool).await.map(drop).map_err(failed)
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
