//! The fuzzers' harness of the handshake: what the fast path takes, hyper reads as the same
//! request, and the answer repeats nothing that the client did not offer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken invariant panics, as in a test")]

use axum::extract::Query;
use axum::http::header::SEC_WEBSOCKET_PROTOCOL;
use axum::http::{HeaderValue, Request};
use axum::response::IntoResponse;

use super::admission::{Parameters, SocketRoute, credential, read_feed};
use super::fast_path::{Begun, head, look_at};
pub use super::frame::fuzz::frames;
use super::offer::{Offered, Spoken};
use super::origin::check_origin;
use super::refusal::Refusal;
use super::take_over::answer_to;
use bellpull_edge::fuzz::requests;
use bellpull_edge::listen::{HEAD_BYTES_MAX, HEADERS_MAX};
use bellpull_wire::Dialect;

/// How many beginnings of a head are looked at.
const CUTS_MAX: usize = 24;

/// Reads a connection's beginning.
pub fn handshake(bytes: &[u8]) {
    if bytes.len() >= HEAD_BYTES_MAX {
        return;
    }
    let whole = look_at(bytes);
    let step = bytes.len() / CUTS_MAX + 1;
    for length in (0..bytes.len()).step_by(step) {
        match (&whole, look_at(&bytes[..length])) {
            (Begun::Handshake(_, _, head), Begun::Unfinished) if length < *head => {}
            (Begun::Handshake(_, _, head), Begun::Handshake(_, _, other)) if other == *head => {}
            (Begun::Other, Begun::Other | Begun::Unfinished) => {}
            (Begun::Unfinished, Begun::Unfinished) => {}
            (whole, cut) => panic!("{cut:?} after {length} bytes, but then {whole:?}"),
        }
    }
    let Begun::Handshake(request, route, length) = whole else { return };
    let by_hyper = requests(&bytes[..length], &[]);
    let [other] = &by_hyper[..] else { panic!("hyper reads {by_hyper:?}") };
    assert_eq!(request.method(), other.method());
    assert_eq!(request.uri(), other.uri());
    assert_eq!(request.version(), other.version());
    assert_eq!(request.headers(), other.headers());
    if let Err(refusal) = admit(request, route) {
        refuse(refusal);
    }
}

/// What of the admission needs no store.
fn admit(mut request: Request<()>, route: SocketRoute) -> Result<(), Refusal> {
    check_origin(request.headers(), &[])?;
    let Query(parameters) = Query::<Parameters>::try_from_uri(request.uri())
        .map_err(|err| Refusal::BadQuery(err.body_text()))?;
    let headers = request.headers().clone();
    let offered = Offered::read(&headers)?;
    let mut named: Vec<Option<&str>> = Dialect::NAMES.map(Some).to_vec();
    named.push(None);
    let mut answers = vec![None];
    for name in named {
        for spoken in [Spoken::All(Dialect::Incident), Spoken::Only(Dialect::BellpullV1)] {
            let Ok((dialect, subprotocol)) = offered.choose(name, spoken) else { continue };
            assert!(name.is_none_or(|name| name == dialect.as_str()));
            let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
            let mut offers = lines.flat_map(|line| line.to_str().unwrap().split(','));
            if let Some(chosen) = subprotocol {
                assert!(offers.any(|one| one.trim() == chosen), "{chosen} was not offered");
                answers.push(Some(HeaderValue::from_str(chosen).unwrap()));
            }
            if let Err(refusal) = read_feed("e1", route, dialect, &parameters) {
                refuse(refusal);
            }
        }
    }
    if let Err(refusal) = credential(&parameters, &headers, offered.token) {
        refuse(refusal);
    }
    for subprotocol in answers {
        let answer = answer_to(&mut request, subprotocol)?;
        let bytes = head(&answer);
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut fields);
        assert_eq!(parsed.parse(&bytes), Ok(httparse::Status::Complete(bytes.len())));
        assert_eq!((parsed.code, parsed.headers.len()), (Some(101), answer.headers().len()));
    }
    Ok(())
}

/// A refusal is an answer of 4xx with little in it, whatever it refuses.
fn refuse(refusal: Refusal) {
    let answer = refusal.into_response();
    assert!(answer.status().is_client_error(), "{answer:?}");
    let length = axum::body::HttpBody::size_hint(answer.body()).upper().unwrap();
    assert!(length < 2_048, "an answer of {length} bytes");
}
