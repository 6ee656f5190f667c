//! The rows of sends, and the chunks that a group writes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellpull_actors::domain::ids::{NotificationId, SendId, UserId};
use bellpull_actors::domain::inbox::MessageContent;
use bellpull_actors::domain::routing::{Channel, Channels};
use bellpull_actors::port::LeaseOwner;
use bellpull_actors::port::sends::{BeginSend as Outcome, StoredSend};
use bellpull_actors::port::tickets::AnnouncedMessage;
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::multi_row::{Cell, MultiRow};
use super::super::statement::execute;
use super::{Answer, Done, mismatch};

static SENDS: MultiRow = MultiRow::new(
    "INSERT INTO sends (id, message_id, notification_id, audience, channels, is_critical, \
     recipients, last_user_id, cursor, status, is_scheduled, due_at, created_at) SELECT * FROM ",
    13,
    " WHERE column1 IS NOT NULL",
);
static KEYS: MultiRow = MultiRow::new(
    "INSERT INTO idempotency_keys (owner_id, key, body_hash, send_id, created_at) SELECT * FROM ",
    5,
    " WHERE column1 IS NOT NULL",
);
static CURSORS: MultiRow = MultiRow::new(
    "UPDATE sends SET cursor = v.column2, status = v.column3, claim_owner = v.column4, \
     claim_until = v.column5 FROM ",
    5,
    " AS v WHERE id = v.column1",
);

static TOLD: MultiRow = MultiRow::new(
    "UPDATE sends SET told = told + v.column2 FROM ",
    2,
    " AS v WHERE id = v.column1",
);

/// The results of a group's sends.
#[derive(Debug, Default)]
pub(super) struct Sends<'a> {
    /// The announcements.
    pub(super) chunks: Vec<SendChunk>,
    /// The new positions of the sends.
    pub(super) records: Records<'a>,
}

/// The next recipients of a send.
#[derive(Debug)]
pub(super) struct SendChunk {
    /// Its request's place in the group.
    pub(super) at: usize,
    pub(super) send: SendId,
    pub(super) message_id: i64,
    pub(super) text: SendText,
    /// In the order of their ids; empty for a send that is scheduled for later.
    pub(super) recipients: Vec<UserId>,
    /// The id that its only notification was given before.
    pub(super) only: Option<NotificationId>,
    pub(super) channels: Channels,
    /// Whether it overrides the recipients' preferences.
    pub(super) is_critical: bool,
    pub(super) now: Timestamp,
    pub(super) reply: Reply,
}

/// The message of a chunk.
#[derive(Debug)]
pub(super) enum SendText {
    /// It must be written first.
    New(Arc<MessageContent>),
    /// It was written with the first chunk.
    Written(Arc<MessageContent>),
}

impl SendText {
    /// The message.
    pub(super) fn content(&self) -> &Arc<MessageContent> {
        match self {
            Self::New(content) | Self::Written(content) => content,
        }
    }
}

/// The caller's answer.
#[derive(Debug)]
pub(super) enum Reply {
    Begun {
        send: StoredSend,
        has_more: bool,
    },
    /// The answer without the announcement: it is one of several sends, by its index there.
    Continued {
        nth: usize,
    },
}

impl Reply {
    /// Completes the answer with the announcement.
    pub(super) fn give(self, answer: &mut Option<Answer>, announced: Option<AnnouncedMessage>) {
        match (self, answer) {
            (Self::Begun { send, has_more }, answer) => {
                *answer =
                    Some(Ok(Done::Begun(Box::new(Outcome::Begun { send, announced, has_more }))));
            }
            (Self::Continued { nth }, Some(Ok(Done::Chunks(written)))) => {
                if let Some(Some(chunk)) = written.chunks.get_mut(nth) {
                    chunk.announced = announced;
                }
            }
            (Self::Continued { .. }, answer) => *answer = Some(Err(mismatch())),
        }
    }
}

/// Rows of `sends` and of the keys, once the messages that they name are written.
#[derive(Debug, Default)]
pub(super) struct Records<'a> {
    pub(super) sends: Vec<Cell<'a>>,
    pub(super) keys: Vec<Cell<'a>>,
    pub(super) cursors: Vec<Cell<'a>>,
    /// Owners that release their claims.
    pub(super) released: Vec<&'a LeaseOwner>,
    /// How many recipients of each were notified in this group.
    pub(super) announced: BTreeMap<SendId, i64>,
}

impl Records<'_> {
    /// Writes all of them.
    pub(super) fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        SENDS.run(connection, &self.sends)?;
        KEYS.run(connection, &self.keys)?;
        CURSORS.run(connection, &self.cursors)?;
        for owner in self.released {
            let sql = "UPDATE sends SET claim_owner = NULL, claim_until = NULL \
                       WHERE status = 'ACTIVE' AND claim_owner = ?";
            execute(connection, sql, (owner.as_str(),))?;
        }
        let announced =
            self.announced.into_iter().flat_map(|(id, count)| [id.0, count].map(Cell::Int));
        TOLD.run(connection, &announced.collect::<Vec<_>>())
    }
}

/// The channels, as they are stored.
pub(super) fn names(channels: Channels) -> Vec<Channel> {
    Channel::ALL.into_iter().filter(|channel| channels.contains(*channel)).collect()
}
