//! What a dialect consists of: how its clients' texts are read and how frames to them are written.
//!
//! The trait has a default for each frame that not every dialect has, or that most write alike.
//! All calls are resolved when the hub is compiled: [`super::encode`] branches once, by dialect.

use bellpull_domain::inbox::{Entry, FormatId, Marked, Row};
use bellpull_domain::notification::Message;
use bellpull_domain::stream::Stream;
use bellpull_port::outlet::{Outgoing, Welcome};
use bellpull_port::session::{Answer, Asked, Heard};
use jiff::Timestamp;

use super::envelope::BadFrame;
use super::{Dialect, Endpoint, Texts, bare, frames, streams};

/// An entry of the table of dialects; the table implements it.
pub(super) trait Listed: Sized {
    /// The variant of the entry.
    const DIALECT: Dialect;
}

/// A dialect's texts.
pub(super) trait Format: Listed {
    /// The dialect's name in URLs, subprotocols and settings.
    const NAME: &'static str;

    /// Its part of the AsyncAPI document: see [`super::asyncapi`].
    const DOCUMENT: &'static str;

    /// Whether sessions follow the inbox's changes and acknowledge them; otherwise they are sent
    /// new entries.
    const FOLLOWS_CHANGES: bool = false;

    /// Whether a rejected client gets an open socket with a close code: browsers hide the reason
    /// of a failed handshake. The clients of other servers expect an HTTP status.
    const REJECTS_BY_CLOSE_CODE: bool = false;

    /// The part of a notification's frame that all its recipients share: everything up to the
    /// recipient's own fields. Made once per message.
    fn stem(message: &Message) -> Box<[u8]>;

    /// The recipient's own fields, which end the frame.
    fn tail(entry: &Entry, unread_count: i64, now: impl FnOnce() -> Timestamp, out: &mut Vec<u8>);

    /// Parses a client's message.
    fn decode(endpoint: Endpoint, text: &str) -> Result<Heard, BadFrame> {
        bare::decode(endpoint, text)
    }

    /// A row that the client does not have.
    fn new_row(
        row: &Row,
        unread_count: i64,
        now: impl FnOnce() -> Timestamp,
        out: &mut impl Texts,
    ) {
        if !row.is_deleted {
            out.text(|out| notification::<Self>(&row.entry, unread_count, now, out));
        }
    }

    /// A row that the client has in an earlier state.
    fn changed_row(_row: &Row, _unread_count: i64, _out: &mut impl Texts) {}

    /// Rows were marked. Without a frame for it clients ask, or read the inbox over REST.
    fn marked(_marked: &Marked, _out: &mut impl Texts) {}

    /// The answer to a command.
    fn answer(_asked: &Asked, answer: &Answer, out: &mut impl Texts) {
        frames::refused(answer, out);
    }

    /// The client sent an invalid message.
    fn error(
        _tag: Option<&str>,
        code: &str,
        message: &str,
        _retry_after_ms: Option<u32>,
        out: &mut Vec<u8>,
    ) {
        frames::error(code, message, out);
    }

    /// The end of a frame about a project.
    fn end_of_stream(_stream: Stream, out: &mut Vec<u8>) {
        out.push(b'}');
    }

    /// The greeting of a session that follows changes.
    fn welcome(_welcome: &Welcome<'_>, _out: &mut impl Texts) {}

    /// The client's position belongs to another store.
    fn reset(_out: &mut impl Texts) {}

    /// A subscription has ended.
    fn stream_ended(_stream: Stream, _code: &str, _message: &str, _out: &mut impl Texts) {}

    /// The session's token expires soon.
    fn token_expiring(
        _expires_at: Timestamp,
        _now: impl FnOnce() -> Timestamp,
        _out: &mut impl Texts,
    ) {
    }
}

/// Appends a notification's frame up to the recipient's own fields.
pub(super) fn stem<F: Format>(entry: &Entry, out: &mut Vec<u8>) {
    out.extend_from_slice(entry.message.encoded(FormatId(F::DIALECT as u8), F::stem));
}

fn notification<F: Format>(
    entry: &Entry,
    unread_count: i64,
    now: impl FnOnce() -> Timestamp,
    out: &mut Vec<u8>,
) {
    stem::<F>(entry, out);
    F::tail(entry, unread_count, now, out);
}

/// Appends the frame's texts in one format.
pub(super) fn encode<F: Format>(
    frame: Outgoing<'_>,
    now: impl FnOnce() -> Timestamp,
    out: &mut impl Texts,
) {
    match frame {
        Outgoing::Established { user } => out.text(|out| frames::established(user, out)),
        Outgoing::Truncated { skipped } => out.text(|out| frames::truncated(skipped, out)),
        Outgoing::Notification { entry, unread_count } => {
            out.text(|out| notification::<F>(entry, unread_count, now, out));
        }
        Outgoing::Row { row, is_news: true, unread_count, .. } => {
            F::new_row(row, unread_count, now, out);
        }
        Outgoing::Row { row, is_news: false, unread_count, .. } => {
            F::changed_row(row, unread_count, out);
        }
        Outgoing::Marked(marked) => F::marked(marked, out),
        Outgoing::Answer { asked, answer } => F::answer(asked, answer, out),
        Outgoing::Stream(content) => out.text(|out| {
            streams::event(content, out);
            F::end_of_stream(content.stream, out);
        }),
        Outgoing::Present { stream, people } => out.text(|out| {
            streams::present(people, out);
            F::end_of_stream(stream, out);
        }),
        Outgoing::Pong(timestamp) => out.text(|out| frames::pong(timestamp, now, out)),
        Outgoing::Error { tag, code, message, retry_after_ms } => {
            out.text(|out| F::error(tag, code, message, retry_after_ms, out));
        }
        Outgoing::Welcome(welcome) => F::welcome(&welcome, out),
        Outgoing::Reset => F::reset(out),
        Outgoing::StreamEnded { stream, code, message } => {
            F::stream_ended(stream, code, message, out);
        }
        Outgoing::TokenExpiring { expires_at } => F::token_expiring(expires_at, now, out),
        // Not messages: the transport has frames of its own for them.
        Outgoing::Ping | Outgoing::ProtocolPong(_) => {}
    }
}
