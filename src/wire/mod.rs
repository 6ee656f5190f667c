//! The clients' formats: bytes to what was heard, what happened to bytes. Pure.
//!
//! A dialect is a variant and a file of functions. A notification is encoded in two parts: a *stem*
//! that all its recipients share (made once per letter and dialect) and a short *tail* that is each
//! recipient's own. [`envelope`] and [`fields`] read what a client sent, [`frames`] writes what all
//! have, [`streams`] what project sockets have.

mod academy;
pub mod asyncapi;
mod bare;
mod begin;
mod envelope;
mod fields;
mod frames;
mod inbox;
mod incident;
mod project;
mod streams;
mod v1;

use bellpull_actors::domain::inbox::Entry;
use bellpull_actors::port::outlet::Outgoing;
use bellpull_actors::session::Heard;
use jiff::Timestamp;

pub(crate) use begin::{BadWish, Wish};
pub use envelope::BadFrame;

/// A family of clients, each with frames of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Ticket alerts: flat frames with a `notification_type`.
    Incident,
    /// Notifications about tickets, named by ticket and event.
    Project,
    /// An inbox that is read, marked and written to over the socket.
    Inbox,
    /// Notifications with a kind, and what becomes of each.
    Academy,
    /// Ours: everything on one socket, resumable and acknowledged.
    BellpullV1,
}

/// What a socket is for: what its client may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Its user's notifications; in `bellpull.v1` everything.
    Notifications,
    /// A project's tickets.
    Tickets,
    /// Who is on a project.
    Presence,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Notifications, Self::Tickets, Self::Presence];
}

/// Where a client's texts go, each behind the one before, in the way of their transport.
pub trait Texts {
    /// Puts a text there that `write` puts behind what is in the buffer.
    fn text(&mut self, write: impl FnOnce(&mut Vec<u8>));
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Incident, Self::Project, Self::Inbox, Self::Academy, Self::BellpullV1];

    /// The dialect's name in URLs, subprotocols and settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Project => "project",
            Self::Inbox => "inbox",
            Self::Academy => "academy",
            Self::BellpullV1 => "bellpull.v1",
        }
    }

    /// The dialect of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == name)
    }

    /// Which of a letter's encodings is this dialect's.
    #[must_use]
    pub fn slot(self) -> usize {
        match self {
            Self::Incident => 0,
            Self::Project => 1,
            Self::Inbox => 2,
            Self::Academy => 3,
            Self::BellpullV1 => 4,
        }
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a client's text message says.
///
/// # Errors
/// [`BadFrame`]: what the client is told, while its session stays open.
pub fn decode(dialect: Dialect, endpoint: Endpoint, text: &str) -> Result<Heard, BadFrame> {
    match (dialect, endpoint) {
        (Dialect::BellpullV1, _) => v1::decode(endpoint, text),
        (Dialect::Inbox, Endpoint::Notifications) => inbox::decode(text),
        (Dialect::Incident | Dialect::Project | Dialect::Inbox | Dialect::Academy, _) => {
            bare::decode(endpoint, text)
        }
    }
}

/// Puts what there is to say to the client into `out`: mostly one text, none where the dialect has
/// no words for it. `now` is asked where the words depend on the time.
pub fn encode(
    dialect: Dialect,
    frame: Outgoing<'_>,
    now: impl FnOnce() -> Timestamp,
    out: &mut impl Texts,
) {
    match frame {
        Outgoing::Established { user } => out.text(|out| frames::established(user, out)),
        Outgoing::Truncated { skipped } => out.text(|out| frames::truncated(skipped, out)),
        Outgoing::Notification { entry, unread_count } => {
            out.text(|out| notification(dialect, entry, unread_count, now, out));
        }
        Outgoing::Row { row, is_news, unread_count, .. } => match dialect {
            Dialect::BellpullV1 => out.text(|out| v1::row(row, is_news, unread_count, out)),
            Dialect::Academy if !is_news => academy::row_updated(row, unread_count, out),
            Dialect::Incident | Dialect::Project | Dialect::Inbox | Dialect::Academy => {
                if is_news && !row.is_deleted {
                    out.text(|out| notification(dialect, &row.entry, unread_count, now, out));
                }
            }
        },
        Outgoing::Marked(marked) => match dialect {
            Dialect::Academy => academy::updated(marked, out),
            Dialect::BellpullV1 => out.text(|out| v1::marked(marked, out)),
            // Their clients have no frame for it: they ask, or look over REST.
            Dialect::Incident | Dialect::Project | Dialect::Inbox => {}
        },
        Outgoing::Answer { asked, answer } => match dialect {
            Dialect::Inbox => inbox::answer(asked, answer, out),
            Dialect::BellpullV1 => v1::reply(asked, answer, out),
            Dialect::Incident | Dialect::Project | Dialect::Academy => frames::refused(answer, out),
        },
        Outgoing::Stream(content) => out.text(|out| streams::event(dialect, content, out)),
        Outgoing::Present { stream, people } => {
            out.text(|out| streams::present(dialect, stream, people, out));
        }
        Outgoing::Pong(timestamp) => out.text(|out| frames::pong(timestamp, now, out)),
        Outgoing::Error { tag, code, message, retry_after_ms } => out.text(|out| match dialect {
            Dialect::BellpullV1 => v1::error(tag, code, message, retry_after_ms, out),
            Dialect::Incident | Dialect::Project | Dialect::Inbox | Dialect::Academy => {
                frames::error(code, message, out);
            }
        }),
        Outgoing::Welcome(welcome) => ours(dialect, out, |out| v1::welcome(&welcome, out)),
        Outgoing::Reset => ours(dialect, out, v1::reset),
        Outgoing::StreamEnded { stream, code, message } => {
            ours(dialect, out, |out| v1::stream_ended(stream, code, message, out));
        }
        Outgoing::TokenExpiring { expires_at } => {
            ours(dialect, out, |out| v1::token_expiring(expires_at, now(), out));
        }
        // Not messages: the transport has frames of its own for them.
        Outgoing::Ping | Outgoing::ProtocolPong(_) => {}
    }
}

fn notification(
    dialect: Dialect,
    entry: &Entry,
    unread_count: i64,
    now: impl FnOnce() -> Timestamp,
    out: &mut Vec<u8>,
) {
    match dialect {
        Dialect::Incident => incident::notification(entry, out),
        Dialect::Project => project::notification(entry, out),
        Dialect::Inbox => inbox::notification(entry, out),
        Dialect::Academy => academy::notification(entry, now, out),
        Dialect::BellpullV1 => v1::notification(entry, entry.seq, unread_count, out),
    }
}

/// A text that only our own dialect has words for.
fn ours(dialect: Dialect, out: &mut impl Texts, write: impl FnOnce(&mut Vec<u8>)) {
    if dialect == Dialect::BellpullV1 {
        out.text(write);
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
