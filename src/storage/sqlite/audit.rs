//! The audit log.

use async_trait::async_trait;
use bellpull_port::audit::{AuditEntry, AuditFilter, AuditRow};
use bellpull_port::{AuditStore, Page, PageRequest, StoreError};
use sqlx::{QueryBuilder, Sqlite};

use super::SqliteStore;
use super::slow_reads::{READ_MAX, read_error};
use super::writer::Write;
use crate::audit_rows::{self, narrow};

#[async_trait]
impl AuditStore for SqliteStore {
    async fn add_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.changed(Write::Audit(Box::new(entry))).await.map(drop)
    }

    async fn audit(
        &self,
        filter: AuditFilter,
        page: PageRequest,
    ) -> Result<Page<AuditRow>, StoreError> {
        let mut read = self.slow.begin(READ_MAX).await?;
        let mut snapshot = read.snapshot().await?;
        let mut count = QueryBuilder::<Sqlite>::new(audit_rows::COUNT);
        narrow(&mut count, &filter, "action");
        let count =
            count.build_query_scalar().fetch_one(&mut *snapshot).await.map_err(read_error)?;
        let mut rows = QueryBuilder::<Sqlite>::new(audit_rows::SELECT);
        narrow(&mut rows, &filter, "action");
        audit_rows::one_page(&mut rows, page);
        let rows = rows.build().fetch_all(&mut *snapshot).await.map_err(read_error)?;
        Ok(Page { count, rows: rows.iter().map(audit_rows::row).collect::<Result<_, _>>()? })
    }
}
