//! A project's streams: events that watchers of a project are sent as they happen.
//!
//! Streams are live only. Their contents can be read from the store, so a watcher that may have
//! missed an event is told so (its socket closes, or its subscription begins again) and reads.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use super::comment::Comment;
use super::ids::{ProjectId, TicketId, UserId};
use super::ticket::{Stakes, Status, Ticket};

/// Which of a project's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamKind {
    /// Changes of its tickets.
    Tickets,
    /// Who is present, and which tickets they view.
    Presence,
}

/// One stream of one project: `project:7:tickets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream {
    /// The project.
    pub project: ProjectId,
    /// Which of its streams.
    pub kind: StreamKind,
}

/// A text is not `project:{id}:tickets` or `project:{id}:presence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A stream is project:ID:tickets or project:ID:presence.")]
pub struct BadStream;

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            StreamKind::Tickets => "tickets",
            StreamKind::Presence => "presence",
        };
        write!(f, "project:{}:{kind}", self.project)
    }
}

impl FromStr for Stream {
    type Err = BadStream;

    fn from_str(text: &str) -> Result<Self, BadStream> {
        let rest = text.strip_prefix("project:").ok_or(BadStream)?;
        let (id, kind) = rest.split_once(':').ok_or(BadStream)?;
        let kind = match kind {
            "tickets" => StreamKind::Tickets,
            "presence" => StreamKind::Presence,
            _ => return Err(BadStream),
        };
        // One spelling only: `+7` and `07` would be other streams to a client.
        if !id.bytes().all(|byte| byte.is_ascii_digit()) || id.starts_with('0') {
            return Err(BadStream);
        }
        let project = ProjectId(id.parse().map_err(|_| BadStream)?);
        Ok(Self { project, kind })
    }
}

/// A user, as others on a stream see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The account.
    pub id: UserId,
    /// Its login name.
    pub username: Arc<str>,
}

/// A present user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The user.
    pub person: Person,
    /// The ticket that this user views, if any.
    pub viewing: Option<TicketId>,
    /// The tickets that this person types on, in the order of their ids.
    pub typing: Vec<TicketId>,
}

/// A change of a ticket, as a list of tickets sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketAction {
    /// It was raised.
    Created,
    /// It moved, or its text changed.
    Updated,
    /// It was deleted.
    Deleted,
}

impl TicketAction {
    /// The action's name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

/// A ticket as a list of tickets shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketLine {
    /// The ticket.
    pub id: TicketId,
    /// Its project's key and its number there.
    pub key: String,
    /// Its title.
    pub title: String,
    /// Its status.
    pub status: Status,
    /// Counts its changes: an older line than the one that is shown is dropped.
    pub version: i64,
}

impl From<&Ticket> for TicketLine {
    fn from(ticket: &Ticket) -> Self {
        Self {
            id: ticket.id,
            key: ticket.key.clone(),
            title: ticket.title.clone(),
            status: ticket.status,
            version: ticket.version,
        }
    }
}

/// A stream's event.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamEvent {
    /// Something became of a ticket.
    Ticket {
        /// The change.
        action: TicketAction,
        /// The ticket after it.
        line: TicketLine,
    },
    /// A comment was added to a ticket.
    Comment(Comment),
    /// A user's first session joined.
    Joined(Person),
    /// A user's last session left.
    Left(Person),
    /// A user views another ticket, or none.
    Viewing {
        /// The user.
        person: Person,
        /// The previous ticket.
        was: Option<TicketId>,
        /// The ticket.
        ticket: Option<TicketId>,
    },
    /// A user began to type, or stopped.
    Typing {
        /// The user.
        person: Person,
        /// The ticket.
        ticket: TicketId,
        /// Whether it began.
        is_typing: bool,
    },
}

impl StreamEvent {
    /// The same for watchers who may not see the ticket.
    #[must_use]
    pub fn without_ticket(&self) -> Self {
        let mut event = self.clone();
        if let Self::Viewing { ticket, .. } = &mut event {
            *ticket = None;
        }
        event
    }

    /// Which of a project's streams it belongs to.
    #[must_use]
    pub fn kind(&self) -> StreamKind {
        match self {
            Self::Ticket { .. } | Self::Comment(_) => StreamKind::Tickets,
            Self::Joined(_) | Self::Left(_) | Self::Viewing { .. } | Self::Typing { .. } => {
                StreamKind::Presence
            }
        }
    }
}

/// A stream's event for sockets: its bytes are made once, when they are first needed, however many
/// sockets they are sent to.
#[derive(Debug)]
pub struct SharedStreamEvent {
    /// The stream.
    pub stream: Stream,
    /// The event.
    pub event: StreamEvent,
    encoded: OnceLock<Box<[u8]>>,
}

impl SharedStreamEvent {
    /// An event, not encoded yet.
    #[must_use]
    pub fn new(project: ProjectId, event: StreamEvent) -> Arc<Self> {
        let stream = Stream { project, kind: event.kind() };
        Arc::new(Self { stream, event, encoded: OnceLock::new() })
    }

    /// Its bytes, made by `encode` the first time.
    pub fn encoded(&self, encode: impl FnOnce(&StreamEvent) -> Box<[u8]>) -> &[u8] {
        self.encoded.get_or_init(|| encode(&self.event))
    }
}

/// An event of a project's tickets stream, with the facts that decide who may see it.
#[derive(Debug, Clone)]
pub struct TicketNews {
    /// The event.
    pub content: Arc<SharedStreamEvent>,
    /// The users of the ticket.
    pub stakes: Stakes,
}

impl TicketNews {
    /// Something happened to (or on) a ticket.
    #[must_use]
    pub fn new(ticket: &Ticket, event: StreamEvent) -> Self {
        Self { content: SharedStreamEvent::new(ticket.project, event), stakes: ticket.stakes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_one_spelling() {
        for text in ["project:7:tickets", "project:9223372036854775807:presence"] {
            assert_eq!(text.parse::<Stream>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "project",
            "project:7",
            "project:7:",
            "project:7:other",
            "project::tickets",
            "project:07:tickets",
            "project:+7:tickets",
            "project:-7:tickets",
            "project:0:tickets",
            "project:9223372036854775808:tickets",
            "project:7:tickets:x",
            "Project:7:tickets",
        ] {
            assert_eq!(bad.parse::<Stream>(), Err(BadStream), "{bad}");
        }
    }
}
