//! The fuzzers' harness of messages between nodes: what is read is written and read again the same.
#![allow(clippy::panic, reason = "a broken invariant panics, as in a test")]

use bellpull_port::BrokerMessage;

use super::message::{Received, decode, encode};

/// Longer contents are not sent, and long lists in several messages.
const BYTES_MAX: usize = 2_048;

/// A message from Redis.
pub fn messages(bytes: &[u8]) {
    let received = decode("web-1", bytes);
    if bytes.split(|byte| *byte == b'\n').nth(1) == Some(b"web-1")
        && bytes.iter().filter(|byte| **byte == b'\n').count() >= 2
    {
        assert!(matches!(received, Received::Own { .. }), "its own: {received:?}");
    }
    if bytes.len() > BYTES_MAX {
        return;
    }
    let again = match &received {
        Received::Own { .. } | Received::Beat | Received::Unknown => return,
        Received::Moved(_, channels) if channels.outgoing().next().is_some() => return,
        Received::Plain(BrokerMessage::Missed) => return,
        Received::Announced(announced) if announced.entries.is_empty() => return,
        Received::Announced(announced) => encode("web-2", BrokerMessage::Announced(announced)),
        Received::Changed(user, change) => {
            encode("web-2", BrokerMessage::Changed { user: *user, change })
        }
        Received::Moved(heads, _) => encode("web-2", BrokerMessage::Moved(heads)),
        Received::News(project, news) => {
            encode("web-2", BrokerMessage::ProjectNews { project: *project, news })
        }
        Received::Presence(project, news) => {
            encode("web-2", BrokerMessage::Presence { project: *project, news })
        }
        Received::Plain(message) => encode("web-2", *message),
    };
    let [again] = &again[..] else { panic!("{} messages of {received:?}", again.len()) };
    assert_eq!(format!("{received:?}"), format!("{:?}", decode("web-1", again)));
}
