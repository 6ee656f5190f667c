//! Responses: the audit log.

use bellpull_port::audit::AuditRow;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::times;

/// A request that changed something by an admin's right.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    id: i64,
    #[serde(serialize_with = "times::time")]
    at: Timestamp,
    /// 0 for a service token.
    user: i64,
    /// The user's name at that time.
    username: String,
    /// The user's role at that time.
    role: String,
    /// The operation, as in this document: `PATCH /api/users/{id}/`.
    action: String,
    /// The path that was requested: `/api/users/5/`.
    path: String,
    /// The client's address.
    address: String,
    /// The status of the answer; null if the client left before it.
    #[schema(required)]
    status: Option<u16>,
    /// The node that served the request.
    node: String,
}

impl From<AuditRow> for AuditEntry {
    fn from(AuditRow { id, entry }: AuditRow) -> Self {
        Self {
            id,
            at: entry.at,
            user: entry.user.0,
            username: entry.username,
            role: entry.role,
            action: entry.action,
            path: entry.path,
            address: entry.address,
            status: entry.status,
            node: entry.node,
        }
    }
}
