//! OpenAPI schemas: escalations.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::inboxes::channel;

fn new_steps() -> Schema {
    ArrayBuilder::new().items(Step::schema()).min_items(Some(1)).max_items(Some(6)).into()
}

/// An event's policy.
#[derive(ToSchema)]
pub(in crate::http) struct Escalation {
    event: String,
    /// Sorted by time.
    steps: Vec<Step>,
    updated_at: Timestamp,
}

/// An event's new policy.
#[derive(ToSchema)]
pub(in crate::http) struct NewEscalation {
    /// Each channel at most once, in any order.
    #[schema(schema_with = new_steps)]
    steps: Vec<Step>,
}

/// A channel, and how long it waits for the notification to be seen elsewhere.
#[derive(ToSchema)]
pub(in crate::http) struct Step {
    /// `SYSTEM` is notified immediately: it can only wait 0 seconds.
    #[schema(schema_with = channel)]
    channel: String,
    /// Seconds after the event.
    #[schema(minimum = 0, maximum = 604_800)]
    after_s: i64,
}

/// An event: one of the hub's own, or one that senders use.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct EventName {
    #[param(min_length = 1, max_length = 64, example = "ticket_assigned")]
    event: String,
}
