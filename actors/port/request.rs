//! Requests of clients to their user's actor over a session, and the answers.

use crate::inbox::Selection;
use bellpull_domain::ids::{NotificationId, Seq, TicketId, UserId};
use bellpull_domain::inbox::Mark;
use bellpull_domain::notification::{Kind, Notification};
use bellpull_domain::stream::Stream;

/// A client's name for a request, to match its answer: at most 64 characters (the dialect checks
/// it). `None` if it gave none, or its dialect has none.
pub type Tag = Option<Box<str>>;

/// A request over a socket.
#[derive(Debug)]
pub struct Asked {
    /// The client's name for it.
    pub tag: Tag,
    /// The request.
    pub ask: Ask,
}

/// The requests of clients.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Mark rows of its own inbox.
    Mark {
        /// Which.
        selection: Selection,
        /// How.
        mark: Mark,
    },
    /// Show a part of its own inbox, newest first.
    List {
        /// How many; 1 to 100.
        limit: u32,
        /// How many newer ones to pass over.
        offset: u32,
    },
    /// Notify a user.
    Send(Box<Note>),
    /// Everything up to this number has arrived.
    Ack(Seq),
    /// Subscribe to a stream.
    Subscribe(Stream),
    /// End it.
    Unsubscribe(Stream),
    /// The user views a ticket, or none.
    Viewing {
        /// Where; `None`: on the session's own stream.
        stream: Option<Stream>,
        /// The ticket.
        ticket: Option<TicketId>,
    },
    /// This person types, or has ended.
    Typing {
        /// Where; `None`: on the session's own stream.
        stream: Option<Stream>,
        /// The ticket.
        ticket: TicketId,
        /// Whether it types.
        is_typing: bool,
    },
    /// Continue with this token. The edge, which verifies tokens, turns it into
    /// [`crate::session::Heard::Renewed`].
    Refresh(Token),
}

/// A token, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub Box<str>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A note from a user to another over a socket. Its dialect has checked the lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// The recipient.
    pub to: UserId,
    /// One line, 1 to 255 characters.
    pub title: String,
    /// 1 to 10,000 characters.
    pub message: String,
    /// The sender's own name for why: becomes the event.
    pub event: String,
    /// How it is shown.
    pub kind: Kind,
    /// Where a click leads; empty for nowhere.
    pub link: String,
    /// The sender's own data.
    pub data: serde_json::Map<String, serde_json::Value>,
}

/// The result of an [`Ask`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Done; there is nothing else to report.
    Done,
    /// Rows were marked.
    Marked {
        /// How many changed.
        count: usize,
        /// Where one row alone was named: whether the caller has it. Else `true`.
        is_found: bool,
        /// The count that its session was shown.
        unread_count: i64,
        /// The position from which on it applies: a client that was shown a later change of one of
        /// these rows keeps that. If nothing changed, the session's position when it asked.
        seq: Seq,
    },
    /// A part of the inbox.
    Listed {
        /// The rows.
        notifications: Vec<Notification>,
        /// How many there are in all.
        total: i64,
        /// How many of them are unread.
        unread_count: i64,
    },
    /// The recipient was notified.
    Sent {
        /// The notification.
        notification: NotificationId,
    },
    /// It was not done.
    Refused {
        /// For machines.
        code: &'static str,
        /// A text for a reader.
        message: String,
        /// Whether, and after how long, it may be tried again as it is.
        retry_after_ms: Option<u32>,
    },
}
