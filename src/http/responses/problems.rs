//! Errors.

use serde::Serialize;
use utoipa::ToSchema;

/// What failed, and why.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Problem {
    /// A text for a reader.
    pub(in crate::http) detail: String,
    /// For machines: `not_found`, `wrong_status`, `throttled`, …
    pub(in crate::http) code: &'static str,
}
