//! The audit log's queries and rows, in both stores.

use bellpull_domain::ids::UserId;
use bellpull_port::audit::{AuditEntry, AuditFilter, AuditRow};
use bellpull_port::{PageRequest, StoreError};
use sqlx::{Database, Encode, QueryBuilder, Type};

use super::error::corrupt;
use super::rows::{Columns, get_time, int, string};

/// Counts the entries; the filter follows.
pub(super) const COUNT: &str = "SELECT count(*) FROM audit_log WHERE true";

/// Reads entries; the filter follows.
pub(super) const SELECT: &str = "SELECT id, at, user_id, username, role, action, path, address, \
    status, node FROM audit_log WHERE true";

/// Adds the filter's conditions; `action` is that column as its index has it.
pub(super) fn narrow<DB: Database>(
    query: &mut QueryBuilder<DB>,
    filter: &AuditFilter,
    action: &'static str,
) where
    i64: for<'q> Encode<'q, DB> + Type<DB>,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    let AuditFilter { user, action: wanted, since } = filter;
    if let Some(user) = user {
        query.push(" AND user_id = ").push_bind(user.0);
    }
    if let Some(wanted) = wanted {
        query.push(" AND ").push(action).push(" = ").push_bind(wanted.clone());
    }
    if let Some(since) = since {
        query.push(" AND at >= ").push_bind(since.as_millisecond());
    }
}

/// Adds the order and the page.
pub(super) fn one_page<DB: Database>(query: &mut QueryBuilder<DB>, page: PageRequest)
where
    i64: for<'q> Encode<'q, DB> + Type<DB>,
{
    query.push(" ORDER BY at DESC, id DESC LIMIT ").push_bind(i64::from(page.page_size));
    query.push(" OFFSET ").push_bind(page.offset());
}

/// An entry's row.
pub(super) fn row(row: &impl Columns) -> Result<AuditRow, StoreError> {
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
