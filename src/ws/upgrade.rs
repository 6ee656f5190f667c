//! Handshakes over HTTP, and the way from a request to a session.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bellpull_domain::stream::BadStream;
use bellpull_port::session::{Heard, SessionStart};
use tokio::time::timeout;

use super::admission::{Admitted, Denied, SocketRoute, admit};
use super::edge::WsEdge;
use super::outlet::WsOutlet;
use super::read_state::ReadState;
use super::reader::Reader;
use super::refusal::Refusal;
use super::shared::{MessageSink, Shared};
use super::take_over::{UPGRADE_TIMEOUT, switch, take_over};
use bellpull_edge::listen::Held;
use bellpull_edge::peer;
pub(crate) use bellpull_edge::stream::Stream;

/// The sockets' paths, each in both spellings.
pub fn router(edge: WsEdge) -> Router {
    let mut routes = Router::new();
    for path in ["/ws", "/ws/"] {
        routes = routes.route(path, get(everything));
    }
    for path in ["/ws/notifications", "/ws/notifications/"] {
        routes = routes.route(path, get(notifications));
    }
    for path in ["/ws/projects/{id}/{stream}", "/ws/projects/{id}/{stream}/"] {
        routes = routes.route(path, get(project));
    }
    routes
        .method_not_allowed_fallback(async |method: Method| Refusal::Method(method))
        .with_state(edge)
}

async fn everything(State(edge): State<WsEdge>, request: Request) -> Response {
    come_in(edge, SocketRoute::Everything, request).await
}

async fn notifications(State(edge): State<WsEdge>, request: Request) -> Response {
    come_in(edge, SocketRoute::Notifications, request).await
}

async fn project(
    State(edge): State<WsEdge>,
    Path((id, stream)): Path<(String, String)>,
    request: Request,
) -> Response {
    match format!("project:{id}:{stream}").parse() {
        Ok(stream) => come_in(edge, SocketRoute::Project(stream), request).await,
        Err(BadStream) => Refusal::NotFound.into_response(),
    }
}

/// Opens a socket, or rejects it.
async fn come_in(edge: WsEdge, route: SocketRoute, request: Request) -> Response {
    // A handshake has no body.
    let request = request.map(drop);
    let peer = peer(request.extensions());
    let (outcome, answer) = match admit(&edge, route, peer, &request).await {
        Ok(admitted) => ("opened", open(edge, request, admitted)),
        Err(Denied::Http(refusal)) => (refusal.code(), Err(refusal)),
        Err(Denied::Socket { refusal, subprotocol }) => {
            (refusal.code(), edge.rejections.answer(request, refusal, subprotocol))
        }
    };
    count_handshake(outcome);
    answer.unwrap_or_else(IntoResponse::into_response)
}

/// Counts a handshake by its outcome.
pub(super) fn count_handshake(outcome: &'static str) {
    metrics::counter!("bellpull_socket_handshakes_total", "outcome" => outcome).increment(1);
}

/// Creates the answer, and a task that waits until it is sent.
fn open(
    edge: WsEdge,
    request: axum::http::Request<()>,
    mut admitted: Admitted,
) -> Result<Response, Refusal> {
    let (response, on_upgrade, held) = switch(request, admitted.subprotocol.take())?;
    tokio::spawn(async move {
        match timeout(UPGRADE_TIMEOUT, take_over(on_upgrade)).await {
            Ok(Some((stream, begun))) => {
                let connection = Connection { stream, held, begun, answer: Vec::new() };
                begin(edge, connection, admitted).await;
            }
            // The client left before the answer was sent.
            Ok(None) | Err(_) => tracing::debug!("a socket ended before it was open"),
        }
    });
    Ok(response)
}

/// A connection that has become a socket.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// Its place in the listener's count.
    pub(super) held: Option<Held>,
    /// The bytes after the handshake that were already read.
    pub(super) begun: Vec<u8>,
    /// The answer to the handshake, if it is not sent yet.
    pub(super) answer: Vec<u8>,
}

/// Hands the session to its user's actor and spawns its reader.
pub(super) async fn begin(edge: WsEdge, connection: Connection, admitted: Admitted) {
    let Connection { stream, held, begun, answer } = connection;
    let Admitted { principal, dialect, feed, route, client, .. } = admitted;
    let read_state = ReadState::new(principal.user.id, dialect, route.endpoint());
    let shared = Shared::new(stream, held, read_state);
    let outlet = Box::new(WsOutlet::new(Arc::clone(&shared), dialect, answer));
    let (login, expires_at) = (principal.login, principal.expires_at);
    let stream = route.stream();
    let start = SessionStart { outlet, feed, stream, login, expires_at, client };
    match edge.users.attach(Arc::clone(&principal.user), start).await {
        Ok(session) => {
            // A logout or a withdrawn right since the token was checked has not closed this
            // session; later ones will.
            if let Err(why) = edge.auth.recheck(&principal).await {
                session.heard(Heard::Ended(why));
            }
            let (line, number) = session.into_parts();
            shared.bind_session(MessageSink::Actor(line), number);
        }
        // The outlet has sent the reason; the reader makes sure that it arrives.
        Err(err) => tracing::debug!(%err, "a session was not taken in"),
    }
    start_reader(Reader::new(shared, Arc::clone(&edge.rules.reading)), begun);
}

/// Spawns the reader in a small task of its own; `begun` is what came with the handshake.
pub(super) fn start_reader(mut reader: Reader, mut begun: Vec<u8>) {
    if !begun.is_empty() && !reader.is_closing() {
        reader.take(&mut begun);
    }
    tokio::spawn(reader);
}
