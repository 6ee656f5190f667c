//! Errors.

use serde::Serialize;
use utoipa::ToSchema;

/// What was not done, and why.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Problem {
    /// For people.
    pub(in crate::http) detail: String,
    /// For machines: `not_found`, `wrong_status`, `throttled`, …
    pub(in crate::http) code: &'static str,
}
