//! OpenAPI schemas: the audit log.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::IntoParams;

/// Filters of the audit log.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditFilters {
    /// Only changes of this user; 0 for service tokens.
    #[param(minimum = 0)]
    user: Option<u64>,
    /// Only this operation, such as `PATCH /api/users/{id}/`.
    #[param(max_length = 200)]
    action: Option<String>,
    /// Only changes from this time on: `2026-01-31T10:00:00Z`, or a day in UTC.
    since: Option<String>,
}
