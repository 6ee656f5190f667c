//! OpenAPI schemas: escalations.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::openapi::Schema;
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::responses::Step;

fn new_steps() -> Schema {
    ArrayBuilder::new().items(Step::schema()).min_items(Some(1)).max_items(Some(6)).into()
}

/// An event's new policy.
#[derive(ToSchema)]
pub(crate) struct NewEscalation {
    /// Each channel at most once, in any order.
    #[schema(schema_with = new_steps)]
    steps: Vec<Step>,
    /// The version that the caller has seen, 0 for none: if it has changed, the answer is 409.
    version: Option<i64>,
}

/// An event: one of the hub's own, or one that senders use.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct EventName {
    #[param(min_length = 1, max_length = 64, example = "ticket_assigned")]
    event: String,
}
