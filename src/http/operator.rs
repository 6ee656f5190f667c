//! The operators' endpoints: liveness, readiness, the supervision tree, its events, and restarts.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::hub::Hub;
use bellpull_actors::observe::{TreeEvent, TreeEvents};
use bellpull_actors::port::DeliveryLog;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use utoipa_axum::routes;

use super::body::NoFields;
use super::error::ApiError;
use super::openapi as doc;
use super::query::Params;
use super::readiness::Readiness;
use super::responses as res;
use super::routes::Routes;
use super::who::Operator;
use crate::auth::{Auth, Principal};

/// How many children of each supervisor are listed by default.
const CHILDREN_DEFAULT: usize = 50;
/// The most that are listed: some megabytes.
const CHILDREN_MAX: usize = 10_000;

/// Proxies close idle connections, most after 60 s, some after 30.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a stream may outlive its reader's token, login or role: as long as an account is
/// cached.
const RECHECK: Duration = Duration::from_secs(2);

/// The routes that every address serves.
pub(super) fn health() -> Routes {
    Routes::default().with(routes!(healthz)).with(routes!(readyz))
}

/// The routes that may be served on the operators' own address.
pub(super) fn routes() -> Routes {
    Routes::default()
        .with(routes!(metrics))
        .with(routes!(tree))
        .with(routes!(events))
        // An actor's path contains slashes, so the rest of the path is one parameter.
        .with_served_at("/api/operator/actors/{*rest}", routes!(restart))
}

/// Whether the process is alive.
#[utoipa::path(
    get, path = "/healthz/", tag = "Operator", security(()),
    responses((status = 200, description = "It does.", body = res::Alive))
)]
async fn healthz() -> Json<res::Alive> {
    Json(res::Alive { status: "ok" })
}

/// Whether this hub accepts work.
#[utoipa::path(
    get, path = "/readyz/", tag = "Operator", security(()),
    responses(
        (status = 200, description = "It should.", body = res::Ready),
        (status = 503, description = "It should not.", body = res::Ready),
    )
)]
async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, Json<res::Ready>) {
    let checks = readiness.check().await;
    let word = |holds: bool, otherwise: &'static str| if holds { "ok" } else { otherwise };
    let is_ready = checks.all();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = res::Ready {
        ready: is_ready,
        status: word(is_ready, "unavailable"),
        checks: res::Checks {
            store: word(checks.does_store_write, "failing"),
            // A single node has no broker.
            broker: "off",
            supervisors: word(checks.are_supervisors_up, "down"),
            draining: if checks.is_staying { "no" } else { "yes" },
        },
    };
    (status, Json(body))
}

/// Metrics for Prometheus.
#[utoipa::path(
    get, path = "/metrics/", tag = "Operator", security(()),
    responses(
        (
            status = 200, description = "In the text format.", body = String,
            content_type = "text/plain",
        ),
    )
)]
async fn metrics(State(log): State<Arc<dyn DeliveryLog>>) -> Response {
    count_waiting(&*log).await;
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, crate::telemetry::render()).into_response()
}

/// Counts what is queued in the outbox. If the store does not answer, the gauges keep their values.
async fn count_waiting(log: &dyn DeliveryLog) {
    let Ok(waiting) = log.waiting().await else { return };
    for channel in Channel::ALL.into_iter().filter(|channel| *channel != Channel::System) {
        let queued = waiting.iter().find(|one| one.channel == channel).map_or(0, |one| one.queued);
        let queued = u32::try_from(queued).unwrap_or(u32::MAX);
        metrics::gauge!("bellpull_deliveries_queued", "channel" => channel.as_str())
            .set(f64::from(queued));
    }
}

/// The supervision tree.
#[utoipa::path(
    get, path = "/api/operator/tree/", tag = "Operator", params(doc::TreeSize),
    responses(
        (status = 200, description = "The root, and all below it.", body = res::Actor),
        (status = 403, description = "The caller is no super admin."),
    )
)]
async fn tree(
    State(hub): State<Hub>,
    _: Operator,
    mut params: Params,
) -> Result<Json<res::Actor>, ApiError> {
    let asked = params.natural("children");
    params.finish()?;
    let children = asked.map_or(CHILDREN_DEFAULT, |asked| {
        usize::try_from(asked).map_or(CHILDREN_MAX, |asked| asked.min(CHILDREN_MAX))
    });
    Ok(Json(hub.tree(children).await?.into()))
}

/// Restarts an actor.
#[utoipa::path(
    post, path = "/api/operator/actors/{path}/restart/", tag = "Operator",
    params(("path" = String, Path, description = "As the tree shows it: `users/0`, written \
         `users%2F0`; plain slashes will do too.")),
    responses(
        (status = 200, description = "It starts again.", body = res::Restarting),
        (status = 400, description = "The body has fields: there are none."),
        (status = 403, description = "The caller is no super admin."),
        (status = 429, description = "Operators asked for more than 60 restarts, and then for \
            more than one a second."),
    )
)]
async fn restart(
    State(hub): State<Hub>,
    Operator(principal): Operator,
    Path(rest): Path<String>,
    _: NoFields,
) -> Result<Json<res::Restarting>, ApiError> {
    let path = rest.trim_end_matches('/').strip_suffix("/restart").ok_or(ApiError::NotFound)?;
    hub.restart(path, &principal.user.username).await?;
    let message = format!("{path} starts again");
    Ok(Json(res::Restarting { message, path: path.to_owned() }))
}

/// Events of the supervision tree as they happen (Server-Sent Events). Each event has an `id`. A
/// new reader is sent the last 100 events first; one with `Last-Event-ID` those after it, preceded
/// by an event `missed` with the number of those that are no longer kept.
#[utoipa::path(
    get, path = "/api/operator/events/", tag = "Operator",
    params(("Last-Event-ID" = Option<u64>, Header, description = "The last event that the client \
         has. One that this process has not reached is another process's: as without it.")),
    responses(
        (
            status = 200, description = "One JSON object an event; `missed`, with a number, where \
                some are not kept.",
            body = String, content_type = "text/event-stream",
        ),
        (status = 403, description = "The caller is no super admin."),
    )
)]
async fn events(
    State(hub): State<Hub>,
    State(readiness): State<Readiness>,
    State(auth): State<Auth>,
    Operator(principal): Operator,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let end = async move {
        tokio::select! {
            // Otherwise a stopping hub would wait for its readers until the grace period ends.
            () = readiness.drain_begun() => {}
            () = right_ended(auth, principal) => {}
        }
    };
    Sse::new(event_stream(hub.events(last), last).take_until(end))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// Returns once the reader's right ends. A service token is for one request, however long that
/// lasts.
async fn right_ended(auth: Auth, principal: Principal) {
    if principal.is_service {
        return std::future::pending().await;
    }
    while auth.recheck(&principal).await.is_ok() {
        tokio::time::sleep(RECHECK).await;
    }
}

/// The kept events, then new ones. If numbers are missing, because the client was away for too long
/// or is too slow, it is first told how many.
fn event_stream(
    events: TreeEvents,
    last: Option<u64>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let state = (events.kept, events.live, last, None::<Arc<TreeEvent>>);
    stream::unfold(state, |(mut kept, mut live, last, waiting)| async move {
        let event = match waiting {
            Some(event) => event,
            None => {
                let event = next(&mut kept, &mut live).await?;
                let missed = missed(last, event.id);
                if missed > 0 {
                    let notice = Event::default().event("missed").data(missed.to_string());
                    return Some((Ok(notice), (kept, live, last, Some(event))));
                }
                event
            }
        };
        let id = event.id;
        Some((Ok(shown(&event)), (kept, live, Some(id), None)))
    })
}

/// The next event; an overwritten one shows as a gap in the numbers.
async fn next(
    kept: &mut VecDeque<Arc<TreeEvent>>,
    live: &mut Receiver<Arc<TreeEvent>>,
) -> Option<Arc<TreeEvent>> {
    if let Some(event) = kept.pop_front() {
        return Some(event);
    }
    loop {
        match live.recv().await {
            Ok(event) => return Some(event),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

/// How many lie between the last one seen and this one. Numbers start over with the process.
fn missed(last: Option<u64>, id: u64) -> u64 {
    last.map_or(0, |last| id.saturating_sub(last.saturating_add(1)))
}

fn shown(event: &TreeEvent) -> Event {
    let data = serde_json::to_string(event).unwrap_or_default();
    Event::default().id(event.id.to_string()).data(data)
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::*;

    fn event(id: u64) -> Arc<TreeEvent> {
        let (path, detail) = ("user/42".to_owned(), "line\nbreak".to_owned());
        let at = jiff::Timestamp::UNIX_EPOCH;
        Arc::new(TreeEvent { id, at, path, what: "failed", detail })
    }

    async fn text(kept: &[u64], live: Receiver<Arc<TreeEvent>>, last: Option<u64>) -> String {
        let kept = kept.iter().copied().map(event).collect();
        let body =
            Sse::new(event_stream(TreeEvents { kept, live }, last)).into_response().into_body();
        let bytes = axum::body::to_bytes(body, 10_000).await.unwrap();
        String::from_utf8(bytes.into()).unwrap()
    }

    #[tokio::test]
    async fn events_carry_their_numbers() {
        let (sender, receiver) = broadcast::channel(8);
        sender.send(event(2)).unwrap();
        sender.send(event(3)).unwrap();
        drop(sender);
        let text = text(&[1], receiver, None).await;
        let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
        assert_eq!(ids, ["1", "2", "3"], "{text}");
        assert!(text.contains(r#""path":"user/42","what":"failed","detail":"line\nbreak""#));
        assert!(!text.contains("missed"), "{text}");
    }

    #[tokio::test]
    async fn a_slow_or_late_reader_is_told_how_many_were_missed() {
        let (sender, receiver) = broadcast::channel(2);
        for id in 8..=12 {
            sender.send(event(id)).unwrap();
        }
        drop(sender);
        let text = text(&[6, 7], receiver, Some(2)).await;
        assert!(text.starts_with("event: missed\ndata: 3\n\nid: 6\n"), "{text}");
        assert!(text.contains("id: 7\n") && text.contains("data: 3\n\nid: 11\n"), "{text}");
        assert!(text.contains("id: 12\n"), "{text}");
    }

    #[test]
    fn a_gap_is_counted_and_a_new_process_begins_again() {
        assert_eq!(missed(None, 7), 0);
        assert_eq!(missed(Some(6), 7), 0);
        assert_eq!(missed(Some(4), 7), 2);
        assert_eq!(missed(Some(900), 1), 0);
        assert_eq!(missed(Some(u64::MAX), 1), 0);
    }
}
