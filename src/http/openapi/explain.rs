//! OpenAPI schemas: explanations.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::IntoParams;

/// Whose explanation.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExplainWhom {
    /// By default the caller.
    user: Option<i64>,
}
