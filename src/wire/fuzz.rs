//! The fuzzers' harness of clients' messages: a command, or an error in a few words.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken invariant panics, as in a test")]

use bellpull_port::outlet::Outgoing;
use bellpull_port::session::Heard;
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::{BadFrame, Dialect, Endpoint, Texts, decode, encode};

/// The longest error frame, in bytes: a code, a text, and the request's name in escapes.
const ERROR_MAX: usize = 1_024;

#[derive(Default)]
struct Written(Vec<Vec<u8>>);

impl Texts for Written {
    fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut text = Vec::new();
        write(&mut text);
        self.0.push(text);
    }
}

/// A message of a client, to every dialect and on every kind of socket.
pub fn commands(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
    for dialect in Dialect::ALL {
        for endpoint in Endpoint::ALL {
            match decode(dialect, endpoint, text) {
                Err(bad) => {
                    let is_syntax = matches!(bad.code, "invalid_json" | "too_deep");
                    assert!(is_json || is_syntax, "{dialect}: {bad:?} of what is not JSON");
                    refused(dialect, &bad, text);
                }
                Ok(heard) => {
                    assert!(is_json, "{dialect} takes what is not JSON: {heard:?}");
                    taken(dialect, &heard, text);
                }
            }
        }
    }
}

fn refused(dialect: Dialect, bad: &BadFrame, text: &str) {
    assert!(bad.message.chars().count() < 200, "{dialect}: {bad:?}");
    let frame = Outgoing::Error {
        tag: bad.tag.as_deref(),
        code: bad.code,
        message: &bad.message,
        retry_after_ms: None,
    };
    for frame in frames(dialect, frame) {
        assert!(frame.len() <= ERROR_MAX, "{dialect}: {} bytes to {text:?}", frame.len());
    }
}

fn taken(dialect: Dialect, heard: &Heard, text: &str) {
    match heard {
        Heard::Ping(timestamp) => {
            for frame in frames(dialect, Outgoing::Pong(timestamp.as_deref())) {
                assert!(frame.len() <= text.len() + 64, "{dialect}: {} bytes", frame.len());
            }
        }
        Heard::Asked(asked) => {
            let tag = asked.tag.as_deref().unwrap_or_default();
            assert!(tag.chars().count() <= 64, "{dialect}: {asked:?}");
        }
        Heard::Renewed { .. }
        | Heard::Bad { .. }
        | Heard::ProtocolPing(_)
        | Heard::Writable
        | Heard::Ended(_) => panic!("{dialect}: no message means {heard:?}"),
    }
}

/// The texts of a frame, each an object of JSON.
fn frames(dialect: Dialect, frame: Outgoing<'_>) -> Vec<Vec<u8>> {
    let mut out = Written::default();
    encode(dialect, frame, || Timestamp::UNIX_EPOCH, &mut out);
    for text in &out.0 {
        // A number of the client's is repeated as it was sent, and may be beyond any type.
        serde_json::from_slice::<&RawValue>(text).unwrap();
        assert!(text.starts_with(b"{"));
    }
    out.0
}
