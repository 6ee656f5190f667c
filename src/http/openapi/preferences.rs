//! OpenAPI schemas: preferences.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use std::collections::BTreeMap;

use bellpull_actors::domain::preference::{CHANNELS, Day, EmailDigest};
use bellpull_actors::domain::routing::Channel;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::one_of;

/// `{"ticket_created": {"EMAIL": true, …}, …}`, with all channels or with some.
fn events(is_whole: bool) -> Schema {
    let mut wishes = ObjectBuilder::new();
    for channel in CHANNELS.map(Channel::as_str) {
        wishes = wishes.property(channel, bool::schema());
        if is_whole {
            wishes = wishes.required(channel);
        }
    }
    let wishes = wishes.additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let of_each: RefOr<Schema> = wishes.into();
    ObjectBuilder::new().additional_properties(Some(AdditionalProperties::RefOr(of_each))).into()
}

fn all_events() -> Schema {
    events(true)
}

fn some_events() -> Schema {
    events(false)
}

fn digest() -> Schema {
    use EmailDigest::{Daily, Hourly, Off};
    one_of([Off, Hourly, Daily].map(EmailDigest::as_str))
}

fn days() -> Schema {
    let day = RefOr::T(one_of(Day::ALL.map(Day::as_str)));
    ArrayBuilder::new().items(day).min_items(Some(1)).max_items(Some(100)).into()
}

/// What a user is notified of, and how.
#[derive(ToSchema)]
pub(in crate::http) struct Preferences {
    /// By event and channel, defaults included.
    #[schema(schema_with = all_events)]
    events: BTreeMap<String, BTreeMap<String, bool>>,
    #[schema(required)]
    quiet_hours: Option<QuietHours>,
    #[schema(schema_with = digest)]
    email_digest: String,
    /// The language of external messages: a tag such as `pt-BR`.
    #[schema(required)]
    locale: Option<String>,
}

/// Changed preferences; those that are not named stay as they are.
#[derive(ToSchema)]
pub(in crate::http) struct PreferenceChanges {
    /// By event and channel.
    #[schema(schema_with = some_events)]
    events: Option<BTreeMap<String, BTreeMap<String, bool>>>,
    quiet_hours: Option<QuietHours>,
    #[schema(schema_with = digest)]
    email_digest: Option<String>,
    #[schema(pattern = "^[a-z]{2,3}(-[A-Z]{2})?$", examples("pt-BR"))]
    locale: Option<String>,
}

/// When no external messages are sent.
#[derive(ToSchema)]
pub(in crate::http) struct QuietHours {
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", examples("22:00"))]
    start: String,
    /// If earlier than `start`, on the next day.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", examples("07:00"))]
    end: String,
    /// An IANA time zone.
    #[schema(examples("Europe/Berlin"))]
    timezone: String,
    /// The days on which they begin; by default all.
    #[schema(schema_with = days)]
    days: Option<Vec<String>>,
}
