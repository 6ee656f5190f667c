//! The dialect `inbox`: commands over the socket, each with an answer of its own.
//!
//! In reading order: [`commands`] (messages of clients) and [`answers`] (frames for them).

mod answers;
mod commands;
#[cfg(test)]
mod tests;

use bellpull_domain::inbox::Entry;
use bellpull_domain::notification::Message;
use bellpull_port::session::{Answer, Asked, Heard};
use jiff::Timestamp;

use super::envelope::BadFrame;
use super::format::Format;
use super::{Endpoint, Texts, bare};

/// The dialect.
pub(super) struct Inbox;

impl Format for Inbox {
    const NAME: &'static str = "inbox";
    const DOCUMENT: &'static str = include_str!("asyncapi.json");

    fn stem(message: &Message) -> Box<[u8]> {
        answers::stem(message)
    }

    fn tail(
        entry: &Entry,
        _unread_count: i64,
        _now: impl FnOnce() -> Timestamp,
        out: &mut Vec<u8>,
    ) {
        answers::tail(entry, out);
    }

    fn decode(endpoint: Endpoint, text: &str) -> Result<Heard, BadFrame> {
        match endpoint {
            Endpoint::Notifications => commands::decode(text),
            Endpoint::Tickets | Endpoint::Presence => bare::decode(endpoint, text),
        }
    }

    fn answer(asked: &Asked, answer: &Answer, out: &mut impl Texts) {
        answers::answer(asked, answer, out);
    }
}
