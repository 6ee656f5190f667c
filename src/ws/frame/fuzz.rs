//! The fuzzers' harness of the decoder: against another library's, however the stream is cut.
#![allow(clippy::panic, reason = "a broken invariant panics, as in a test")]

use std::ops::ControlFlow;

use fastwebsockets::{FragmentCollector, Frame, OpCode, Role, WebSocket};
use futures_util::FutureExt;

use super::{Decoder, Event, Violation};

/// The limit of a message here; small, so that it is reached.
const MESSAGE_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Text(String),
    Binary,
    Ping(Vec<u8>),
    Pong,
    Close(u16),
}

/// Decodes a client's stream; its first byte says into which pieces it is cut.
pub fn frames(bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let (whole, violation) = decode(stream.chunks(usize::MAX));
    for size in [1, 1 + usize::from(*cut)] {
        let pieces = decode(stream.chunks(size));
        assert_eq!(pieces, (whole.clone(), violation), "in pieces of {size}");
    }
    let reference = by_library(stream);
    match violation {
        // The library stops at an invalid frame too, or accepts what this decoder refuses.
        Some(_) => assert!(reference.starts_with(&whole), "{reference:?} but {whole:?}"),
        None => assert_eq!(reference, whole),
    }
}

/// The events of a stream, and how it ended.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Seen>, Option<Violation>) {
    let (mut decoder, mut seen, mut received) = (Decoder::default(), Vec::new(), 0);
    for piece in pieces {
        received += piece.len();
        let fed = decoder.feed(MESSAGE_MAX, &mut piece.to_vec(), |event| {
            seen.push(copied(&event));
            match event {
                Event::Close(_) => ControlFlow::Break(()),
                Event::Text(_) | Event::Binary | Event::Ping(_) | Event::Pong => {
                    ControlFlow::Continue(())
                }
            }
        });
        if let Err(violation) = fed {
            return (seen, Some(violation));
        }
        if matches!(seen.last(), Some(Seen::Close(_))) {
            break;
        }
        let held = decoder.held();
        assert!(held <= 2 * (received + 16), "{held} bytes held after {received}");
        assert!(held <= 2 * (MESSAGE_MAX + 128) + 32, "{held} bytes held");
    }
    (seen, None)
}

fn copied(event: &Event<'_>) -> Seen {
    match event {
        Event::Text(text) => {
            assert!(text.len() <= MESSAGE_MAX, "{} bytes", text.len());
            Seen::Text((*text).to_owned())
        }
        Event::Binary => Seen::Binary,
        Event::Ping(payload) => {
            assert!(payload.len() <= 125, "{} bytes", payload.len());
            Seen::Ping(payload.to_vec())
        }
        Event::Pong => Seen::Pong,
        Event::Close(code) => Seen::Close(*code),
    }
}

/// The same by fastwebsockets, up to its first error.
fn by_library(stream: &[u8]) -> Vec<Seen> {
    let stream = tokio::io::join(stream, tokio::io::sink());
    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    socket.set_auto_close(false);
    socket.set_auto_pong(false);
    socket.set_max_message_size(MESSAGE_MAX + 1); // it refuses this length itself
    let mut socket = FragmentCollector::new(socket);
    let mut seen = Vec::new();
    // A stream in memory is never pending.
    while let Some(Ok(frame)) = socket.read_frame().now_or_never() {
        seen.push(of_frame(&frame));
        if frame.opcode == OpCode::Close {
            break;
        }
    }
    seen
}

fn of_frame(frame: &Frame<'_>) -> Seen {
    match frame.opcode {
        OpCode::Text => Seen::Text(String::from_utf8_lossy(&frame.payload).into_owned()),
        OpCode::Binary => Seen::Binary,
        OpCode::Ping => Seen::Ping(frame.payload.to_vec()),
        OpCode::Pong => Seen::Pong,
        OpCode::Close => Seen::Close(match &frame.payload[..] {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 1000,
        }),
        OpCode::Continuation => panic!("a collected message is no continuation"),
    }
}

impl Decoder {
    /// How many bytes of payloads it holds.
    fn held(&self) -> usize {
        let Some(state) = &self.parked else { return 0 };
        let text = state.message.as_ref().and_then(|message| message.text.as_ref());
        state.control.capacity() + text.map_or(0, |(bytes, _)| bytes.capacity())
    }
}
