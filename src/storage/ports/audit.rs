//! The audit log.

use async_trait::async_trait;
use bellpull_domain::ids::UserId;
use bellpull_port::audit::{AuditEntry, AuditFilter, AuditRow};
use bellpull_port::{AuditStore, Page, PageRequest, StoreError};

use crate::engine::{Build, Dialect, Engine, ReadPage, Reads, Row};
use crate::error::corrupt;
use crate::rows::{Columns, get_time, int, string};

#[async_trait]
impl<D: Dialect> AuditStore for Engine<D> {
    async fn add_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        Dialect::add_audit(&**self, entry).await
    }

    async fn audit(
        &self,
        filter: AuditFilter,
        page: PageRequest,
    ) -> Result<Page<AuditRow>, StoreError> {
        let mut count = Build::new("SELECT count(*) FROM audit_log WHERE true");
        narrow(&mut count, &filter);
        let mut rows = Build::new(
            "SELECT id, at, user_id, username, role, action, path, address, status, node \
             FROM audit_log WHERE true",
        );
        narrow(&mut rows, &filter);
        rows.push(" ORDER BY at DESC, id DESC LIMIT ").bind(page.page_size);
        rows.push(" OFFSET ").bind(page.offset());
        let read = ReadPage { count: count.done(), rows: rows.done(), decode: entry };
        self.read(Reads::Lists, read).await
    }
}

fn narrow(sql: &mut Build, filter: &AuditFilter) {
    let AuditFilter { user, action, since } = filter;
    if let Some(user) = user {
        sql.push(" AND user_id = ").bind(*user);
    }
    if let Some(action) = action {
        // PostgreSQL's column was made without a collation, which cannot be changed while the
        // previous version runs; its index compares bytes.
        sql.push(" AND action{| COLLATE \"C\"} = ").bind(action);
    }
    if let Some(since) = since {
        sql.push(" AND at >= ").bind(*since);
    }
}

fn entry(row: &Row) -> Result<AuditRow, StoreError> {
    let status = row.int("status")?.map(u16::try_from).transpose();
    Ok(AuditRow {
        id: int(row, "id")?,
        entry: AuditEntry {
            at: get_time(row, "at")?,
            user: UserId(int(row, "user_id")?),
            username: string(row, "username")?,
            role: string(row, "role")?,
            action: string(row, "action")?,
            path: string(row, "path")?,
            address: string(row, "address")?,
            status: status.map_err(|_| corrupt("status"))?,
            node: string(row, "node")?,
        },
    })
}
