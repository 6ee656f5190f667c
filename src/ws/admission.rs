//! Admission of sockets: decided from the request's head, before any upgrade.
//!
//! Checks are ordered from cheap to expensive, and the client learns the first failure: is it a
//! handshake, is the hub draining, the address's rate, the page's origin, the dialect, the starting
//! position, the caller, the project. Up to the dialect every rejection is an HTTP response; after
//! it a client of `bellpull.v1` gets a close code on the open socket, because browsers hide the
//! reason of a failed handshake from their pages.

use std::net::IpAddr;

use axum::extract::Query;
use axum::http::{HeaderMap, HeaderValue, Request};
use bellpull_domain::stream::{Stream, StreamKind};
use bellpull_port::session::{Client, Feed};
use serde::Deserialize;

use super::credential::Credential;
use super::edge::WsEdge;
use super::handshake::check_handshake;
use super::offer::{Offered, Spoken};
use super::origin::check_origin;
use super::refusal::Refusal;
use bellpull_auth::{AuthError, Principal};
use bellpull_edge::agent;
use bellpull_wire::{Dialect, Endpoint, Wish};

/// The path of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SocketRoute {
    /// `/ws/notifications/`
    Notifications,
    /// `/ws/`: every stream, for `bellpull.v1` only.
    Everything,
    /// `/ws/projects/{id}/…/`
    Project(Stream),
}

/// An admitted socket.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) principal: Principal,
    pub(super) dialect: Dialect,
    pub(super) feed: Feed,
    pub(super) route: SocketRoute,
    /// The subprotocol of the answer.
    pub(super) subprotocol: Option<HeaderValue>,
    pub(super) client: Client,
}

/// A rejected socket.
#[derive(Debug)]
pub(super) enum Denied {
    /// With an HTTP response.
    Http(Refusal),
    /// With a close frame, on a socket that is opened for it.
    Socket {
        /// The reason.
        refusal: Refusal,
        /// The subprotocol of the answer.
        subprotocol: Option<HeaderValue>,
    },
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Http(refusal)
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Parameters {
    ticket: Option<String>,
    token: Option<String>,
    dialect: Option<String>,
    since: Option<String>,
    epoch: Option<String>,
    replay: Option<String>,
}

impl Parameters {
    /// The dialect that the URL names. Templates of URLs leave parameters empty.
    pub(super) fn dialect(&self) -> Option<&str> {
        self.dialect.as_deref().filter(|name| !name.is_empty())
    }
}

impl SocketRoute {
    fn spoken(self, default: Dialect) -> Spoken {
        match self {
            Self::Notifications | Self::Project(_) => Spoken::All(default),
            Self::Everything => Spoken::Only(Dialect::BellpullV1),
        }
    }

    /// The stream of its sockets.
    pub(super) fn stream(self) -> Option<Stream> {
        match self {
            Self::Notifications | Self::Everything => None,
            Self::Project(stream) => Some(stream),
        }
    }

    /// The commands that its sockets accept.
    pub(super) fn endpoint(self) -> Endpoint {
        match self.stream().map(|stream| stream.kind) {
            None => Endpoint::Notifications,
            Some(StreamKind::Tickets) => Endpoint::Tickets,
            Some(StreamKind::Presence) => Endpoint::Presence,
        }
    }
}

/// Decides whether the socket may be opened, and how; `peer` is the other end of its connection.
pub(super) async fn admit(
    edge: &WsEdge,
    route: SocketRoute,
    peer: Option<IpAddr>,
    request: &Request<()>,
) -> Result<Admitted, Denied> {
    check_handshake(request)?;
    if edge.is_draining() {
        return Err(Refusal::Draining.into());
    }
    let address = peer.map(|peer| edge.rules.proxies.client(peer, request.headers()));
    if let Some(address) = address {
        let admitted = edge.rules.handshakes.admit(address);
        admitted.map_err(|retry_after_s| Refusal::TooFast { retry_after_s })?;
    }
    check_origin(request.headers(), &edge.rules.allowed_origins)?;
    let Query(parameters) = Query::<Parameters>::try_from_uri(request.uri())
        .map_err(|err| Refusal::BadQuery(err.body_text()))?;
    let offered = Offered::read(request.headers())?;
    let (dialect, subprotocol) =
        offered.choose(parameters.dialect(), route.spoken(edge.rules.dialect))?;
    let subprotocol = subprotocol.and_then(|name| HeaderValue::from_str(name).ok());
    let feed = read_feed(&edge.rules.epoch.name(), route, dialect, &parameters)?;
    let credential = credential(&parameters, request.headers(), offered.token)?;
    match let_in(edge, route, credential).await {
        Ok(principal) => {
            let address = address.filter(|address| Some(*address) != peer);
            let client = Client { address, agent: agent(request.headers()) };
            Ok(Admitted { principal, dialect, feed, route, subprotocol, client })
        }
        Err(refusal) if dialect.rejects_by_close_code() => {
            Err(Denied::Socket { refusal, subprotocol })
        }
        Err(refusal) => Err(Denied::Http(refusal)),
    }
}

pub(super) fn read_feed(
    epoch: &str,
    route: SocketRoute,
    dialect: Dialect,
    parameters: &Parameters,
) -> Result<Feed, Refusal> {
    let wish = Wish {
        since: parameters.since.as_deref().filter(|since| !since.is_empty()),
        epoch: parameters.epoch.as_deref(),
        replay: parameters.replay.as_deref(),
    };
    let feed = wish.feed(dialect, epoch)?;
    Ok(if route.stream().is_some() { Feed::Nothing } else { feed })
}

pub(super) fn credential<'a>(
    parameters: &'a Parameters,
    headers: &'a HeaderMap,
    offered: Option<&'a str>,
) -> Result<Option<Credential<'a>>, Refusal> {
    let (ticket, token) = (parameters.ticket.as_deref(), parameters.token.as_deref());
    Credential::choose(ticket, token, headers, offered)
}

/// The principal of a credential, if it may open a socket on that path.
async fn let_in(
    edge: &WsEdge,
    route: SocketRoute,
    credential: Option<Credential<'_>>,
) -> Result<Principal, Refusal> {
    let credential = credential.ok_or(Refusal::Token(AuthError::Missing))?;
    let principal = credential.principal(&edge.auth).await?;
    if principal.is_service {
        return Err(Refusal::NoInbox);
    }
    if let Some(stream) = route.stream()
        && !edge.may_watch(&principal, stream.project).await?
    {
        return Err(Refusal::NoProject);
    }
    Ok(principal)
}
