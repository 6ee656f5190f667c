//! `/api/escalations/`: escalation policies by event, for admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bellpull_domain::escalation::{Escalation, POLICIES_MAX, STEPS_MAX, Step};
use bellpull_domain::routing::Channel;
use bellpull_domain::version::Version;
use bellpull_port::{Clock, EscalationStore};
use serde_json::{Map, Value};
use utoipa_axum::routes;

use super::body::Strict;
use super::error::ApiError;
use super::fields::{integer, kind, not_a_choice};
use super::openapi as doc;
use super::page::Paging;
use super::query::EventName;
use super::responses as res;
use super::routes::Routes;
use super::unknown;
use super::who::Admin;

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(list)).with(routes!(read, set, remove))
}

/// The events that have a policy, by name.
#[utoipa::path(
    get, path = "/api/escalations/", tag = "Escalations", params(doc::Paged),
    responses(
        (status = 200, description = "A page of them.", body = res::Page<res::Escalation>),
        (status = 403, description = "For admins."),
    )
)]
async fn list(
    State(store): State<Arc<dyn EscalationStore>>,
    _: Admin,
    paging: Paging,
) -> Result<Response, ApiError> {
    let page = store.escalations(paging.request()).await?;
    paging.show(page, res::Escalation::from).await
}

/// An event's policy.
#[utoipa::path(
    get, path = "/api/escalations/{event}/", tag = "Escalations", params(doc::EventName),
    responses(
        (status = 200, description = "Its steps, the soonest first.", body = res::Escalation),
        (status = 403, description = "For admins."),
    )
)]
async fn read(
    State(store): State<Arc<dyn EscalationStore>>,
    _: Admin,
    EventName(event): EventName,
) -> Result<Json<res::Escalation>, ApiError> {
    let row = store.escalation(&event).await?.ok_or(ApiError::NotFound)?;
    Ok(Json(row.into()))
}

/// Sets an event's policy: each channel that it names waits for its time and is skipped if the
/// recipient has seen the notification elsewhere; other channels are not affected. It applies to
/// later events.
#[utoipa::path(
    put, path = "/api/escalations/{event}/", tag = "Escalations", params(doc::EventName),
    request_body = doc::NewEscalation,
    responses(
        (status = 200, description = "Its steps, the soonest first.", body = res::Escalation),
        (status = 403, description = "For admins."),
        (status = 409, description = "Another request changed it first."),
    )
)]
async fn set(
    State(store): State<Arc<dyn EscalationStore>>,
    State(clock): State<Arc<dyn Clock>>,
    _: Admin,
    EventName(event): EventName,
    Strict(mut body): Strict,
) -> Result<Json<res::Escalation>, ApiError> {
    body.require("steps");
    let steps = body.value("steps").map(|value| steps(&value));
    let steps = steps.and_then(|checked| body.note("steps", checked));
    let before = store.escalation(&event).await?;
    let seen = body.seen(Version::of(before.as_ref().map(|row| row.updated_at)))?;
    let before = before.map(res::Escalation::from);
    body.read_only(&["event", "updated_at"], &before);
    body.finish()?;
    // Set: a missing value has been refused.
    let steps = steps.ok_or(ApiError::Internal)?;
    let now = Version::next(seen, clock.now());
    let row = store.set_escalation(&event, steps, seen, now).await?.ok_or_else(|| {
        let text = format!("Ensure no more than {POLICIES_MAX} events have a policy.");
        ApiError::field("event", text)
    })?;
    Ok(Json(row.into()))
}

/// Removes an event's policy. Steps that are already waiting keep waiting.
#[utoipa::path(
    delete, path = "/api/escalations/{event}/", tag = "Escalations", params(doc::EventName),
    responses(
        (status = 204, description = "It has none any more."),
        (status = 403, description = "For admins."),
    )
)]
async fn remove(
    State(store): State<Arc<dyn EscalationStore>>,
    _: Admin,
    EventName(event): EventName,
) -> Result<StatusCode, ApiError> {
    let is_gone = store.remove_escalation(&event).await?;
    if is_gone { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::NotFound) }
}

/// `[{"channel": "PUSH", "after_s": 60}, …]`.
fn steps(value: &Value) -> Result<Escalation, String> {
    let bad = || format!("Expected a list of items but got type \"{}\".", kind(value));
    let steps = value.as_array().ok_or_else(bad)?;
    if steps.len() > STEPS_MAX {
        return Err(format!("Ensure there are no more than {STEPS_MAX} steps."));
    }
    let steps = steps
        .iter()
        .enumerate()
        .map(|(place, value)| step(value).map_err(|why| format!("Step {}: {why}", place + 1)));
    Escalation::new(steps.collect::<Result<_, _>>()?).map_err(|error| error.to_string())
}

fn step(value: &Value) -> Result<Step, String> {
    let bad = || format!("Expected a dictionary of items but got type \"{}\".", kind(value));
    let fields: &Map<String, Value> = value.as_object().ok_or_else(bad)?;
    unknown::check(fields, &["channel", "after_s"])?;
    let field = |name: &str| {
        let found = fields.get(name);
        found.ok_or_else(|| format!("{name}: This field is required."))
    };
    let channel = field("channel")?;
    let known = channel.as_str().and_then(Channel::from_name);
    let channel = known.ok_or_else(|| format!("channel: {}", not_a_choice(channel)))?;
    let after_s = integer(field("after_s")?).and_then(|seconds| u32::try_from(seconds).ok());
    let after_s = after_s.ok_or("after_s: A whole number of seconds from 0 on is required.")?;
    Ok(Step { channel, after_s })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_name_a_channel_and_a_wait() {
        let good = steps(&json!([
            {"channel": "EMAIL", "after_s": 900}, {"channel": "PUSH", "after_s": 60},
        ]));
        let channels: Vec<Channel> = good.unwrap().steps().iter().map(|one| one.channel).collect();
        assert_eq!(channels, [Channel::Push, Channel::Email]);
        for bad in [
            json!({}),
            json!([]),
            json!(["PUSH"]),
            json!([{"channel": "FAX", "after_s": 1}]),
            json!([{"channel": "push", "after_s": 1}]),
            json!([{"channel": "PUSH"}]),
            json!([{"after_s": 1}]),
            json!([{"channel": "PUSH", "after_s": -1}]),
            json!([{"channel": "PUSH", "after_s": 1.5}]),
            json!([{"channel": "PUSH", "after_s": null}]),
            json!([{"channel": "PUSH", "after_s": 604_801}]),
            json!([{"channel": "PUSH", "after_s": 1, "until": "seen"}]),
            json!([{"channel": "SYSTEM", "after_s": 1}]),
            json!([{"channel": "SMS", "after_s": 1}, {"channel": "SMS", "after_s": 2}]),
            Value::Array(vec![json!({"channel": "SMS", "after_s": 1}); 7]),
        ] {
            assert!(steps(&bad).is_err(), "{bad}");
        }
    }
}
