//! Handshakes over HTTP, and the way from a request to a session.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bellpull_actors::directory::Users;
use bellpull_actors::domain::ids::ProjectId;
use bellpull_actors::domain::stream::BadStream;
use bellpull_actors::port::{StoreError, TicketStore};
use bellpull_actors::session::{Heard, SessionStart};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use metrics::Counter;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::admission::{Admitted, Denied, Door, admit};
use super::hearing::Hearing;
use super::outlet::WsOutlet;
use super::pace::Pace;
use super::reader::{ReadRules, Reader};
use super::refusal::Refusal;
use super::shared::{Ear, Shared};
use super::turn_away::TurnedAway;
use crate::auth::{Auth, Principal};
use crate::config::Config;
use crate::edge::{HandshakeLimit, TrustedProxies, peer};
use crate::http::listen::{Connections, Held};
use crate::http::prefixed::Prefixed;
use crate::http::strict_heads::StrictHeads;
use crate::http::write_limit::WriteLimit;
use crate::wire::Dialect;

/// How long sending the answer to a handshake may take.
pub(super) const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// The socket edge. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WsEdge {
    pub(super) auth: Auth,
    users: Users,
    projects: Arc<dyn TicketStore>,
    pub(super) rules: Arc<Rules>,
    draining: watch::Receiver<bool>,
    pub(super) turned_away: TurnedAway,
}

/// What an edge is built from.
#[derive(Debug)]
pub struct WsParts {
    /// Accounts and tokens.
    pub auth: Auth,
    /// The user actors.
    pub users: Users,
    /// Projects and their members.
    pub projects: Arc<dyn TicketStore>,
    /// The store's identity: sequence numbers of another store mean nothing here.
    pub epoch: Arc<str>,
    /// The limit on new sessions per address.
    pub handshakes: Arc<HandshakeLimit>,
    /// Proxies whose forwarding headers are trusted.
    pub proxies: TrustedProxies,
    /// Once it is true, no more sockets are opened.
    pub draining: watch::Receiver<bool>,
}

/// What all sockets share.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) dialect: Dialect,
    pub(super) epoch: Arc<str>,
    pub(super) allowed_origins: Vec<String>,
    pub(super) handshakes: Arc<HandshakeLimit>,
    pub(super) proxies: TrustedProxies,
    reading: Arc<ReadRules>,
    /// Handshakes that opened a socket; [`count_handshake`] counts the others.
    pub(super) opened: Counter,
}

impl WsEdge {
    /// The edge with the configured limits and origins.
    #[must_use]
    pub fn new(parts: WsParts, config: &Config) -> Self {
        let WsParts { auth, users, projects, epoch, handshakes, proxies, draining } = parts;
        let rules = Rules {
            dialect: config.dialect,
            epoch,
            allowed_origins: config.http.allowed_origins.clone(),
            handshakes,
            proxies,
            opened: metrics::counter!("bellpull_socket_handshakes_total", "outcome" => "opened"),
            reading: Arc::new(ReadRules {
                message_max: config.ws.max_frame,
                pace: Pace::per_second(config.ws.messages_per_s),
                auth: auth.clone(),
            }),
        };
        let turned_away = TurnedAway::default();
        Self { auth, users, projects, rules: Arc::new(rules), draining, turned_away }
    }

    pub(super) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Whether a caller may watch a project's streams: its members and admins may, and every user
    /// an open project's.
    pub(super) async fn may_watch(
        &self,
        who: &Principal,
        project: ProjectId,
    ) -> Result<bool, StoreError> {
        let Some(found) = self.projects.project(project).await? else { return Ok(false) };
        if found.is_open || who.user.role.is_admin() {
            return Ok(true);
        }
        self.projects.is_member(project, who.user.id).await
    }
}

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
    come_in(edge, Door::Everything, request).await
}

async fn notifications(State(edge): State<WsEdge>, request: Request) -> Response {
    come_in(edge, Door::Notifications, request).await
}

async fn project(
    State(edge): State<WsEdge>,
    Path((id, stream)): Path<(String, String)>,
    request: Request,
) -> Response {
    match format!("project:{id}:{stream}").parse() {
        Ok(stream) => come_in(edge, Door::Project(stream), request).await,
        Err(BadStream) => Refusal::NotFound.into_response(),
    }
}

/// Opens a socket, or rejects it.
async fn come_in(edge: WsEdge, door: Door, request: Request) -> Response {
    // A handshake has no body.
    let request = request.map(drop);
    let peer = peer(request.extensions());
    let (outcome, answer) = match admit(&edge, door, peer, &request).await {
        Ok(admitted) => ("opened", open(edge, request, admitted)),
        Err(Denied::Http(refusal)) => (refusal.code(), Err(refusal)),
        Err(Denied::Socket { refusal, subprotocol }) => {
            (refusal.code(), edge.turned_away.answer(request, refusal, subprotocol))
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

/// The answer to a valid handshake, the future that completes when it is sent, and the connection's
/// place in the listener's count.
pub(super) fn switch(
    mut request: axum::http::Request<()>,
    subprotocol: Option<HeaderValue>,
) -> Result<(Response, OnUpgrade, Option<Held>), Refusal> {
    let on_upgrade = hyper::upgrade::on(&mut request);
    let response = answer_to(&mut request, subprotocol)?;
    let held = request.extensions().get::<Connections>().map(Connections::hold);
    Ok((response.map(Body::new), on_upgrade, held))
}

/// The answer to a valid handshake.
pub(super) fn answer_to(
    request: &mut axum::http::Request<()>,
    subprotocol: Option<HeaderValue>,
) -> Result<axum::http::Response<Empty<Bytes>>, Refusal> {
    let (mut response, _) = fastwebsockets::upgrade::upgrade(request)
        .map_err(|_| Refusal::BadHandshake("This is not a WebSocket handshake."))?;
    if let Some(subprotocol) = subprotocol {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    Ok(response)
}

/// The raw connection, taken over from hyper, and the client's bytes that were already read.
pub(super) async fn take_over(on_upgrade: OnUpgrade) -> Option<(TcpStream, Vec<u8>)> {
    match on_upgrade.await.ok()?.downcast::<TokioIo<WriteLimit<StrictHeads<Prefixed>>>>() {
        Ok(parts) => {
            let (stream, unread) = parts.io.into_inner().into_inner().into_inner().into_parts();
            let mut begun = Vec::from(parts.read_buf);
            begun.extend_from_slice(&unread);
            Some((stream, begun))
        }
        Err(_) => {
            tracing::error!("a socket came over something else than TCP");
            None
        }
    }
}

/// A connection that has become a socket.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
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
    let Admitted { principal, dialect, feed, door, .. } = admitted;
    let hearing = Hearing::new(principal.user.id, dialect, door.endpoint());
    let shared = Shared::new(stream, held, hearing);
    let outlet = Box::new(WsOutlet::new(Arc::clone(&shared), dialect, answer));
    let (login, expires_at) = (principal.login, principal.expires_at);
    let start = SessionStart { outlet, feed, stream: door.stream(), login, expires_at };
    match edge.users.attach(Arc::clone(&principal.user), start).await {
        Ok(session) => {
            // A logout or a withdrawn right since the token was checked has not closed this
            // session; later ones will.
            if let Err(why) = edge.auth.recheck(&principal).await {
                session.heard(Heard::Ended(why));
            }
            let (line, number) = session.into_parts();
            shared.introduce(Ear::Actor(line), number);
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
