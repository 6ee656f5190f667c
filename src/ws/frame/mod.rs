//! A server's RFC 6455 decoder: bytes in, messages and control frames out. Pure.
//!
//! A [`Decoder`] takes the stream in pieces of any size and yields the same events however it is
//! cut. Between messages it holds no memory; a message that would be too long is refused when its
//! length is known, before memory is allocated.

#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzz;
mod head;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use head::{Frame, HEAD_MAX, Op, parse_head, unmask};

/// The most frames of one message: without it, empty ones could follow each other without end. It
/// allows the largest message in frames of 16 bytes.
const FRAGMENTS_MAX: u16 = 4_096;

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// A complete text message.
    Text(&'a str),
    /// A complete binary message; its content is dropped.
    Binary,
    /// A ping, at most 125 bytes.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// The client closes, with its code, or 1000 if it gave none.
    Close(u16),
}

/// Why a stream is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Violation {
    /// A protocol error.
    Protocol(&'static str),
    /// A text that is not UTF-8.
    NotUtf8,
    /// A message is longer than the limit.
    TooBig,
    /// A message has more frames than [`FRAGMENTS_MAX`].
    TooManyFragments,
}

/// Decodes frames. The stream is over after a [`Violation`] or a close: feed no more bytes.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The state between two pieces, if any: an idle connection allocates nothing.
    parked: Option<Box<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The first bytes of an incomplete head.
    head: [u8; HEAD_MAX],
    head_len: usize,
    /// The frame whose payload is incomplete.
    frame: Option<Frame>,
    /// The first bytes of a control frame's payload.
    control: Vec<u8>,
    /// The incomplete message.
    message: Option<Message>,
}

#[derive(Debug)]
struct Message {
    /// The bytes of a text, and how many of them are valid UTF-8 so far; a binary message's are
    /// dropped.
    text: Option<(Vec<u8>, usize)>,
    length: usize,
    fragments: u16,
}

impl Decoder {
    /// Takes the next bytes (and unmasks them in place); `sink` gets the completed events and may
    /// stop. No message may be longer than `message_max` bytes.
    pub(super) fn feed(
        &mut self,
        message_max: usize,
        mut bytes: &mut [u8],
        mut sink: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), Violation> {
        let mut state = self.parked.take().map_or_else(State::default, |parked| *parked);
        while let Some(mut frame) = state.next_frame(&mut bytes, message_max)? {
            let length = (frame.length - frame.taken).min(bytes.len());
            let (chunk, rest) = std::mem::take(&mut bytes).split_at_mut(length);
            bytes = rest;
            unmask(chunk, frame.mask, frame.taken);
            frame.taken += length;
            let flow = match frame.op {
                Op::Close | Op::Ping | Op::Pong => state.control(frame, chunk, &mut sink)?,
                Op::Continuation | Op::Text | Op::Binary => state.data(frame, chunk, &mut sink)?,
            };
            if flow.is_break() {
                return Ok(());
            }
            if frame.taken < frame.length {
                state.frame = Some(frame);
                break;
            }
        }
        if !state.is_idle() {
            self.parked = Some(Box::new(state));
        }
        Ok(())
    }

    /// Whether nothing is incomplete, and no memory held.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.parked.is_none()
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// The current frame, or the next one whose head is complete.
    fn next_frame(
        &mut self,
        bytes: &mut &mut [u8],
        message_max: usize,
    ) -> Result<Option<Frame>, Violation> {
        if let Some(frame) = self.frame.take() {
            return Ok(Some(frame));
        }
        let open = self.message.as_ref().map(|message| message.length);
        if self.head_len == 0
            && let Some((frame, length)) = parse_head(bytes, open, message_max)?
        {
            skip(bytes, length);
            return Ok(Some(frame));
        }
        while let Some(byte) = bytes.first().copied() {
            skip(bytes, 1);
            self.head[self.head_len] = byte;
            self.head_len += 1;
            if let Some((frame, _)) = parse_head(&self.head[..self.head_len], open, message_max)? {
                self.head_len = 0;
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn control(
        &mut self,
        frame: Frame,
        chunk: &[u8],
        sink: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        if chunk.len() == frame.length {
            return Ok(sink(control_event(frame.op, chunk)?));
        }
        self.control.extend_from_slice(chunk);
        if frame.taken < frame.length {
            return Ok(ControlFlow::Continue(()));
        }
        let payload = std::mem::take(&mut self.control);
        Ok(sink(control_event(frame.op, &payload)?))
    }

    fn data(
        &mut self,
        frame: Frame,
        chunk: &[u8],
        sink: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        if self.message.is_none() && frame.is_last && chunk.len() == frame.length {
            // The usual case: a message of one frame, complete.
            if frame.op == Op::Binary {
                return Ok(sink(Event::Binary));
            }
            let text = simdutf8::basic::from_utf8(chunk).map_err(|_| Violation::NotUtf8)?;
            return Ok(sink(Event::Text(text)));
        }
        let mut message = self.message.take().unwrap_or_else(|| Message::new(frame.op));
        message.append(chunk)?;
        if frame.taken < frame.length {
            self.message = Some(message);
            return Ok(ControlFlow::Continue(()));
        }
        if frame.is_last {
            return message.give(sink);
        }
        message.fragments += 1;
        if message.fragments >= FRAGMENTS_MAX {
            return Err(Violation::TooManyFragments);
        }
        self.message = Some(message);
        Ok(ControlFlow::Continue(()))
    }
}

impl Message {
    fn new(op: Op) -> Self {
        let text = (op == Op::Text).then(|| (Vec::new(), 0));
        Self { text, length: 0, fragments: 0 }
    }

    /// Appends a chunk. A text is validated as it arrives; the vector grows with received bytes,
    /// not with the announced length.
    fn append(&mut self, chunk: &[u8]) -> Result<(), Violation> {
        self.length += chunk.len();
        if let Some((bytes, checked)) = &mut self.text {
            bytes.extend_from_slice(chunk);
            *checked += match simdutf8::compat::from_utf8(&bytes[*checked..]) {
                Ok(valid) => valid.len(),
                Err(err) if err.error_len().is_none() => err.valid_up_to(),
                Err(_) => return Err(Violation::NotUtf8),
            };
        }
        Ok(())
    }

    fn give(
        self,
        sink: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        let Some((bytes, checked)) = self.text else { return Ok(sink(Event::Binary)) };
        if checked < bytes.len() {
            return Err(Violation::NotUtf8); // It ends in the middle of a character.
        }
        let text = String::from_utf8(bytes).map_err(|_| Violation::NotUtf8)?;
        Ok(sink(Event::Text(&text)))
    }
}

fn control_event(op: Op, payload: &[u8]) -> Result<Event<'_>, Violation> {
    match op {
        Op::Ping => return Ok(Event::Ping(payload)),
        Op::Close => {}
        Op::Continuation | Op::Text | Op::Binary | Op::Pong => return Ok(Event::Pong),
    }
    match payload {
        [] => Ok(Event::Close(1000)),
        [_] => Err(Violation::Protocol("a close code has two bytes")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Violation::Protocol("a close code that must not be sent"));
            }
            if simdutf8::basic::from_utf8(reason).is_err() {
                return Err(Violation::Protocol("a close reason that is not UTF-8"));
            }
            Ok(Event::Close(code))
        }
    }
}

fn skip(bytes: &mut &mut [u8], count: usize) {
    let (_, rest) = std::mem::take(bytes).split_at_mut(count);
    *bytes = rest;
}
