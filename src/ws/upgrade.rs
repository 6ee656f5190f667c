//! The handshake, and the way from a request to a session.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bellpull_actors::directory::Users;
use bellpull_actors::session::{Feed, Heard, SessionStart};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::admission::{Admitted, admit};
use super::outlet::WsOutlet;
use super::pace::{AddressPace, Pace};
use super::reader::{ReadLimits, Reader};
use super::refusal::Refusal;
use super::shared::{Ear, Shared};
use crate::auth::Auth;
use crate::config::Config;
use crate::http::listen::{Connections, Held};
use crate::wire::{Dialect, Endpoint};

/// How long the answer to a handshake may take to go out.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the socket edge needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WsEdge {
    pub(super) auth: Auth,
    users: Users,
    pub(super) rules: Arc<Rules>,
    draining: watch::Receiver<bool>,
}

/// What is the same for all sockets.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) dialect: Dialect,
    pub(super) allowed_origins: Vec<String>,
    pub(super) address_pace: AddressPace,
    read_limits: ReadLimits,
}

impl WsEdge {
    /// The edge; once `draining` is true it opens no more sockets.
    #[must_use]
    pub fn new(auth: Auth, users: Users, config: &Config, draining: watch::Receiver<bool>) -> Self {
        let rules = Rules {
            dialect: config.dialect,
            allowed_origins: config.http.allowed_origins.clone(),
            address_pace: AddressPace::new(Pace::per_second(config.ws.handshakes_per_s)),
            read_limits: ReadLimits {
                message_max: config.ws.max_frame,
                pace: Pace::per_second(config.ws.messages_per_s),
            },
        };
        Self { auth, users, rules: Arc::new(rules), draining }
    }

    pub(super) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}

/// The sockets' paths.
pub fn router(edge: WsEdge) -> Router {
    Router::new()
        .route("/ws/notifications/", get(notifications))
        .route("/ws/notifications", get(notifications))
        .with_state(edge)
}

/// Opens a socket on the caller's notifications.
async fn notifications(State(edge): State<WsEdge>, request: Request) -> Response {
    // A handshake has no body.
    let request = request.map(drop);
    let opened = match admit(&edge, &request).await {
        Ok(admitted) => open(edge, request, admitted),
        Err(refusal) => Err(refusal),
    };
    let outcome = opened.as_ref().map_or_else(Refusal::code, |_| "opened");
    metrics::counter!("bellpull_socket_handshakes_total", "outcome" => outcome).increment(1);
    opened.unwrap_or_else(IntoResponse::into_response)
}

/// Makes the answer, and sets a task to wait until it is out.
fn open(
    edge: WsEdge,
    mut request: axum::http::Request<()>,
    mut admitted: Admitted,
) -> Result<Response, Refusal> {
    let on_upgrade = hyper::upgrade::on(&mut request);
    let (response, _) = fastwebsockets::upgrade::upgrade(&mut request)
        .map_err(|_| Refusal::BadHandshake("This is not a WebSocket handshake."))?;
    let mut response = response.map(Body::new);
    if let Some(subprotocol) = admitted.subprotocol.take() {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    let held = request.extensions().get::<Connections>().map(Connections::hold);
    tokio::spawn(async move {
        match timeout(UPGRADE_TIMEOUT, take_over(on_upgrade)).await {
            Ok(Some(connection)) => begin(edge, connection, admitted, held).await,
            // The client left before the answer was out.
            Ok(None) | Err(_) => tracing::debug!("a socket ended before it was open"),
        }
    });
    Ok(response)
}

/// The bare connection, out of hyper's hands, and what of the client's bytes hyper had read.
pub(super) async fn take_over(on_upgrade: OnUpgrade) -> Option<Parts<TokioIo<TcpStream>>> {
    match on_upgrade.await.ok()?.downcast() {
        Ok(parts) => Some(parts),
        Err(_) => {
            tracing::error!("a socket came over something else than TCP");
            None
        }
    }
}

/// Gives the session to its user's actor, and a task to its reader.
async fn begin(
    edge: WsEdge,
    connection: Parts<TokioIo<TcpStream>>,
    admitted: Admitted,
    held: Option<Held>,
) {
    let Admitted { principal, dialect, begin, .. } = admitted;
    let shared = Shared::new(connection.io.into_inner(), held);
    let outlet = Box::new(WsOutlet::new(Arc::clone(&shared), dialect));
    let (login, expires_at) = (principal.login, principal.expires_at);
    let start = SessionStart { outlet, feed: Feed::Births(begin), stream: None, login, expires_at };
    match edge.users.attach(principal.caller(), start).await {
        Ok(session) => {
            // A logout or a right withdrawn since the token was looked at has not found this
            // session; the next one will.
            if let Err(why) = edge.auth.recheck(&principal).await {
                session.heard(Heard::Ended(why));
            }
            shared.introduce(Ear::Actor(session));
        }
        // The outlet has said so; the reader sees to it that it is heard.
        Err(err) => tracing::debug!(%err, "a session was not taken in"),
    }
    let begun = Vec::from(connection.read_buf);
    start_reader(shared, dialect, Endpoint::Notifications, edge.rules.read_limits, begun);
}

/// Gives the reader a task of its own, and a small one; `begun` is what came with the handshake.
pub(super) fn start_reader(
    shared: Arc<Shared>,
    dialect: Dialect,
    endpoint: Endpoint,
    limits: ReadLimits,
    mut begun: Vec<u8>,
) {
    let mut reader = Reader::new(Arc::clone(&shared), dialect, endpoint, limits);
    if !begun.is_empty() && !shared.is_closing() {
        reader.take(&mut begun);
    }
    tokio::spawn(reader);
}
