//! A session: one socket of a user's, from the edge's point of view.
//!
//! The edge makes a [`SessionStart`], gives it to [`crate::directory::Users::attach`], and gets a
//! [`Session`] back: the reader's way to tell the user's actor what it heard.

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::domain::ids::{LoginId, NotificationId, Seq, TicketId, UserId};
use crate::domain::inbox::Mark;
use crate::domain::notification::{Kind, Notification};
use crate::domain::stream::Stream;
use crate::port::inbox::Selection;
use crate::port::outlet::{Ending, Outlet};

/// Where a session's notifications begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With what was never sent to any of the user's sockets.
    Undelivered,
    /// With what was born after this number.
    Since(Seq),
    /// With the next one that is born.
    Live,
}

/// What of its user's inbox a session is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Nothing: the session is for a stream alone.
    Nothing,
    /// Notifications, by their births (the four families); marks are told as they happen.
    Births(Begin),
    /// Every change, each row once in its latest state (`bellpull.v1`).
    Changes(Resume),
}

/// Where a session's changes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// With what was not acknowledged (and not sent to a session that needs not acknowledge).
    Unacknowledged,
    /// After this number of this store's. One that is ahead of the store is another store's.
    After(Seq),
    /// What the client holds is another store's: it is told to drop it, and shown the inbox from
    /// its beginning.
    Reset,
    /// With the next change.
    Live,
}

/// A session that is to be.
pub struct SessionStart {
    /// Its write side.
    pub outlet: Box<dyn Outlet>,
    /// What of the inbox it is shown.
    pub feed: Feed,
    /// The stream that it is for, and with which it ends; `None` for a session that subscribes
    /// and unsubscribes as it likes, or not at all.
    pub stream: Option<Stream>,
    /// The login that its token came from; `None` for a foreign or a service token.
    pub login: Option<LoginId>,
    /// When its token expires.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for SessionStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionStart")
            .field("feed", &self.feed)
            .field("stream", &self.stream)
            .field("login", &self.login)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What a reader heard from the client.
#[derive(Debug)]
pub enum Heard {
    /// `{"type":"ping"}`, with its timestamp as it was written.
    Ping(Option<Box<RawValue>>),
    /// Something that is to be done and answered.
    Asked(Box<Asked>),
    /// The client gave another token; what its signature and claims came to.
    Renewed {
        /// What the client called its request.
        tag: Tag,
        /// The new token's, or why there is none.
        renewal: Result<Renewal, NotRenewed>,
    },
    /// A message that its dialect does not know; the session stays open and says so.
    Bad {
        /// What the client called its request, where that could be read.
        tag: Tag,
        /// For machines.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// The protocol's own ping, at most 125 bytes.
    ProtocolPing(Box<[u8]>),
    /// The connection takes bytes again.
    Writable,
    /// The session is over, and why.
    Ended(Ending),
}

/// What a client called a request, to know its answer by: at most 64 characters (the dialect checks
/// it). `None` where it gave no name, or its dialect has none.
pub type Tag = Option<Box<str>>;

/// A request over a socket.
#[derive(Debug)]
pub struct Asked {
    /// What the client called it.
    pub tag: Tag,
    /// What it wants.
    pub ask: Ask,
}

/// What a client can want of its user's actor.
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
    /// Notify somebody.
    Send(Box<Note>),
    /// Everything up to this number has arrived.
    Ack(Seq),
    /// Begin to tell a stream.
    Subscribe(Stream),
    /// End it.
    Unsubscribe(Stream),
    /// This person looks at a ticket, or at none.
    Viewing {
        /// Where; `None`: on the session's own stream.
        stream: Option<Stream>,
        /// At what.
        ticket: Option<TicketId>,
    },
    /// This person types, or has ended.
    Typing {
        /// Where; `None`: on the session's own stream.
        stream: Option<Stream>,
        /// On what.
        ticket: TicketId,
        /// Whether it types.
        is_typing: bool,
    },
    /// Go on with this token. The edge, which knows tokens, turns it into [`Heard::Renewed`].
    Refresh(Token),
}

/// A token that nobody prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub Box<str>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What somebody sends to one person over a socket. Its dialect has checked the lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// To whom.
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

/// What a new token gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// Whose it is: another user's will not do.
    pub user: UserId,
    /// The login that it came from.
    pub login: Option<LoginId>,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Why a session does not go on with another token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRenewed {
    /// The token will not do, and why, for people.
    BadToken(String),
    /// Another token is being looked at: this one was not.
    Busy,
    /// Nobody could look at it now: it may be good.
    Unavailable,
}

/// What became of an [`Ask`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It is done; nothing else is to be said.
    Done,
    /// Rows were marked.
    Marked {
        /// How many changed.
        count: usize,
        /// Where one row alone was named: whether the caller has it. Else `true`.
        is_found: bool,
        /// The count as its session has been told it.
        unread_count: i64,
        /// From which position on it is so: a client that was told of a later change of one of
        /// these rows keeps to that. Where nothing changed, where the session was when it asked.
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
    /// Somebody was notified.
    Sent {
        /// The notification.
        notification: NotificationId,
    },
    /// It was not done.
    Refused {
        /// For machines.
        code: &'static str,
        /// For people.
        message: String,
        /// Whether, and after how long, it may be tried again as it is.
        retry_after_ms: Option<u32>,
    },
}
