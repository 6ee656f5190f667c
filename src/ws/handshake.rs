//! Whether a request is a valid RFC 6455 handshake.

use axum::http::{HeaderValue, Method, Request, Version, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::refusal::Refusal;

/// What the library that makes the answer does not check.
pub(super) fn check_handshake(request: &Request<()>) -> Result<(), Refusal> {
    if request.method() != Method::GET
        || request.version() != Version::HTTP_11
        || !fastwebsockets::upgrade::is_upgrade_request(request)
    {
        return Err(Refusal::NotWebSocket);
    }
    let headers = request.headers();
    // If a proxy took bytes for a body, they would be read as frames here, or the reverse.
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

#[cfg(test)]
mod tests {
    use super::*;

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
