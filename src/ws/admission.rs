//! Who may open a socket, and how: decided on the request's head, before anything is upgraded.
//!
//! The order is from cheap to dear, and so that whoever is refused learns the first thing that is
//! wrong: is it a handshake, is the hub staying, is the address too fast, the page's origin, the
//! dialect, where to begin, the token.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Query};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Version, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bellpull_actors::domain::ids::Seq;
use bellpull_actors::session::Begin;
use serde::Deserialize;

use super::refusal::Refusal;
use super::shared::now_ns;
use super::upgrade::WsEdge;
use crate::auth::{AuthError, Principal};
use crate::wire::Dialect;

/// What a refused page's origin may take in the log, in characters.
const LOGGED_MAX: usize = 200;

/// What the subprotocol that carries a token begins with: the one way for a browser to send one
/// outside the URL.
const BEARER: &str = "bearer.";

/// A socket that may be opened.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) principal: Principal,
    pub(super) dialect: Dialect,
    pub(super) begin: Begin,
    /// The subprotocol to answer with: a browser that offered some fails without one of them.
    pub(super) subprotocol: Option<HeaderValue>,
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    token: Option<String>,
    dialect: Option<String>,
    since: Option<String>,
    replay: Option<String>,
}

/// Whether the socket may be opened, and how.
pub(super) async fn admit(edge: &WsEdge, request: &Request<()>) -> Result<Admitted, Refusal> {
    check_handshake(request)?;
    if edge.is_draining() {
        return Err(Refusal::Draining);
    }
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let admitted = edge.rules.address_pace.admit(peer.ip(), now_ns());
        admitted.map_err(|retry_after_s| Refusal::TooFast { retry_after_s })?;
    }
    check_origin(request.headers(), &edge.rules.allowed_origins)?;
    let Query(parameters) = Query::<Parameters>::try_from_uri(request.uri())
        .map_err(|err| Refusal::BadQuery(err.body_text()))?;
    let offered = Offered::read(request.headers())?;
    let (dialect, subprotocol) =
        choose_dialect(parameters.dialect.as_deref(), &offered, edge.rules.dialect)?;
    let begin = read_begin(parameters.since.as_deref(), parameters.replay.as_deref())?;
    let token = parameters
        .token
        .as_deref()
        .or_else(|| bearer(request.headers()))
        .or(offered.token)
        .ok_or(Refusal::Token(AuthError::Missing))?;
    let principal = edge.auth.authenticate(token).await.map_err(Refusal::Token)?;
    if principal.is_service {
        return Err(Refusal::NoInbox);
    }
    let subprotocol = subprotocol.and_then(|name| HeaderValue::from_str(name).ok());
    Ok(Admitted { principal, dialect, begin, subprotocol })
}

/// What the library that makes the answer does not look at.
fn check_handshake(request: &Request<()>) -> Result<(), Refusal> {
    if request.method() != Method::GET
        || request.version() != Version::HTTP_11
        || !fastwebsockets::upgrade::is_upgrade_request(request)
    {
        return Err(Refusal::NotWebSocket);
    }
    let headers = request.headers();
    // Bytes that a proxy takes for a body would be read as frames here, or the other way round.
    let is_empty = |length: &HeaderValue| length == "0";
    if headers.contains_key(header::TRANSFER_ENCODING)
        || !headers.get_all(header::CONTENT_LENGTH).iter().all(is_empty)
    {
        return Err(Refusal::BadHandshake("A handshake has no body."));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal::BadHandshake("The version of WebSocket must be 13."));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(|key| STANDARD.decode(key.as_bytes()));
    match key {
        Some(Ok(nonce)) if nonce.len() == 16 => Ok(()),
        _ => Err(Refusal::BadHandshake("Sec-WebSocket-Key must be 16 bytes in base64.")),
    }
}

fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Refusal> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    // Only browsers send one, and only browsers need to be kept from what their pages try.
    let Some(origin) = origins.next() else { return Ok(()) };
    let origin = if origins.next().is_some() { "" } else { origin.to_str().unwrap_or_default() };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_allowed = match allowed {
        [] => is_same_host(origin, host),
        listed => listed.iter().any(|one| one == "*" || one == origin),
    };
    if is_allowed {
        return Ok(());
    }
    let origin: String = origin.chars().take(LOGGED_MAX).collect();
    tracing::warn!(?origin, "refused a socket: its Origin is not on http.allowed_origins");
    Err(Refusal::Origin)
}

/// Whether a page of that origin came from the host and port that the request is for.
fn is_same_host(origin: &str, host: &str) -> bool {
    let (authority, default_port) = match origin.split_once("://") {
        Some(("http", authority)) => (authority, ":80"),
        Some(("https", authority)) => (authority, ":443"),
        _ => return false,
    };
    let bare = |name: &str| name.strip_suffix(default_port).unwrap_or(name).to_ascii_lowercase();
    !authority.is_empty() && bare(authority) == bare(host)
}

/// The subprotocols that a client offers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Offered<'a> {
    /// Their names in the client's order, without the one that carries a token.
    names: Vec<&'a str>,
    /// The one that carries a token, as a whole.
    carrier: Option<&'a str>,
    token: Option<&'a str>,
}

impl<'a> Offered<'a> {
    fn read(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let mut offered = Self::default();
        for value in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
            let value = value
                .to_str()
                .map_err(|_| Refusal::BadHandshake("Sec-WebSocket-Protocol is not ASCII."))?;
            for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                match name.strip_prefix(BEARER) {
                    Some(token) => {
                        offered.carrier = Some(name);
                        offered.token = Some(token);
                    }
                    None => offered.names.push(name),
                }
            }
        }
        Ok(offered)
    }
}

/// The dialect that the URL names, or the first that is offered and known, or the default; and the
/// subprotocol to answer with.
fn choose_dialect<'a>(
    named: Option<&str>,
    offered: &Offered<'a>,
    default: Dialect,
) -> Result<(Dialect, Option<&'a str>), Refusal> {
    let unknown = |name: &str| Refusal::UnknownDialect(name.chars().take(64).collect());
    let known = |name: &str| Dialect::from_name(name);
    let from_url = named.map(|name| known(name).ok_or_else(|| unknown(name))).transpose()?;
    let from_offer = offered
        .names
        .iter()
        .find_map(|name| Some((known(name)?, *name)))
        .filter(|(dialect, _)| from_url.is_none_or(|url| url == *dialect));
    match (from_url, from_offer, offered.names.first()) {
        (_, Some((dialect, name)), _) => Ok((dialect, Some(name))),
        (Some(dialect), None, _) => Ok((dialect, offered.carrier)),
        (None, None, Some(name)) => Err(unknown(name)),
        // Only a token was offered: then that has to be answered with.
        (None, None, None) => Ok((default, offered.carrier)),
    }
}

fn read_begin(since: Option<&str>, replay: Option<&str>) -> Result<Begin, Refusal> {
    let since = since
        .map(|text| text.parse().ok().filter(|seq| *seq >= 0).map(Seq))
        .map(|seq| seq.ok_or(Refusal::Invalid("since", "A whole number, 0 or more.")))
        .transpose()?;
    match (replay, since) {
        (Some("none"), _) => Ok(Begin::Live),
        (Some(_), _) => Err(Refusal::Invalid("replay", "The only value is \"none\".")),
        (None, Some(seq)) => Ok(Begin::Since(seq)),
        (None, None) => Ok(Begin::Undelivered),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .fold(HeaderMap::new(), |mut map, (name, value): (header::HeaderName, _)| {
                map.append(name, value);
                map
            })
    }

    #[test]
    fn origins() {
        let listed = |origins: &[&str]| origins.iter().map(|one| (*one).to_owned()).collect();
        let ours = listed(&["https://app.example.com", "http://localhost:3000"]);
        let (nobody, all): (Vec<String>, Vec<String>) = (Vec::new(), listed(&["*"]));
        let table: &[(&str, &str, &[String], bool)] = &[
            ("https://app.example.com", "api.example.com", &ours, true),
            ("http://localhost:3000", "localhost:8000", &ours, true),
            ("http://app.example.com", "api.example.com", &ours, false),
            ("https://app.example.com:8443", "api.example.com", &ours, false),
            ("https://app.example.com.evil.org", "api.example.com", &ours, false),
            ("https://api.example.com", "api.example.com", &ours, false),
            ("null", "api.example.com", &ours, false),
            ("https://anybody.example.org", "api.example.com", &all, true),
            ("null", "api.example.com", &all, true),
            ("http://localhost:8000", "localhost:8000", &nobody, true),
            ("http://LOCALHOST:8000", "localhost:8000", &nobody, true),
            ("https://api.example.com", "api.example.com", &nobody, true),
            ("https://api.example.com", "api.example.com:443", &nobody, true),
            ("http://api.example.com:80", "api.example.com", &nobody, true),
            ("http://localhost:3000", "localhost:8000", &nobody, false),
            ("https://evil.org", "api.example.com", &nobody, false),
            ("http://", "", &nobody, false),
            ("null", "null", &nobody, false),
            ("", "", &nobody, false),
        ];
        for (origin, host, allowed, is_allowed) in table {
            let headers = headers(&[("origin", origin), ("host", host)]);
            let checked = check_origin(&headers, allowed);
            assert_eq!(checked.is_ok(), *is_allowed, "{origin} to {host} with {allowed:?}");
        }
        assert_eq!(check_origin(&headers(&[("host", "x")]), &ours), Ok(()));
        let two = headers(&[("host", "x"), ("origin", "http://x"), ("origin", "http://x")]);
        assert_eq!(check_origin(&two, &nobody), Err(Refusal::Origin));
    }

    #[test]
    fn dialects() {
        let incident = Dialect::Incident;
        let unknown = |name: &str| Err(Refusal::UnknownDialect(name.to_owned()));
        type Chosen = Result<(Dialect, Option<&'static str>), Refusal>;
        let table: &[(Option<&str>, &str, Chosen)] = &[
            (None, "", Ok((incident, None))),
            (Some("incident"), "", Ok((incident, None))),
            (None, "incident", Ok((incident, Some("incident")))),
            (None, "incident, bearer.abc", Ok((incident, Some("incident")))),
            (None, "bearer.abc,incident", Ok((incident, Some("incident")))),
            (None, "bearer.abc", Ok((incident, Some("bearer.abc")))),
            (None, "graphql-ws, incident", Ok((incident, Some("incident")))),
            (Some("incident"), "graphql-ws", Ok((incident, None))),
            (Some("incident"), "bearer.abc", Ok((incident, Some("bearer.abc")))),
            (Some("nobody"), "incident", unknown("nobody")),
            (Some(""), "", unknown("")),
            (None, "graphql-ws", unknown("graphql-ws")),
        ];
        for (named, offer, wanted) in table {
            let headers = headers(&[("sec-websocket-protocol", offer)]);
            let offered = Offered::read(&headers).unwrap();
            assert_eq!(&choose_dialect(*named, &offered, incident), wanted, "{named:?} {offer}");
        }
    }

    #[test]
    fn tokens_in_headers() {
        let protocols =
            [("sec-websocket-protocol", "incident"), ("sec-websocket-protocol", "bearer.a.b.c")];
        assert_eq!(Offered::read(&headers(&protocols)).unwrap().token, Some("a.b.c"));
        assert_eq!(bearer(&headers(&[("authorization", "Bearer a.b.c")])), Some("a.b.c"));
        assert_eq!(bearer(&headers(&[("authorization", "bearer  a.b.c ")])), Some("a.b.c"));
        assert_eq!(bearer(&headers(&[("authorization", "Basic YTpi")])), None);
        assert_eq!(bearer(&headers(&[("authorization", "a.b.c")])), None);
    }

    #[test]
    fn where_to_begin() {
        let invalid = |field, what| Err(Refusal::Invalid(field, what));
        assert_eq!(read_begin(None, None), Ok(Begin::Undelivered));
        assert_eq!(read_begin(Some("0"), None), Ok(Begin::Since(Seq(0))));
        assert_eq!(read_begin(Some("17"), None), Ok(Begin::Since(Seq(17))));
        assert_eq!(read_begin(None, Some("none")), Ok(Begin::Live));
        assert_eq!(read_begin(Some("17"), Some("none")), Ok(Begin::Live));
        for bad in ["", "-1", "x", "1.5", " 1", "9223372036854775808"] {
            let wanted = invalid("since", "A whole number, 0 or more.");
            assert_eq!(read_begin(Some(bad), None), wanted, "{bad}");
        }
        let wanted = invalid("replay", "The only value is \"none\".");
        assert_eq!(read_begin(None, Some("all")), wanted);
    }

    #[test]
    fn handshakes() {
        let good = || {
            Request::get("/ws/notifications/")
                .header("connection", "keep-alive, Upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
                .body(())
                .unwrap()
        };
        assert_eq!(check_handshake(&good()), Ok(()));
        for missing in ["connection", "upgrade"] {
            let mut request = good();
            request.headers_mut().remove(missing);
            assert_eq!(check_handshake(&request), Err(Refusal::NotWebSocket), "{missing}");
        }
        for (name, value) in [
            ("sec-websocket-version", "8"),
            ("sec-websocket-key", "short"),
            ("sec-websocket-key", "dGhl"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
        ] {
            let mut request = good();
            request.headers_mut().insert(name, HeaderValue::from_static(value));
            assert!(matches!(check_handshake(&request), Err(Refusal::BadHandshake(_))), "{name}");
        }
        let mut bare = good();
        bare.headers_mut().insert("content-length", HeaderValue::from_static("0"));
        assert_eq!(check_handshake(&bare), Ok(()));
        let mut old = good();
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(check_handshake(&old), Err(Refusal::NotWebSocket));
    }
}
