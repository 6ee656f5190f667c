//! Preferences.

use std::collections::BTreeMap;

use bellpull_domain::event::Event;
use bellpull_domain::locale::Locale;
use bellpull_domain::preference::{self, Day, EmailDigest};
use bellpull_domain::routing::Channel;
use compact_str::CompactString;
use jiff::civil::Time;
use serde::Serialize;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::choices::one_of;

/// `{"ticket_created": {"EMAIL": true, …}, …}`, with all channels or with some.
pub(crate) fn wishes(is_whole: bool) -> Schema {
    let mut of_each = ObjectBuilder::new();
    for channel in Channel::ALL.map(Channel::as_str) {
        of_each = of_each.property(channel, bool::schema());
        if is_whole {
            of_each = of_each.required(channel);
        }
    }
    let of_each = of_each.additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let of_each: RefOr<Schema> = of_each.into();
    ObjectBuilder::new().additional_properties(Some(AdditionalProperties::RefOr(of_each))).into()
}

fn all_events() -> Schema {
    wishes(true)
}

pub(crate) fn digest() -> Schema {
    use EmailDigest::{Daily, Hourly, Off};
    one_of([Off, Hourly, Daily].map(EmailDigest::as_str))
}

fn days() -> Schema {
    let day = RefOr::T(one_of(Day::ALL.map(Day::as_str)));
    ArrayBuilder::new().items(day).min_items(Some(1)).max_items(Some(100)).into()
}

/// What a user is notified of, and how.
#[derive(Serialize, ToSchema)]
pub(crate) struct Preferences {
    /// By event and channel, defaults included.
    #[schema(schema_with = all_events)]
    events: BTreeMap<CompactString, BTreeMap<&'static str, bool>>,
    #[schema(required)]
    quiet_hours: Option<QuietHours>,
    #[schema(schema_with = digest)]
    email_digest: &'static str,
    /// The language of external messages: a tag such as `pt-BR`.
    #[schema(required, value_type = Option<String>)]
    locale: Option<Locale>,
    /// The time zone of digests; null: that of quiet hours, else UTC.
    #[schema(required, examples("Europe/Berlin"))]
    timezone: Option<String>,
    version: i64,
}

// All preferences, defaults included.
impl From<preference::Preferences> for Preferences {
    fn from(preferences: preference::Preferences) -> Self {
        let version = preferences.version().0;
        let wished = preferences.events.keys().map(|name| Event::from_name(name));
        let events = Event::OWN.into_iter().chain(wished).map(|event| {
            let wanted = Channel::ALL
                .map(|channel| (channel.as_str(), preferences.is_wanted(&event, channel)))
                .into();
            (CompactString::from(event.as_str()), wanted)
        });
        Self {
            version,
            events: events.collect(),
            quiet_hours: preferences.quiet_hours.map(QuietHours::from),
            email_digest: preferences.email_digest.as_str(),
            locale: preferences.locale,
            timezone: preferences.timezone,
        }
    }
}

/// When no external messages are sent.
// Also a part of the body that changes preferences, where the days may be missing.
#[derive(Serialize, ToSchema)]
pub(crate) struct QuietHours {
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", examples("22:00"))]
    start: String,
    /// If earlier than `start`, on the next day.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", examples("07:00"))]
    end: String,
    /// An IANA time zone.
    #[schema(examples("Europe/Berlin"))]
    timezone: String,
    /// The days on which they begin; by default all.
    #[schema(schema_with = days, required = false)]
    days: Vec<&'static str>,
}

impl From<preference::QuietHours> for QuietHours {
    fn from(quiet: preference::QuietHours) -> Self {
        let clock = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        Self {
            start: clock(quiet.start),
            end: clock(quiet.end),
            timezone: quiet.timezone,
            days: quiet.days.iter().map(|day| day.as_str()).collect(),
        }
    }
}
