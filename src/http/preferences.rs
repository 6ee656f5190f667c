//! `/api/preferences/`: what the caller is notified of, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bellpull_domain::event::Event;
use bellpull_domain::ids::UserId;
use bellpull_domain::locale::{Locale, NotALocale};
use bellpull_domain::preference::{
    Day, EVENTS_MAX, EmailDigest, PreferenceChanges, QuietHours, Wish, is_timezone,
};
use bellpull_domain::routing::Channel;
use bellpull_domain::version::Version;
use bellpull_port::{Clock, PreferenceStore};
use jiff::civil::Time;
use serde_json::{Map, Value};
use utoipa_axum::routes;

use super::body::Strict;
use super::error::{ApiError, FieldErrors};
use super::fields::{Fields, kind, not_a_choice};
use super::openapi as doc;
use super::query::EVENT_MAX;
use super::query::is_event_name;
use super::responses as res;
use super::routes::Routes;
use super::unknown::{self, suggestion};
use super::who::Who;
use bellpull_auth::Principal;

/// With more typos than this it is another word: `ticket_closed` may be a sender's event.
const SLIPS_MAX: usize = 2;

/// How many misspelt events are named.
const MISSPELT_MAX: usize = 10;

/// A day may be repeated, within reason.
const DAYS_MAX: usize = 100;

/// The hub's time zone of digests (`digest.timezone`); `None`: UTC.
#[derive(Debug, Clone)]
pub(super) struct DigestZone(pub(super) Option<Arc<str>>);

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(read, change, patch))
}

/// The caller's preferences.
#[utoipa::path(
    get, path = "/api/preferences/", tag = "Preferences",
    responses((status = 200, description = "All wishes.", body = res::Preferences))
)]
async fn read(
    State(store): State<Arc<dyn PreferenceStore>>,
    Who(principal): Who,
) -> Result<Json<res::Preferences>, ApiError> {
    let preferences = store.preferences(principal.user.id).await?;
    Ok(Json(preferences.into()))
}

/// Changes preferences. What is not named stays as it is; an event that looks like a misspelt one
/// of the hub's own is refused.
#[utoipa::path(
    put, path = "/api/preferences/", tag = "Preferences", request_body = doc::PreferenceChanges,
    responses(
        (status = 200, description = "All wishes.", body = res::Preferences),
        (status = 403, description = "A service has no wishes."),
        (status = 409, description = "Another request changed them first."),
    )
)]
async fn change(
    State(store): State<Arc<dyn PreferenceStore>>,
    State(clock): State<Arc<dyn Clock>>,
    State(zone): State<DigestZone>,
    Who(principal): Who,
    Strict(body): Strict,
) -> Result<Json<res::Preferences>, ApiError> {
    merge(&*store, (&*clock, zone), &principal, body).await
}

/// The same: a `PUT` merges too.
#[utoipa::path(
    patch, path = "/api/preferences/", tag = "Preferences", request_body = doc::PreferenceChanges,
    responses(
        (status = 200, description = "All wishes.", body = res::Preferences),
        (status = 403, description = "A service has no wishes."),
        (status = 409, description = "Another request changed them first."),
    )
)]
async fn patch(
    State(store): State<Arc<dyn PreferenceStore>>,
    State(clock): State<Arc<dyn Clock>>,
    State(zone): State<DigestZone>,
    Who(principal): Who,
    Strict(body): Strict,
) -> Result<Json<res::Preferences>, ApiError> {
    merge(&*store, (&*clock, zone), &principal, body).await
}

async fn merge(
    store: &dyn PreferenceStore,
    (clock, DigestZone(zone)): (&dyn Clock, DigestZone),
    principal: &Principal,
    mut body: Fields,
) -> Result<Json<res::Preferences>, ApiError> {
    if principal.is_service {
        return Err(ApiError::Forbidden(
            "A service token belongs to no user and has no preferences.".to_owned(),
        ));
    }
    let mut changes = changes(&mut body)?;
    check_events(store, principal.user.id, &changes).await?;
    settle_timezone(store, principal.user.id, zone, &mut changes).await?;
    let after = store.change_preferences(principal.user.id, changes, clock.now()).await?;
    let after = after.ok_or_else(|| {
        ApiError::field("events", format!("Ensure there are wishes on no more than {EVENTS_MAX}."))
    })?;
    Ok(Json(after.into()))
}

/// A user who begins to gather mails and has no time zone gets the hub's.
async fn settle_timezone(
    store: &dyn PreferenceStore,
    user: UserId,
    zone: Option<Arc<str>>,
    changes: &mut PreferenceChanges,
) -> Result<(), ApiError> {
    let begins = matches!(changes.email_digest, Some(EmailDigest::Hourly | EmailDigest::Daily));
    let Some(zone) = zone.filter(|_| begins && changes.timezone.is_none()) else { return Ok(()) };
    let before = store.preferences(user).await?;
    let quiet = changes.quiet_hours.as_ref().unwrap_or(&before.quiet_hours);
    if before.timezone.is_none() && quiet.is_none() {
        changes.timezone = Some(Some(zone.to_string()));
    }
    Ok(())
}

/// Refuses events that look like misspelt ones of the hub's own, unless the user already has
/// preferences for them: what was read can be written. Other unknown events are senders' events.
async fn check_events(
    store: &dyn PreferenceStore,
    user: UserId,
    changes: &PreferenceChanges,
) -> Result<(), ApiError> {
    let misspelt = changes.events.keys().filter_map(|name| Some((name, own_event_like(name)?)));
    let misspelt: Vec<(&String, &str)> = misspelt.collect();
    if misspelt.is_empty() {
        return Ok(());
    }
    let before = store.preferences(user).await?.events;
    let mut errors = FieldErrors::default();
    for (name, own) in misspelt.into_iter().filter(|(name, _)| !before.contains_key(*name)) {
        let text = format!("{name}: Unknown event. Did you mean \"{own}\"?");
        errors.add_up_to(MISSPELT_MAX, "events", text);
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::Fields(errors)) }
}

/// The hub's own event that differs from a name by one or two typos.
fn own_event_like(name: &str) -> Option<&'static str> {
    let plain = name.to_ascii_lowercase().replace(['-', ' ', '.'], "_");
    let own = Event::OWN.iter().map(Event::as_str);
    let slips = |own: &&str| strsim::damerau_levenshtein(&plain, own) <= SLIPS_MAX;
    own.clone().find(slips).filter(|_| own.clone().all(|own| own != name))
}

/// The changes in a body, or all its errors.
fn changes(body: &mut Fields) -> Result<PreferenceChanges, ApiError> {
    let seen = body.integer("version").map(Version);
    let events = body.value("events").map(|value| events(&value));
    let events = events.and_then(|checked| body.note("events", checked)).unwrap_or_default();
    let quiet_hours = body.value_or_null("quiet_hours").map(|value| quiet_hours(&value));
    let quiet_hours = quiet_hours.and_then(|checked| body.note("quiet_hours", checked));
    let email_digest = body.choice("email_digest", EmailDigest::from_name);
    let locale = body.value_or_null("locale").map(|value| locale(&value));
    let locale = locale.and_then(|checked| body.note("locale", checked));
    let timezone = body.value_or_null("timezone").map(|value| timezone(&value));
    let timezone = timezone.and_then(|checked| body.note("timezone", checked));
    body.finish()?;
    Ok(PreferenceChanges { seen, events, quiet_hours, email_digest, locale, timezone })
}

type Wishes = BTreeMap<String, BTreeMap<Channel, Wish>>;

fn events(value: &Value) -> Result<Wishes, String> {
    let mut all = Wishes::new();
    for (event, wishes) in object(value)? {
        if !is_event_name(event) {
            return Err(format!("An event's name has 1 to {EVENT_MAX} visible characters."));
        }
        let wishes = object(wishes).map_err(|why| format!("{event}: {why}"))?;
        for (name, wish) in wishes {
            let channel = Channel::from_name(name);
            let bad = |why: &str| format!("{event}: {why}");
            let channel = channel.ok_or_else(|| {
                let known = Channel::ALL.into_iter().map(Channel::as_str);
                bad(&format!(
                    "{}{}",
                    not_a_choice(&Value::from(name.as_str())),
                    suggestion(name, known)
                ))
            })?;
            let is_yes = wish.as_bool();
            let is_yes = is_yes.ok_or_else(|| bad(&format!("{name}: Must be a valid boolean.")))?;
            let wish = if is_yes { Wish::Yes } else { Wish::No };
            all.entry(event.clone()).or_default().insert(channel, wish);
        }
    }
    Ok(all)
}

fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    let bad = || format!("Expected a dictionary of items but got type \"{}\".", kind(value));
    value.as_object().ok_or_else(bad)
}

/// Quiet hours, or null for none.
fn quiet_hours(value: &Value) -> Result<Option<QuietHours>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let fields = object(value)?;
    unknown::check(fields, &["start", "end", "timezone", "days"])?;
    let text = |field: &str| {
        let text = fields.get(field).and_then(Value::as_str);
        text.ok_or_else(|| format!("{field}: This field is required."))
    };
    let clock = |field: &str| {
        let time = clock(text(field)?);
        time.ok_or_else(|| format!("{field}: Enter a time of day as HH:MM."))
    };
    let (start, end) = (clock("start")?, clock("end")?);
    if start == end {
        return Err("end: Must not be the same as start.".to_owned());
    }
    let timezone = text("timezone")?;
    if !is_timezone(timezone) {
        return Err("timezone: Enter a time zone's name, as Europe/Berlin.".to_owned());
    }
    let days = match fields.get("days") {
        None => Day::ALL.into_iter().collect(),
        Some(days) => self::days(days).map_err(|why| format!("days: {why}"))?,
    };
    Ok(Some(QuietHours { start, end, timezone: timezone.to_owned(), days }))
}

/// A language, or null for none.
fn locale(value: &Value) -> Result<Option<Locale>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(tag) => tag.parse().map(Some).map_err(|why: NotALocale| why.to_string()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err("Not a valid string.".to_owned())
        }
    }
}

/// A time zone, or null for none.
fn timezone(value: &Value) -> Result<Option<String>, String> {
    match value.as_str() {
        Some(name) if is_timezone(name) => Ok(Some(name.to_owned())),
        None if value.is_null() => Ok(None),
        Some(_) | None => Err("Enter a time zone's name, as Europe/Berlin.".to_owned()),
    }
}

/// `HH:MM`, and nothing else.
fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<i8>().ok()).flatten()
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

fn days(value: &Value) -> Result<BTreeSet<Day>, String> {
    let bad = || format!("Expected a list of items but got type \"{}\".", kind(value));
    let days = value.as_array().ok_or_else(bad)?;
    if days.is_empty() || days.len() > DAYS_MAX {
        return Err("Name at least one day, and each once.".to_owned());
    }
    let day = |day: &Value| day.as_str().and_then(Day::from_name).ok_or_else(|| not_a_choice(day));
    days.iter().map(day).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_of_day_has_two_and_two_digits() {
        assert_eq!(clock("07:05"), Time::new(7, 5, 0, 0).ok());
        assert_eq!(clock("23:59"), Time::new(23, 59, 0, 0).ok());
        for bad in ["24:00", "7:05", "07:60", "07:5", "0705", "+7:05", "-1:00", "", ":", "07:05:00"]
        {
            assert_eq!(clock(bad), None, "{bad}");
        }
    }

    #[test]
    fn quiet_hours_have_a_beginning_an_end_and_a_place() {
        let good = json!({"start": "22:00", "end": "07:00", "timezone": "Europe/Berlin"});
        let quiet = quiet_hours(&good).unwrap().unwrap();
        assert_eq!(quiet.days.len(), 7);
        assert_eq!(quiet_hours(&Value::Null), Ok(None));
        for (field, bad) in [
            ("start", json!(null)),
            ("start", json!("25:00")),
            ("end", json!("22:00")),
            ("end", json!(7)),
            ("timezone", json!("Mars/Olympus")),
            ("days", json!([])),
            ("days", json!(["monday"])),
            ("days", json!("mon")),
            ("days", json!(vec!["mon"; DAYS_MAX + 1])),
        ] {
            let mut value = good.clone();
            value[field] = bad.clone();
            let why = quiet_hours(&value).unwrap_err();
            assert!(why.starts_with(field), "{field} {bad}: {why}");
        }
        assert!(quiet_hours(&json!([])).is_err());
        assert!(quiet_hours(&json!({})).is_err());
    }

    #[test]
    fn a_slip_is_told_from_another_word() {
        for (slip, own) in [
            ("ticket_creatd", "ticket_created"),
            ("TICKET_CREATED", "ticket_created"),
            ("ticket-created", "ticket_created"),
            ("mentoined", "mentioned"),
        ] {
            assert_eq!(own_event_like(slip), Some(own), "{slip}");
        }
        for other in ["ticket_created", "ticket_closed", "ticket_updated", "lunch", "general"] {
            assert_eq!(own_event_like(other), None, "{other}");
        }
    }

    #[test]
    fn wishes_name_an_event_and_a_channel() {
        let good = events(&json!({"mentioned": {"EMAIL": false, "SMS": true}, "x": {}})).unwrap();
        assert_eq!(good["mentioned"][&Channel::Email], Wish::No);
        assert_eq!(good["mentioned"][&Channel::Sms], Wish::Yes);
        assert!(!good.contains_key("x"), "nothing was wished for");
        for bad in [
            json!([]),
            json!({"mentioned": true}),
            json!({"mentioned": {"email": true}}),
            json!({"mentioned": {"PIGEON": true}}),
            json!({"mentioned": {"EMAIL": 1}}),
            json!({"mentioned": {"EMAIL": null}}),
            json!({"": {"EMAIL": true}}),
            json!({" a": {"EMAIL": true}}),
            json!({"a\nb": {"EMAIL": true}}),
            json!({"x".repeat(65): {"EMAIL": true}}),
        ] {
            assert!(events(&bad).is_err(), "{bad}");
        }
    }
}
