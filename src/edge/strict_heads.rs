//! Refuses requests with ambiguous heads before anything is done with them.
//!
//! hyper is lenient where proxies differ: it accepts a bare LF as a line ending, a `Content-Length`
//! beside `Transfer-Encoding`, and HTTP/1.1 without `Host` or with several. If one server takes for
//! a body what the next one takes for a request, requests can be smuggled. hyper's parsed request
//! no longer shows all of it, so the bytes are checked while hyper reads them.
//!
//! [`HeadScan`] follows the requests of a connection: head, body, head. The byte that makes a head
//! invalid is replaced with NUL, and nothing after it is passed on: hyper answers 400, in its turn,
//! and closes. Framing that differs from hyper's is refused for the same reason, so both always
//! agree on the position.
//!
//! The bytes after a request with `Upgrade` are not checked: the connection becomes another
//! protocol, or its answer ends it ([`super::listen`]).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How many bytes of a header's name and value are compared: the relevant ones are shorter.
const WORD_MAX: usize = 20;

/// The position within a connection's requests.
#[derive(Debug, Default)]
pub struct HeadScan {
    place: Place,
    /// The beginning of the name or value being read, in lower case.
    word: [u8; WORD_MAX],
    len: usize,
    head: Head,
    /// How many bytes of the body or chunk are still to come.
    left: u64,
}

/// What the head contains so far.
#[derive(Debug, Default, Clone, Copy)]
struct Head {
    is_http_11: bool,
    hosts: u8,
    length: Option<u64>,
    is_chunked: bool,
    is_upgrade: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a request line; empty lines are allowed here.
    #[default]
    Start,
    StartLf,
    RequestLine,
    RequestLf,
    /// At the beginning of a header, or at the end of the head.
    LineStart,
    Name,
    Value(Field),
    ValueLf(Field),
    HeadLf,
    Body,
    ChunkSize,
    ChunkExtension,
    ChunkSizeLf,
    Chunk,
    ChunkCr,
    ChunkLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    TrailersLf,
    /// Another protocol; no longer checked.
    Unseen,
    Bad,
}

/// The headers that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Host,
    Length,
    Encoding,
    Upgrade,
    Other,
}

impl HeadScan {
    /// Checks the next bytes; returns the index of the byte that makes a request invalid.
    pub fn fault(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.place == Place::Unseen {
                return None;
            }
            if let Place::Body | Place::Chunk = self.place {
                let here = u64::try_from(bytes.len() - at).unwrap_or(u64::MAX).min(self.left);
                self.left -= here;
                at += usize::try_from(here).unwrap_or(bytes.len());
                if self.left == 0 {
                    let is_chunk = self.place == Place::Chunk;
                    self.place = if is_chunk { Place::ChunkCr } else { Place::Start };
                }
                continue;
            }
            self.place = self.next(*byte);
            if self.place == Place::Bad {
                return Some(at);
            }
            at += 1;
        }
        None
    }

    /// Whether a head has begun and is not complete.
    fn is_in_head(&self) -> bool {
        matches!(
            self.place,
            Place::RequestLine
                | Place::RequestLf
                | Place::LineStart
                | Place::Name
                | Place::Value(_)
                | Place::ValueLf(_)
                | Place::HeadLf
        )
    }

    /// Whether the bytes so far are exactly one complete head without a body.
    pub fn is_between(&self) -> bool {
        matches!(self.place, Place::Start | Place::Unseen)
    }

    fn next(&mut self, byte: u8) -> Place {
        match (self.place, byte) {
            (Place::Start, b'\r') => Place::StartLf,
            (Place::StartLf, b'\n') => Place::Start,
            (Place::Start | Place::RequestLine, b'\n' | 0) => Place::Bad,
            (Place::Start, _) => {
                (self.head, self.len) = (Head::default(), 0);
                self.remember_last(byte);
                Place::RequestLine
            }
            (Place::RequestLine, b'\r') => {
                self.head.is_http_11 = self.word.get(..8) == Some(b"http/1.1".as_slice());
                Place::RequestLf
            }
            (Place::RequestLine, _) => {
                self.remember_last(byte);
                Place::RequestLine
            }
            (Place::RequestLf, b'\n') => self.line_start(),
            (Place::LineStart, b'\r') => Place::HeadLf,
            (Place::HeadLf, b'\n') => self.end_of_head(),
            (Place::LineStart | Place::Name, _) => self.name(byte),
            (Place::Value(field), b'\r') => Place::ValueLf(field),
            (Place::Value(_), b'\n' | 0) => Place::Bad,
            (Place::Value(field), _) => {
                self.remember(byte);
                Place::Value(field)
            }
            (Place::ValueLf(field), b'\n') => self.value(field),
            _ => self.next_of_chunks(byte),
        }
    }

    fn next_of_chunks(&mut self, byte: u8) -> Place {
        match (self.place, byte) {
            (Place::ChunkSize, b'\r') if self.len > 0 => Place::ChunkSizeLf,
            (Place::ChunkSize, b';' | b' ' | b'\t') if self.len > 0 => Place::ChunkExtension,
            (Place::ChunkSize, _) => match char::from(byte).to_digit(16) {
                // A size of 16 digits is more than any body may have.
                Some(digit) if self.len < 16 => {
                    self.left = (self.left << 4) | u64::from(digit);
                    self.len += 1;
                    Place::ChunkSize
                }
                _ => Place::Bad,
            },
            (Place::ChunkExtension, b'\r') => Place::ChunkSizeLf,
            (Place::ChunkExtension | Place::Trailer, b'\n' | 0) => Place::Bad,
            (Place::ChunkExtension, _) => Place::ChunkExtension,
            (Place::ChunkSizeLf, b'\n') if self.left == 0 => Place::TrailerStart,
            (Place::ChunkSizeLf, b'\n') => Place::Chunk,
            (Place::ChunkCr, b'\r') => Place::ChunkLf,
            (Place::ChunkLf, b'\n') => self.chunk_size(),
            (Place::TrailerStart, b'\r') => Place::TrailersLf,
            (Place::TrailerStart, b'\n' | b' ' | b'\t' | 0) => Place::Bad,
            (Place::TrailerStart, _) => Place::Trailer,
            (Place::Trailer, b'\r') => Place::TrailerLf,
            (Place::Trailer, _) => Place::Trailer,
            (Place::TrailerLf, b'\n') => Place::TrailerStart,
            (Place::TrailersLf, b'\n') => Place::Start,
            // For one, a CR without its LF.
            _ => Place::Bad,
        }
    }

    fn line_start(&mut self) -> Place {
        self.len = 0;
        Place::LineStart
    }

    fn chunk_size(&mut self) -> Place {
        (self.left, self.len) = (0, 0);
        Place::ChunkSize
    }

    /// Keeps the beginning of a word.
    fn remember(&mut self, byte: u8) {
        if let Some(place) = self.word.get_mut(self.len) {
            *place = byte.to_ascii_lowercase();
        }
        self.len = self.len.saturating_add(1);
    }

    /// Keeps the last eight bytes of a line.
    fn remember_last(&mut self, byte: u8) {
        self.word.copy_within(1..8, 0);
        if let Some(last) = self.word.get_mut(7) {
            *last = byte.to_ascii_lowercase();
        }
    }

    /// A byte of a header's name; parsers differ about spaces in or before a name.
    fn name(&mut self, byte: u8) -> Place {
        match byte {
            b':' if self.len > 0 => {
                let field = match self.word.get(..self.len) {
                    Some(b"host") => Field::Host,
                    Some(b"content-length") => Field::Length,
                    Some(b"transfer-encoding") => Field::Encoding,
                    Some(b"upgrade") => Field::Upgrade,
                    _ => Field::Other,
                };
                self.len = 0;
                Place::Value(field)
            }
            b':' | b' ' | b'\t' | b'\r' | b'\n' | 0 => Place::Bad,
            _ => {
                self.remember(byte);
                Place::Name
            }
        }
    }

    /// At the end of a header.
    fn value(&mut self, field: Field) -> Place {
        let value = self.word.get(..self.len).map(<[u8]>::trim_ascii);
        match field {
            Field::Host => self.head.hosts = self.head.hosts.saturating_add(1),
            Field::Length => {
                let length = value.and_then(number);
                if length.is_none() || self.head.length.is_some() {
                    return Place::Bad;
                }
                self.head.length = length;
            }
            Field::Encoding => {
                if value != Some(b"chunked") || self.head.is_chunked {
                    return Place::Bad;
                }
                self.head.is_chunked = true;
            }
            Field::Upgrade => self.head.is_upgrade = true,
            Field::Other => {}
        }
        self.line_start()
    }

    /// The meaning of the whole head.
    fn end_of_head(&mut self) -> Place {
        let Head { is_http_11, hosts, length, is_chunked, is_upgrade } = self.head;
        let has_host = if is_http_11 { hosts == 1 } else { hosts <= 1 };
        if !has_host || (is_chunked && (length.is_some() || !is_http_11)) {
            return Place::Bad;
        }
        if is_upgrade {
            return Place::Unseen;
        }
        if is_chunked {
            return self.chunk_size();
        }
        self.left = length.unwrap_or_default();
        if self.left == 0 { Place::Start } else { Place::Body }
    }
}

/// A number that consists of digits only.
fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

/// A connection whose reader never sees an invalid head in full, and which ends where a head takes
/// longer than its time: a connection may be idle between requests for longer than that.
#[derive(Debug)]
pub struct StrictHeads<S> {
    stream: S,
    scan: HeadScan,
    head_max: Duration,
    /// Since when a head is awaited that has begun, or the first one.
    head_since: Option<Instant>,
    /// When that is too long; made only where a head does not come at once.
    head_ends: Option<Pin<Box<Sleep>>>,
}

impl<S> StrictHeads<S> {
    pub(crate) fn new(stream: S, head_max: Duration) -> Self {
        let (scan, head_since) = (HeadScan::default(), Some(Instant::now()));
        Self { stream, scan, head_max, head_since, head_ends: None }
    }

    /// Whether the time for the head that is awaited is over.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(since) = self.head_since else { return false };
        let at = since + self.head_max;
        let ends = self.head_ends.get_or_insert_with(|| Box::pin(sleep_until(at)));
        ends.as_mut().poll(cx).is_ready()
    }

    /// The connection itself.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictHeads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.scan.place == Place::Bad {
            return Poll::Ready(Ok(())); // the end
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(read) => read?,
            Poll::Pending if self.is_late(cx) => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Pending => return Poll::Pending,
        }
        let read = buffer.filled_mut().get_mut(before..).unwrap_or_default();
        if let Some(at) = self.scan.fault(read) {
            if let Some(bad) = read.get_mut(at) {
                *bad = 0;
            }
            buffer.set_filled(before + at + 1);
        }
        if buffer.filled().len() > before {
            self.head_ends = None;
            self.head_since = match self.scan.is_in_head() {
                true => self.head_since.or_else(|| Some(Instant::now())),
                false => None,
            };
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StrictHeads<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
