//! The dialect `bellpull.v1`: everything on one socket, resumable and acknowledged.
//!
//! In reading order: [`commands`] (messages of clients), [`events`], [`replies`] (results of
//! commands).

mod commands;
mod events;
mod replies;
#[cfg(test)]
mod tests;

use bellpull_domain::inbox::{Entry, Marked, Row};
use bellpull_domain::notification::Message;
use bellpull_domain::stream::Stream;
use bellpull_port::outlet::Welcome;
use bellpull_port::session::{Answer, Asked, Heard};
use jiff::Timestamp;

use super::envelope::BadFrame;
use super::format::Format;
use super::{Endpoint, Texts, frames};

/// The dialect.
pub(super) struct BellpullV1;

impl Format for BellpullV1 {
    const NAME: &'static str = "bellpull.v1";
    const DOCUMENT: &'static str = include_str!("asyncapi.json");
    const FOLLOWS_CHANGES: bool = true;
    const REJECTS_BY_CLOSE_CODE: bool = true;

    fn stem(message: &Message) -> Box<[u8]> {
        events::stem(message)
    }

    fn tail(entry: &Entry, unread_count: i64, _now: impl FnOnce() -> Timestamp, out: &mut Vec<u8>) {
        events::tail(entry, unread_count, out);
    }

    fn decode(endpoint: Endpoint, text: &str) -> Result<Heard, BadFrame> {
        commands::decode(endpoint, text)
    }

    fn new_row(
        row: &Row,
        unread_count: i64,
        _now: impl FnOnce() -> Timestamp,
        out: &mut impl Texts,
    ) {
        out.text(|out| events::row(row, true, unread_count, out));
    }

    fn changed_row(row: &Row, unread_count: i64, out: &mut impl Texts) {
        out.text(|out| events::row(row, false, unread_count, out));
    }

    fn marked(marked: &Marked, out: &mut impl Texts) {
        out.text(|out| events::marked(marked, out));
    }

    fn answer(asked: &Asked, answer: &Answer, out: &mut impl Texts) {
        replies::reply(asked, answer, out);
    }

    fn error(
        tag: Option<&str>,
        code: &str,
        message: &str,
        retry_after_ms: Option<u32>,
        out: &mut Vec<u8>,
    ) {
        replies::error(tag, code, message, retry_after_ms, out);
    }

    /// A socket may have several streams: the frame names its own.
    fn end_of_stream(stream: Stream, out: &mut Vec<u8>) {
        frames::print(out, format_args!(r#","stream":"{stream}"}}"#));
    }

    fn welcome(welcome: &Welcome<'_>, out: &mut impl Texts) {
        out.text(|out| events::welcome(welcome, out));
    }

    fn reset(out: &mut impl Texts) {
        out.text(events::reset);
    }

    fn stream_ended(stream: Stream, code: &str, message: &str, out: &mut impl Texts) {
        out.text(|out| events::stream_ended(stream, code, message, out));
    }

    fn token_expiring(
        expires_at: Timestamp,
        now: impl FnOnce() -> Timestamp,
        out: &mut impl Texts,
    ) {
        out.text(|out| events::token_expiring(expires_at, now(), out));
    }
}
