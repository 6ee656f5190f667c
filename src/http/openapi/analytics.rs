//! OpenAPI schemas: statistics.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::IntoParams;
use utoipa::openapi::Schema;

use crate::choices::{channel, one_of};

fn format() -> Schema {
    one_of(["json", "csv"])
}

/// The range of time.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AnalyticsFilters {
    /// A time, or a day in UTC; by default a week before `to`.
    #[param(example = "2026-01-01")]
    from: Option<String>,
    /// A time, or a day in UTC, which is included; by default now.
    #[param(example = "2026-01-31")]
    to: Option<String>,
    #[param(max_length = 64)]
    event: Option<String>,
    #[param(schema_with = channel)]
    channel: Option<String>,
    #[param(schema_with = format)]
    format: Option<String>,
}
