//! The store port of the audit log: what admins and operators changed.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, StoreError};
use bellpull_domain::ids::UserId;

/// The audit log. Entries are only added; retention removes old ones.
#[async_trait]
pub trait AuditStore: std::fmt::Debug + Send + Sync + 'static {
    /// Adds an entry, in a transaction of its own. Not idempotent.
    async fn add_audit(&self, entry: AuditEntry) -> Result<(), StoreError>;

    /// One page, the newest first; the count and the rows are of one snapshot.
    async fn audit(
        &self,
        filter: AuditFilter,
        page: PageRequest,
    ) -> Result<Page<AuditRow>, StoreError>;
}

/// A request that changes something by an admin's right, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it had ended.
    pub at: Timestamp,
    /// Who made it. The names are those of that time.
    pub user: UserId,
    /// The user's name.
    pub username: String,
    /// The user's role.
    pub role: String,
    /// The operation: a method and a path with placeholders, as in the OpenAPI document.
    pub action: String,
    /// The path that was requested.
    pub path: String,
    /// The client's address.
    pub address: String,
    /// The HTTP status of the answer; `None` if the client left before it.
    pub status: Option<u16>,
    /// The node that served it.
    pub node: String,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number: distinct, and without meaning.
    pub id: i64,
    /// What was changed.
    pub entry: AuditEntry,
}

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only those of this user.
    pub user: Option<UserId>,
    /// Only those of this operation.
    pub action: Option<String>,
    /// Only those from this time on.
    pub since: Option<Timestamp>,
}
