//! Input of a socket: the answer to its handshake, then frames.

use std::io::{ErrorKind, Read, Write};

use memchr::memmem;
use mio::event::Event;

use super::Worker;
use super::socket::{Stage, send};
use crate::clock::now_ns;
use crate::frame::{self, ACCEPT, InvalidFrame, Kind};
use crate::mark::{Mark, seq};
use crate::pipe::{Ready, ReportedFrame};

/// The longest head of a handshake's answer.
const HEAD_MAX: usize = 16 * 1024;
/// How much of a server's message is kept for an error.
const REASON_MAX: usize = 120;

impl<W: Write> Worker<W> {
    /// A socket is ready.
    pub(super) fn heard(&mut self, index: usize, event: &Event) {
        if event.is_writable()
            && self.sockets[index].stage == Stage::Upgrading
            && let Err(error) = self.sockets[index].ask()
        {
            return self.ended(index, &error.to_string());
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(index, event.is_read_closed() || event.is_error());
        }
    }

    /// Reads once. A read that does not fill the buffer has emptied the connection, and more bytes
    /// will be a new event.
    fn read(&mut self, index: usize, is_ended: bool) {
        loop {
            let socket = &mut self.sockets[index];
            let Some(stream) = &mut socket.stream else { return };
            let kept = socket.left.len();
            let read = match stream.read(&mut self.buffer[kept..]) {
                Ok(0) => return self.ended(index, "closed without a word"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return self.ended(index, &error.to_string()),
            };
            let at_ns = now_ns();
            self.buffer[..kept].copy_from_slice(&socket.left);
            let end = kept + read;
            let is_emptied = end < self.buffer.len();
            match self.take(index, end, at_ns) {
                Ok(used) => {
                    let socket = &mut self.sockets[index];
                    socket.left.clear();
                    if used < end {
                        socket.left.extend_from_slice(&self.buffer[used..end]);
                    } else if socket.left.capacity() > 4096 {
                        socket.left = Vec::new();
                    }
                }
                Err(why) => return self.ended(index, &why),
            }
            if is_emptied && !is_ended {
                return;
            }
        }
    }

    /// Handles the complete parts of the buffer; returns their length, or why the socket ended.
    fn take(&mut self, index: usize, end: usize, at_ns: u64) -> Result<usize, String> {
        let mut used = 0;
        if self.sockets[index].stage == Stage::Upgrading {
            let Some(head) = head(&self.buffer[..end])? else { return Ok(0) };
            used = head;
            self.upgraded(index, at_ns).map_err(|error| error.to_string())?;
        }
        loop {
            let frame = match frame::parse(&self.buffer[used..end]) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(used),
                Err(InvalidFrame) => return Err("sent what is no frame".to_owned()),
            };
            let (begin, after) = (used + frame.begin, used + frame.end);
            match frame.kind {
                Kind::Message => self.message(index, begin, after, at_ns),
                Kind::Close => return Err(farewell(&self.buffer[begin..after])),
                Kind::Ping => {
                    let pong = frame::pong(&self.buffer[begin..after]);
                    send(&mut self.sockets[index], &pong).map_err(|error| error.to_string())?;
                }
                Kind::Pong | Kind::Continuation => {}
            }
            used = after;
        }
    }

    fn message(&mut self, index: usize, begin: usize, end: usize, at_ns: u64) {
        let payload = &self.buffer[begin..end];
        let socket = &mut self.sockets[index];
        let faults = &mut self.tally.faults;
        let mark = Mark::find(payload).filter(|mark| mark.run == self.setup.run);
        let is_new = if self.setup.has_positions {
            seq(payload).is_none_or(|seq| socket.order.take(seq, faults))
        } else if self.setup.are_marks_ordered {
            mark.is_none_or(|mark| socket.order.take(mark.n, faults))
        } else {
            true
        };
        if let Some(mark) = mark.filter(|_| is_new) {
            self.tally.received += 1;
            if let Some(share) = self.tally.nodes.get_mut(socket.node) {
                share.received += 1;
            }
            self.tally.bytes += u64::try_from(payload.len()).unwrap_or_default();
            self.last_ns = at_ns;
            socket.received += 1;
            if socket.received == self.opening.backlog {
                self.tally.caught_up.record(at_ns.saturating_sub(socket.begun_ns));
                self.tally.done_ns = self.tally.done_ns.max(at_ns);
            }
            if mark.sent_ns > 0 {
                self.tally.frames.record(at_ns.saturating_sub(mark.sent_ns));
            }
            if self.setup.are_frames_reported && mark.sent_ns == 0 {
                self.reported.push(ReportedFrame { n: mark.n, event: event(payload), at_ns });
            }
        }
        if socket.stage == Stage::Greeting
            && let Ready::Frame(text) = &self.setup.ready
            && memmem::find(payload, text.as_bytes()).is_some()
        {
            self.opened(index, at_ns);
        }
    }
}

/// The length of the response's head, once it is complete; a status other than 101 is an error.
fn head(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        let is_endless = bytes.len() > HEAD_MAX;
        return if is_endless { Err("its answer has no end".to_owned()) } else { Ok(None) };
    };
    let head = &bytes[..end];
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    if !line.starts_with(b"HTTP/1.1 101") {
        return Err(readable(line));
    }
    if memmem::find(head, ACCEPT.as_bytes()).is_none() {
        return Err("answered with a wrong Sec-WebSocket-Accept".to_owned());
    }
    Ok(Some(end + 4))
}

/// The reason in a close frame.
fn farewell(payload: &[u8]) -> String {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return "closed without a code".to_owned();
    };
    let code = u16::from_be_bytes(*code);
    format!("closed with {code}: {}", readable(reason)).trim_end_matches([':', ' ']).to_owned()
}

fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(REASON_MAX)]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The value of `"notification_type":`.
fn event(payload: &[u8]) -> String {
    let key = b"\"notification_type\":\"";
    let begin = memmem::find(payload, key).map_or(payload.len(), |at| at + key.len());
    let word = payload[begin..].split(|byte| *byte == b'"').next().unwrap_or_default();
    String::from_utf8_lossy(word).into_owned()
}
