//! The fuzzers' harnesses of what is read before any route: heads, and the headers of proxies.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken invariant panics, as in a test")]

use std::cell::RefCell;
use std::net::IpAddr;

use axum::http::header::{CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, TRANSFER_ENCODING, UPGRADE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use futures_util::FutureExt;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;

use super::forwarded::{forwarded, x_forwarded_for};
use super::listen::{HEAD_BYTES_MAX, HEAD_TIMEOUT, HEADERS_MAX};
use super::proxies::TrustedProxies;
use super::strict_heads::{HeadScan, StrictHeads};

/// How often a connection in memory is polled: it gives way after some requests.
const POLLS_MAX: usize = 10_000;

/// The requests with their bodies that hyper reads from a connection, which arrive in two pieces.
pub fn requests(first: &[u8], second: &[u8]) -> Vec<Request<Vec<u8>>> {
    let seen = RefCell::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| async {
        let (parts, body) = request.into_parts();
        let is_upgrade = parts.headers.contains_key(UPGRADE);
        let body = body.collect().await?.to_bytes().to_vec();
        seen.borrow_mut().push(Request::from_parts(parts, body));
        let mut answer = Response::new(Empty::<Bytes>::new());
        if is_upgrade {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, hyper::Error>(answer)
    });
    let stream = tokio::io::join(first.chain(second), tokio::io::sink());
    let connection = http1::Builder::new()
        .half_close(true) // the bytes end, but the client waits for its answers
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(StrictHeads::new(stream, HEAD_TIMEOUT)), service);
    let mut connection = std::pin::pin!(connection);
    let is_over = (0..POLLS_MAX).any(|_| connection.as_mut().now_or_never().is_some());
    assert!(is_over, "a connection that has ended goes on");
    seen.take()
}

/// Reads a connection's requests; its first byte says where it is cut.
pub fn heads(bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let cut = usize::from(*cut).min(stream.len());
    let whole = HeadScan::default().fault(stream);
    let mut scan = HeadScan::default();
    let pieces = stream.iter().position(|byte| scan.fault(&[*byte]).is_some());
    assert_eq!(whole, pieces, "a fault's place, at once and byte by byte");

    let seen = requests(stream, &[]);
    let (first, second) = stream.split_at(cut);
    let in_pieces = requests(first, second);
    assert_eq!(format!("{seen:?}"), format!("{in_pieces:?}"), "cut at {cut}");
    for request in &seen {
        is_unambiguous(request);
    }
}

/// Nothing in it can be read in two ways.
fn is_unambiguous(request: &Request<Vec<u8>>) {
    let headers = request.headers();
    let count = |name: HeaderName| headers.get_all(name).iter().count();
    let hosts = count(HOST);
    assert!(hosts == 1 || (hosts == 0 && request.version() == Version::HTTP_10), "{request:?}");
    let (lengths, encodings) = (count(CONTENT_LENGTH), count(TRANSFER_ENCODING));
    assert!(lengths + encodings <= 1, "{request:?}");
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        let is_upgrade = headers.contains_key(UPGRADE);
        let length: usize = length.to_str().unwrap().parse().unwrap();
        assert!(length == request.body().len() || is_upgrade, "{request:?}");
    } else if encodings == 0 {
        assert!(request.body().is_empty(), "{request:?}");
    }
}

/// Reads the headers in which proxies name clients: one a line, `F` for `Forwarded`.
pub fn proxies(bytes: &[u8]) {
    const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    let networks = ["10.0.0.0/8", "2001:db8:1::/48"].map(|network| network.parse().unwrap());
    let proxies = TrustedProxies::new(&networks);
    let [proxy, outside, client]: [IpAddr; 3] =
        ["10.0.0.1", "192.0.2.1", "203.0.113.9"].map(|address| address.parse().unwrap());
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(8) {
        let (name, text) = match line {
            [b'F', text @ ..] => (FORWARDED, text),
            text => (X_FORWARDED_FOR, text),
        };
        if let Ok(value) = HeaderValue::from_bytes(text) {
            headers.append(name, value);
        }
    }
    assert_eq!(proxies.client(outside, &headers), outside, "no proxy's headers count");
    assert!(!proxies.is_https(Some(outside), &headers));
    let named = [x_forwarded_for(&headers), forwarded(&headers)];
    let found = proxies.client(proxy, &headers);
    let mut entries = named.iter().flatten().flatten().flatten();
    assert!(found == proxy || entries.any(|entry| *entry == found), "{found} is not there");
    // What a proxy adds about its client counts, whatever the client has sent.
    for (name, entry) in [(X_FORWARDED_FOR, "203.0.113.9"), (FORWARDED, "for=203.0.113.9")] {
        for is_own_line in [true, false] {
            let added = added(&headers, &name, entry, is_own_line);
            let found = proxies.client(proxy, &added);
            assert!(found == client || found == proxy, "{found} from {added:?}");
        }
    }
}

/// The headers after a proxy has added an entry: to the last line or as a line.
fn added(headers: &HeaderMap, name: &HeaderName, entry: &str, is_own_line: bool) -> HeaderMap {
    let mut lines: Vec<Vec<u8>> =
        headers.get_all(name).iter().map(|line| line.as_bytes().to_vec()).collect();
    match lines.last_mut().filter(|_| !is_own_line) {
        Some(last) => last.extend_from_slice(format!(", {entry}").as_bytes()),
        None => lines.push(entry.as_bytes().to_vec()),
    }
    let mut headers = headers.clone();
    headers.remove(name);
    for line in lines {
        headers.append(name.clone(), HeaderValue::from_bytes(&line).unwrap());
    }
    headers
}
