//! `GET /api/notifications/stream/`: the caller's session as server-sent events.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRef, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bellpull_actors::directory::{AttachError, Users};
use bellpull_port::epoch::Epoch;
use bellpull_port::session::{Client, Feed, Heard, SessionStart};
use utoipa_axum::routes;

use super::error::ApiError;
use super::query::Params;
use super::routes::Routes;
use super::who::{Address, bearer};
use super::{Edge, openapi as doc};
use crate::sse;
use bellpull_auth::{Auth, Principal};
use bellpull_edge::send_queue::SendQueue;
use bellpull_edge::{HandshakeLimit, agent};
use bellpull_wire::{BadWish, Dialect, Wish};

/// When a user with too many sessions may try again: one of them may have ended by then.
const CROWDED_RETRY_S: u32 = 30;

/// The handles of a session.
#[derive(Debug, Clone)]
struct Handles {
    auth: Auth,
    users: Users,
    /// The store's identity: sequence numbers of another store mean nothing here.
    epoch: Epoch,
    handshakes: Arc<HandshakeLimit>,
}

impl FromRef<Edge> for Handles {
    fn from_ref(edge: &Edge) -> Self {
        Self {
            auth: edge.auth.clone(),
            users: edge.hub.users.clone(),
            epoch: edge.epoch.clone(),
            handshakes: Arc::clone(&edge.handshakes),
        }
    }
}

pub(super) fn routes() -> Routes {
    // With its own HEAD handler: the one that comes with `get` would open a session.
    Routes::default().with(routes!(stream, head))
}

/// Whether the caller's token would open the stream.
#[utoipa::path(
    head, path = "/api/notifications/stream/", tag = "Notifications",
    responses((status = 200, description = "It would.")),
)]
async fn head(
    State(auth): State<Auth>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    // A ticket works once, and is not used for this.
    auth.authenticate(token(&headers, &params)?).await?;
    Ok(answer(Body::empty()))
}

/// The caller's session as Server-Sent Events, for clients behind proxies that break WebSocket.
///
/// `id:` is the store's epoch and the notification's number (`EPOCH:SEQ`); a reconnecting browser
/// sends the last one and gets what it missed.
#[utoipa::path(
    get, path = "/api/notifications/stream/", tag = "Notifications", params(doc::StreamStart),
    responses(
        (
            status = 200, description = "One JSON object an event, as on a socket.",
            body = String, content_type = "text/event-stream",
        ),
        (status = 403, description = "A service token has no inbox."),
        (status = 429, description = "Too many sessions, or too fast."),
    )
)]
async fn stream(
    State(handles): State<Handles>,
    Address(address): Address,
    headers: HeaderMap,
    queue: Option<Extension<SendQueue>>,
    mut params: Params,
) -> Result<Response, ApiError> {
    let Handles { auth, users, epoch, handshakes } = handles;
    let throttled = |retry_after_s| ApiError::Throttled { retry_after_s };
    handshakes.admit(address).map_err(throttled)?;
    let dialect = params.choice("dialect", Dialect::from_name).unwrap_or(Dialect::BellpullV1);
    params.finish()?;
    let epoch = epoch.name();
    let feed = feed(dialect, &epoch, &headers, &params)?;
    let principal = principal(&auth, &headers, &params).await?;
    if principal.is_service {
        return Err(ApiError::Forbidden("A service token has no inbox.".to_owned()));
    }
    let (outlet, events, line) = sse::stream(dialect, epoch, queue.map(|Extension(queue)| queue));
    let start = SessionStart {
        outlet: Box::new(outlet),
        feed,
        stream: None,
        login: principal.login,
        expires_at: principal.expires_at,
        client: Client { address: Some(address), agent: agent(&headers) },
    };
    let session =
        users.attach(Arc::clone(&principal.user), start).await.map_err(|error| match error {
            AttachError::TooMany => ApiError::Throttled { retry_after_s: CROWDED_RETRY_S },
            AttachError::Unavailable => ApiError::Unavailable,
        })?;
    // A logout since the token was checked has not closed this session.
    if let Err(why) = auth.recheck(&principal).await {
        session.heard(Heard::Ended(why));
    }
    line.bind_session(session);
    Ok(answer(Body::from_stream(events)))
}

fn answer(body: Body) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // A proxy that compresses would hold events back until its block is full.
        (CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
        // nginx would buffer events.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

/// The token of the header or of the URL: `EventSource` cannot send headers.
fn token<'a>(headers: &'a HeaderMap, params: &'a Params) -> Result<&'a str, ApiError> {
    params.text("token").map_or_else(|| bearer(headers), Ok)
}

async fn principal(
    auth: &Auth,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Principal, ApiError> {
    Ok(match params.text("ticket") {
        Some(ticket) => auth.redeem_ticket(ticket).await?,
        None => auth.authenticate(token(headers, params)?).await?,
    })
}

/// Parameters that stand for the header, of clients that cannot send it.
const LAST_EVENT_ID: [&str; 2] = ["lastEventId", "Last-Event-ID"];

/// Where the stream begins: after the position in the header that a reconnecting browser sends, or
/// in the parameters that stand for it; else as the URL says. The browser reconnects with the same
/// URL, whose starting point was for the first time. The position is EPOCH:SEQ, or a number alone.
fn feed(
    dialect: Dialect,
    epoch: &str,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Feed, ApiError> {
    let last = headers.get("last-event-id").filter(|value| !value.is_empty());
    // What is not text is not a number.
    let last = last.map(|value| value.to_str().unwrap_or_default());
    let last = last.or_else(|| LAST_EVENT_ID.into_iter().find_map(|name| params.text(name)));
    let held = params.text("epoch");
    let wish = match last.map(|last| last.split_once(':').ok_or(last)) {
        Some(Ok((held, since))) => Wish { since: Some(since), epoch: Some(held), replay: None },
        Some(Err(since)) => Wish { since: Some(since), epoch: held, replay: None },
        None => Wish { since: params.text("since"), epoch: held, replay: params.text("replay") },
    };
    wish.feed(dialect, epoch).map_err(|BadWish { parameter, problem }| {
        ApiError::field(if last.is_some() { "Last-Event-ID" } else { parameter }, problem)
    })
}
