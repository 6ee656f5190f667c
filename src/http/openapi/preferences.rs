//! OpenAPI schemas: preferences.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::Schema;

use crate::responses::{QuietHours, digest, wishes};

fn some_events() -> Schema {
    wishes(false)
}

/// Changed preferences; those that are not named stay as they are.
#[derive(ToSchema)]
pub(crate) struct PreferenceChanges {
    /// By event and channel.
    #[schema(schema_with = some_events)]
    events: Option<BTreeMap<String, BTreeMap<String, bool>>>,
    quiet_hours: Option<QuietHours>,
    #[schema(schema_with = digest)]
    email_digest: Option<String>,
    #[schema(pattern = "^[a-z]{2,3}(-[A-Z]{2})?$", examples("pt-BR"))]
    locale: Option<String>,
    /// An IANA time zone, in which digests are due.
    #[schema(examples("Europe/Berlin"))]
    timezone: Option<String>,
    /// The version that the caller has seen: if it has changed, the answer is 409.
    version: Option<i64>,
}
