//! Requests whose heads can be read in two ways are refused before anything is made of them.
//!
//! hyper is lenient where proxies are not all alike: it takes a bare LF for the end of a line, a
//! `Content-Length` beside `Transfer-Encoding`, and HTTP/1.1 without `Host` or with several. What
//! one server takes for a body and the next one for a request smuggles requests. What hyper hands
//! on does not show all of it any more, so the bytes are looked at while hyper reads them.
//!
//! [`HeadScan`] follows the requests of a connection: head, body, head. The byte at which a head
//! is known to be bad becomes NUL, and nothing is handed on behind it: hyper answers 400, in its
//! turn, and closes. Whatever is framed here in another way than by hyper is refused for the same
//! reason, so both are always at the same place.
//!
//! Behind a request with `Upgrade` nothing is looked at: it becomes another protocol, or its
//! answer ends the connection ([`super::listen`]).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A header's name and value are looked at up to so many bytes: those that count are shorter.
const WORD_MAX: usize = 20;

/// Where in a connection's requests its bytes are.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    place: Place,
    /// The beginning of what is being read of a line: a name, then a value; in lower case.
    word: [u8; WORD_MAX],
    len: usize,
    head: Head,
    /// Of the body, or of a chunk: so many bytes are still to come.
    left: u64,
}

/// What a head has said so far.
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
    /// Before a request line; empty lines may stand there.
    #[default]
    Start,
    StartLf,
    RequestLine,
    RequestLf,
    /// Where a header begins, or the head ends.
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
    /// Another protocol, or nothing that counts.
    Unseen,
    Bad,
}

/// The headers that count here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Host,
    Length,
    Encoding,
    Upgrade,
    Other,
}

impl HeadScan {
    /// Looks at the bytes that come next; where one of them makes a request a bad one, its place.
    pub(crate) fn fault(&mut self, bytes: &[u8]) -> Option<usize> {
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

    /// Whether all that was looked at is one whole head without a body.
    pub(crate) fn is_between(&self) -> bool {
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
            // A CR without its LF, first of all.
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

    /// A byte of a header's name; spaces in one, or before one, are read differently everywhere.
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

    /// A header has ended.
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

    /// What the head as a whole means.
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

/// A number of digits alone.
fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

/// A connection of which whoever reads it sees no bad head whole.
#[derive(Debug)]
pub(crate) struct StrictHeads<S> {
    stream: S,
    scan: HeadScan,
}

impl<S> StrictHeads<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, scan: HeadScan::default() }
    }

    /// The connection itself.
    pub(crate) fn into_inner(self) -> S {
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
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled_mut().get_mut(before..).unwrap_or_default();
        if let Some(at) = self.scan.fault(read) {
            if let Some(bad) = read.get_mut(at) {
                *bad = 0;
            }
            buffer.set_filled(before + at + 1);
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
