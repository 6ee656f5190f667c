//! The fast-path handshake: the handshake that a connection begins with, answered before any HTTP
//! server has seen it.
//!
//! Nearly every socket is the first request of its connection. An HTTP server's buffers, its task
//! and the hand-over cost more than everything else in opening a socket, so the head is read here,
//! judged by the same rules ([`super::admission`]), and answered in one write with the session's
//! greeting. Any other connection goes on to HTTP with the bytes that were read, and so does an
//! invalid or unreadable handshake. Handshakes on kept-alive connections (of a proxy) are answered
//! by [`super::upgrade`].

use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, Request, Response, header};
use axum::response::IntoResponse;
use tokio::sync::watch;
use tokio::time::timeout;

use super::admission::{Denied, SocketRoute, admit};
use super::edge::WsEdge;
use super::handshake::check_handshake;
use super::reader::write_and_leave;
use super::refusal::Refusal;
use super::take_over::answer_to;
use super::upgrade::{Connection, begin, count_handshake};
use bellpull_edge::listen::{
    Arrived, FastPath, HEAD_BYTES_MAX, HEAD_TIMEOUT, HEADERS_MAX, stopped,
};
pub(crate) use bellpull_edge::stream::Stream;
use bellpull_edge::strict_heads::HeadScan;

/// How much is read at once; on the stack. A handshake with a token is about 1 KiB.
const READ_MAX: usize = 4 * 1024;

/// The beginning of every handshake's request line.
const BEGINNING: &[u8] = b"GET /ws";

/// The initial capacity for an answer's head and the greeting.
const HEAD_USUAL: usize = 512;

/// How long a connection may take for its beginning once the hub stops: its client may be about to
/// send it.
const LAST_MAX: Duration = Duration::from_secs(1);

/// An answer has a few words.
const BODY_MAX: usize = 64 * 1024;

/// The beginning of a connection.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a handshake, and moved once")]
pub(super) enum Begun {
    /// A handshake, and the length of its head.
    Handshake(Request<()>, SocketRoute, usize),
    /// Something else, or unreadable.
    Other,
    /// Incomplete.
    Unfinished,
}

impl FastPath for WsEdge {
    /// Takes a connection that begins with a handshake; returns any other, with the bytes that were
    /// read. A client that sends nothing for [`HEAD_TIMEOUT`] is disconnected.
    async fn meet(
        &self,
        mut arrived: Arrived,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Option<Arrived> {
        let begun = beginning(&mut arrived, shutdown).await?;
        let Begun::Handshake(mut request, route, length) = begun else { return Some(arrived) };
        arrived.begun.drain(..length);
        match admit(self, route, Some(arrived.peer.ip()), &request).await {
            Ok(mut admitted) => match answer_to(&mut request, admitted.subprotocol.take()) {
                Ok(answer) => {
                    self.rules.opened.increment(1);
                    let Arrived { stream, held, begun, .. } = arrived;
                    let (held, answer) = (Some(held), head(&answer));
                    let connection = Connection { stream, held, begun, answer };
                    begin(self.clone(), connection, admitted).await;
                }
                Err(refusal) => refuse(arrived, refusal).await,
            },
            Err(Denied::Http(refusal)) => refuse(arrived, refusal).await,
            Err(Denied::Socket { refusal, subprotocol }) => match self.rejections.say(refusal) {
                Ok(close_frame) => match answer_to(&mut request, subprotocol) {
                    Ok(answer) => {
                        count_handshake(close_frame.outcome);
                        close_frame.write(&arrived.stream, head(&answer)).await;
                    }
                    Err(refusal) => refuse(arrived, refusal).await,
                },
                Err(refusal) => refuse(arrived, refusal).await,
            },
        }
        None
    }
}

/// What the connection begins with; `None` if that does not come in time.
async fn beginning(arrived: &mut Arrived, shutdown: &mut watch::Receiver<bool>) -> Option<Begun> {
    let mut reading = pin!(timeout(HEAD_TIMEOUT, read(arrived)));
    tokio::select! {
        begun = reading.as_mut() => begun.ok()?,
        () = stopped(shutdown) => timeout(LAST_MAX, reading).await.ok()?.ok()?,
    }
}

/// Reads until the connection's beginning is known; `None` if it ended before.
async fn read(arrived: &mut Arrived) -> Option<Begun> {
    loop {
        arrived.stream.readable().await.ok()?;
        match read_some(&arrived.stream, &mut arrived.begun) {
            Ok(0) => return (!arrived.begun.is_empty()).then_some(Begun::Other),
            Ok(_) => match look_at(&arrived.begun) {
                Begun::Unfinished => {}
                begun @ (Begun::Handshake(..) | Begun::Other) => return Some(begun),
            },
            Err(ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return None,
        }
    }
}

/// Not `async`: its buffer must not become part of the task.
fn read_some(stream: &Stream, begun: &mut Vec<u8>) -> Result<usize, ErrorKind> {
    let mut buffer = [0; READ_MAX];
    let count = stream.try_read(&mut buffer).map_err(|error| error.kind())?;
    begun.extend_from_slice(buffer.get(..count).unwrap_or_default());
    Ok(count)
}

pub(super) fn look_at(begun: &[u8]) -> Begun {
    let length = begun.len().min(BEGINNING.len());
    if begun.get(..length) != BEGINNING.get(..length) {
        return Begun::Other;
    }
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(begun) {
        Ok(httparse::Status::Complete(length)) if !is_strict(begun.get(..length)) => Begun::Other,
        Ok(httparse::Status::Complete(length)) => match handshake(&parsed) {
            Some((request, route)) => Begun::Handshake(request, route, length),
            None => Begun::Other,
        },
        Ok(httparse::Status::Partial) if begun.len() < HEAD_BYTES_MAX => Begun::Unfinished,
        Ok(httparse::Status::Partial) | Err(_) => Begun::Other,
    }
}

/// Whether a head is unambiguous; HTTP refuses any other.
fn is_strict(head: Option<&[u8]>) -> bool {
    let mut scan = HeadScan::default();
    head.is_some_and(|head| scan.fault(head).is_none() && scan.is_between())
}

/// The request, if it is a handshake on a socket's path.
fn handshake(parsed: &httparse::Request<'_, '_>) -> Option<(Request<()>, SocketRoute)> {
    // HTTP/1.1; HTTP/1.0 has no handshakes.
    let target = parsed.path.filter(|_| parsed.version == Some(1))?;
    let mut request = Request::get(target).body(()).ok()?;
    let headers = request.headers_mut();
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    let route = route(request.uri().path())?;
    check_handshake(&request).ok()?;
    Some((request, route))
}

/// The route of a path; as in [`super::upgrade::router`]. Other spellings are left to that.
fn route(path: &str) -> Option<SocketRoute> {
    let path = path.strip_suffix('/').unwrap_or(path);
    match path {
        "/ws" => Some(SocketRoute::Everything),
        "/ws/notifications" => Some(SocketRoute::Notifications),
        _ => {
            let (id, stream) = path.strip_prefix("/ws/projects/")?.split_once('/')?;
            format!("project:{id}:{stream}").parse().ok().map(SocketRoute::Project)
        }
    }
}

/// An answer's head in wire format.
pub(super) fn head<B>(answer: &Response<B>) -> Vec<u8> {
    let status = answer.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = Vec::with_capacity(HEAD_USUAL);
    for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in answer.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Rejects the socket with an HTTP response and closes.
async fn refuse(arrived: Arrived, refusal: Refusal) {
    count_handshake(refusal.code());
    let mut answer = refusal.into_response();
    let body = std::mem::replace(answer.body_mut(), Body::empty());
    // The body is a few words in memory: reading it cannot fail.
    let body = to_bytes(body, BODY_MAX).await.unwrap_or_default();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_LENGTH, body.len().into());
    if !headers.contains_key(header::CONNECTION) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let mut bytes = head(&answer);
    bytes.extend_from_slice(&body);
    write_and_leave(&arrived.stream, &bytes).await;
}
