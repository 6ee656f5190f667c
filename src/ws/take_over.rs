//! The answer to a handshake, and the connection behind it, taken over from hyper.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::refusal::Refusal;
use bellpull_edge::listen::{Connections, Held};
use bellpull_edge::prefixed::Prefixed;
pub(crate) use bellpull_edge::stream::Stream;
use bellpull_edge::strict_heads::StrictHeads;
use bellpull_edge::write_limit::WriteLimit;

/// How long sending the answer to a handshake may take.
pub(super) const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

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
pub(super) async fn take_over(on_upgrade: OnUpgrade) -> Option<(Stream, Vec<u8>)> {
    match on_upgrade.await.ok()?.downcast::<TokioIo<WriteLimit<StrictHeads<Prefixed>>>>() {
        Ok(parts) => {
            let (stream, unread) = parts.io.into_inner().into_inner().into_inner().into_parts();
            let mut begun = Vec::from(parts.read_buf);
            begun.extend_from_slice(&unread);
            Some((stream, begun))
        }
        Err(_) => {
            tracing::error!("a socket came over an unknown kind of connection");
            None
        }
    }
}
