//! Errors.

use serde::Serialize;
use utoipa::ToSchema;

/// What failed, and why.
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    /// A text for a reader.
    pub(crate) detail: String,
    /// For machines: `not_found`, `wrong_status`, `throttled`, …
    pub(crate) code: &'static str,
}
