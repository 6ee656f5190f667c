//! `POST /api/notifications/`: one message to many, for admins and service tokens.

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bellpull_actors::sends::{SendError, Sends};
use bellpull_domain::event::Event;
use bellpull_domain::idempotency::Used;
use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_domain::notification::{Kind, Message};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::{NewSend, Recipients, is_good_link};
use bellpull_domain::ticket::Priority;
use bellpull_domain::user::Role;
use bellpull_port::sends::StoredSend;
use bellpull_port::{Clock, InboxStore};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::Edge;
use super::body::Strict;
use super::error::{ApiError, FieldErrors};
use super::fields::{self, Fields, TextRule, kind, not_a_choice};
use super::in_flight::Slot;
use super::once::replayed;
use super::openapi as doc;
use super::query::EVENT_MAX;
use super::responses as res;
use super::who::Admin;
use bellpull_auth::Principal;

/// How many recipients one request may name. Larger audiences are a role, a project or all.
const RECIPIENTS_MAX: usize = 10_000;
/// The limit of a ticket's title.
const TITLE_MAX: usize = 255;
/// The limit of a ticket's description.
const MESSAGE_MAX: usize = 10_000;
/// What browsers accept.
const URL_MAX: usize = 2_000;
/// It is sent to every recipient's client.
const METADATA_BYTES_MAX: usize = 16 * 1024;
/// A later time is probably in the wrong unit.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);
/// The default event.
const EVENT_DEFAULT: &str = "general";

/// Accepts sends and shows them.
#[derive(Debug, Clone)]
pub(super) struct SendService {
    sends: Sends,
    inboxes: Arc<dyn InboxStore>,
    clock: Arc<dyn Clock>,
}

impl FromRef<Edge> for SendService {
    fn from_ref(edge: &Edge) -> Self {
        let (inboxes, clock) = (edge.store.clone(), Arc::clone(&edge.clock));
        Self { sends: edge.hub.sends.clone(), inboxes, clock }
    }
}

/// Sends one message to many: accepted immediately; the first few recipients are notified
/// immediately, the others soon.
#[utoipa::path(
    post, path = "/api/notifications/", tag = "Notifications", request_body = doc::NewSend,
    params(doc::IdempotencyHeader),
    responses(
        (status = 202, description = "It is stored, and will be told.", body = res::Sent),
        (status = 403, description = "For admins and services."),
    )
)]
pub(super) async fn send(
    State(service): State<SendService>,
    Extension(slot): Extension<Slot>,
    Admin(principal): Admin,
    Strict(mut fields): Strict,
) -> Result<Response, ApiError> {
    let key = fields.key(&principal, "")?;
    let mut new = new_send(&mut fields, &principal, service.clock.now())?;
    new.key = key;
    let named = match &new.recipients {
        Recipients::Users(users) => <[UserId; 1]>::try_from(users.as_slice()).ok(),
        Recipients::Role(_) | Recipients::Project(_) | Recipients::All => None,
    };
    let sent = service.sends.send(new).await?;
    slot.record(Some(StatusCode::ACCEPTED));
    let answer = Json(service.answer(sent.stored, named.map(|[user]| user)).await);
    let response = (StatusCode::ACCEPTED, answer).into_response();
    Ok(if sent.is_repeated { replayed(response) } else { response })
}

impl SendService {
    /// The answer; for a send to a single account, with its notification.
    async fn answer(&self, send: StoredSend, named: Option<UserId>) -> res::Sent {
        let mut answer = res::Sent {
            id: send.id.0,
            recipients: send.recipients,
            scheduled: send.is_scheduled,
            notification: None,
        };
        if let (Some(user), Some(id)) = (named, send.notification)
            // The send is accepted, whether or not it can be shown.
            && let Ok(Some(row)) = self.inboxes.notification(user, id).await
        {
            let shown = res::Notification::new(row, Channel::System, self.clock.now());
            answer.notification = Some(shown);
        }
        answer
    }
}

/// The send in the body, or all its errors.
pub(super) fn new_send(
    fields: &mut Fields,
    principal: &Principal,
    now: Timestamp,
) -> Result<NewSend, ApiError> {
    fields.require("recipients");
    let recipients = fields.value("recipients").map(|value| recipients(&value));
    let recipients = recipients.and_then(|parsed| fields.note("recipients", parsed));
    let title = fields.text("title", TextRule::line(TITLE_MAX));
    let body = fields.text("message", TextRule::lines(MESSAGE_MAX));
    let event = fields.text_if_sent("event", TextRule::line(EVENT_MAX));
    let event = Event::from_name(event.as_deref().unwrap_or(EVENT_DEFAULT));
    let kind = fields.choice("type", Kind::from_name).unwrap_or_else(|| event.kind());
    let action_url = fields.text_if_sent("action_url", TextRule::line(URL_MAX).or_blank());
    let action_url = action_url.unwrap_or_default();
    if !is_good_link(&action_url) {
        fields.refuse("action_url", "Enter a relative URL or one that begins with http(s)://.");
    }
    let metadata = fields.value("metadata").map(metadata);
    let metadata = metadata.and_then(|checked| fields.note("metadata", checked));
    let chosen = fields.value("channels").map(|value| chosen_channels(&value));
    let chosen = chosen.and_then(|checked| fields.note("channels", checked));
    let priority = fields.choice("priority", Priority::from_name).unwrap_or(Priority::Medium);
    let due_at = fields.value("send_at").map(|value| send_at(&value, now));
    let due_at = due_at.and_then(|checked| fields.note("send_at", checked)).flatten();
    let is_critical = fields.boolean("critical").unwrap_or(false);
    fields.finish()?;
    // Set: a missing value has been refused.
    let recipients = recipients.ok_or(ApiError::Internal)?;
    Ok(NewSend {
        recipients,
        channels: chosen.unwrap_or_else(|| event.channels()),
        is_critical,
        due_at,
        key: None,
        message: Message {
            event,
            kind,
            title,
            body,
            action_url,
            metadata: metadata.unwrap_or_default(),
            ticket: None,
            // A service token's account is not stored.
            sender: (!principal.is_service).then_some(principal.user.id),
            priority,
            created_at: due_at.unwrap_or(now),
        },
    })
}

/// `[ids]`, `{"role"}`, `{"project"}` or `"all"`.
fn recipients(value: &Value) -> Result<Recipients, String> {
    let shapes =
        || "Expected a list of ids, {\"role\": …}, {\"project\": …} or \"all\".".to_owned();
    match value {
        Value::Array(_) => {
            let ids = fields::ids(value, RECIPIENTS_MAX)?;
            Ok(Recipients::Users(ids.into_iter().map(UserId).collect()))
        }
        Value::String(text) if text == "all" => Ok(Recipients::All),
        Value::Object(object) if object.len() == 1 => {
            if let Some(role) = object.get("role") {
                let slug = role.as_str().ok_or_else(|| not_a_choice(role))?;
                slug.parse::<Role>().map(Recipients::Role).map_err(|error| error.to_string())
            } else if let Some(project) = object.get("project") {
                let id = fields::integer(project).ok_or("A valid integer is required.")?;
                Ok(Recipients::Project(ProjectId(id)))
            } else {
                Err(shapes())
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(shapes())
        }
    }
}

fn metadata(value: Value) -> Result<Map<String, Value>, String> {
    let Value::Object(object) = value else {
        return Err(format!("Expected a dictionary of items but got type \"{}\".", kind(&value)));
    };
    let length = serde_json::to_string(&object).map_or(usize::MAX, |text| text.len());
    if length > METADATA_BYTES_MAX {
        return Err(format!("Ensure this field has no more than {METADATA_BYTES_MAX} bytes."));
    }
    Ok(object)
}

/// The channels by name; the inbox is always included.
fn chosen_channels(value: &Value) -> Result<Channels, String> {
    let Value::Array(names) = value else {
        return Err(format!("Expected a list of items but got type \"{}\".", kind(value)));
    };
    let mut chosen = vec![Channel::System];
    for name in names {
        let channel = name.as_str().and_then(Channel::from_name);
        chosen.push(channel.ok_or_else(|| not_a_choice(name))?);
    }
    Ok(Channels::of(&chosen))
}

/// When to begin; `None` for a time that has passed.
fn send_at(value: &Value, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let parsed = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let at = parsed.ok_or("Enter a date and time with an offset, as 2026-01-31T08:00:00Z.")?;
    if at.duration_since(now) > AHEAD_MAX {
        return Err("Must be at most a year ahead.".to_owned());
    }
    // Stores hold milliseconds.
    let at = Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
    Ok(Some(at).filter(|at| *at > now))
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        let no_such = |id: i64| format!("Invalid pk \"{id}\" - object does not exist.");
        match error {
            SendError::KeyReused => Used::Reused.into(),
            SendError::UnknownUsers(users) => {
                let mut errors = FieldErrors::default();
                users.into_iter().for_each(|user| errors.add("recipients", no_such(user.0)));
                Self::Fields(errors)
            }
            SendError::UnknownProject => {
                Self::field("recipients", "Invalid project - object does not exist.")
            }
            SendError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: &Value) -> Result<Recipients, String> {
        recipients(value)
    }

    #[test]
    fn whom_it_is_for_has_four_shapes() {
        let users = Recipients::Users(vec![UserId(7), UserId(2)]);
        assert_eq!(of(&json!([7, "2", 7])), Ok(users));
        assert_eq!(of(&json!("all")), Ok(Recipients::All));
        let role = Recipients::Role(Role::Other("student".into()));
        assert_eq!(of(&json!({"role": "student"})), Ok(role));
        assert_eq!(of(&json!({"project": 3})), Ok(Recipients::Project(ProjectId(3))));
        for bad in [
            json!([]),
            json!([1.5]),
            json!(vec![1; RECIPIENTS_MAX + 1]),
            json!("some"),
            json!(7),
            json!(true),
            json!({}),
            json!({"role": "student", "project": 3}),
            json!({"role": 7}),
            json!({"role": "Not A Role"}),
            json!({"project": "x"}),
            json!({"user": 7}),
        ] {
            assert!(of(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_has_an_offset_and_is_at_most_a_year_ahead() {
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        let at = |text: &str| send_at(&json!(text), now);
        let later = "2026-01-31T08:00:00.123Z".parse().unwrap();
        assert_eq!(at("2026-01-31T10:00:00.1239+02:00"), Ok(Some(later)));
        for past in ["2026-01-31T08:00:00Z", "2020-01-01T00:00:00Z", "2026-01-31T09:00:00+02:00"] {
            assert_eq!(at(past), Ok(None), "{past}");
        }
        for bad in ["2026-02-01T08:00:00", "2026-02-01", "soon", "", "2027-02-03T00:00:00Z"] {
            assert!(at(bad).is_err(), "{bad}");
        }
        assert!(send_at(&json!(1_800_000_000), now).is_err());
    }

    #[test]
    fn channels_go_by_their_names_and_metadata_has_a_bound() {
        let chosen = chosen_channels(&json!(["EMAIL", "SMS"])).unwrap();
        assert_eq!(chosen, Channels::of(&[Channel::System, Channel::Email, Channel::Sms]));
        assert_eq!(chosen_channels(&json!([])), Ok(Channels::of(&[Channel::System])));
        for bad in [json!(["email"]), json!([7]), json!("EMAIL"), json!({})] {
            assert!(chosen_channels(&bad).is_err(), "{bad}");
        }
        let fits = "x".repeat(METADATA_BYTES_MAX - r#"{"a":""}"#.len());
        assert!(metadata(json!({"a": fits})).is_ok());
        assert!(metadata(json!({"a": format!("{fits}x")})).is_err());
        assert!(metadata(json!([1])).is_err());
    }
}
