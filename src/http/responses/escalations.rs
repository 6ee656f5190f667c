//! Escalation policies.

use bellpull_domain::escalation;
use bellpull_domain::version::Version;
use bellpull_port::escalations::EscalationRow;
use compact_str::CompactString;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::choices::channel;

use super::times;

/// An event's policy.
#[derive(Serialize, ToSchema)]
pub(crate) struct Escalation {
    #[schema(value_type = String)]
    event: CompactString,
    /// Sorted by time.
    steps: Vec<Step>,
    version: i64,
    #[serde(serialize_with = "times::time")]
    updated_at: Timestamp,
}

/// A channel, and how long it waits for the notification to be seen elsewhere.
#[derive(Serialize, ToSchema)]
pub(crate) struct Step {
    /// `SYSTEM` is notified immediately: it can only wait 0 seconds.
    #[schema(schema_with = channel)]
    channel: &'static str,
    /// Seconds after the event.
    #[schema(minimum = 0, maximum = 604_800)]
    after_s: i64,
}

impl From<EscalationRow> for Escalation {
    fn from(row: EscalationRow) -> Self {
        Self {
            event: row.event.as_str().into(),
            steps: row.escalation.steps().iter().map(Step::from).collect(),
            version: Version::of(Some(row.updated_at)).0,
            updated_at: row.updated_at,
        }
    }
}

impl From<&escalation::Step> for Step {
    fn from(step: &escalation::Step) -> Self {
        Self { channel: step.channel.as_str(), after_s: step.after_s.into() }
    }
}
