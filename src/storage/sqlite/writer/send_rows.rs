//! The rows of sends, and the chunks that a group writes of them.

use std::collections::BTreeMap;

use bellpull_domain::ids::SendId;
use bellpull_domain::plan::UsedKey;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::LeaseOwner;
use bellpull_port::sends::BeginSend as Outcome;
use bellpull_port::tickets::AnnouncedMessage;
use rusqlite::Connection;

use super::super::multi_row::{Cell, MultiRow};
use super::super::statement::execute;
use super::{Answer, Done, keys, mismatch};
use crate::send_chunks::{Reply, SendChunk};

static SENDS: MultiRow = MultiRow::new(
    "INSERT INTO sends (id, message_id, notification_id, audience, channels, is_critical, \
     recipients, last_user_id, cursor, status, is_scheduled, due_at, created_at) SELECT * FROM ",
    13,
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

/// Completes a caller's answer with the announcement.
pub(super) fn give(reply: Reply, answer: &mut Option<Answer>, announced: Option<AnnouncedMessage>) {
    match (reply, answer) {
        (Reply::Begun { send, has_more }, answer) => {
            *answer = Some(Ok(Done::Begun(Box::new(Outcome::Begun { send, announced, has_more }))));
        }
        (Reply::Continued { nth }, Some(Ok(Done::Chunks(written)))) => {
            if let Some(Some(chunk)) = written.chunks.get_mut(nth) {
                chunk.announced = announced;
            }
        }
        (Reply::Continued { .. }, answer) => *answer = Some(Err(mismatch())),
    }
}

/// Rows of `sends` and of the keys, once the messages that they name are written.
#[derive(Debug, Default)]
pub(super) struct Records<'a> {
    pub(super) sends: Vec<Cell<'a>>,
    pub(super) keys: Vec<UsedKey<'a>>,
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
        keys::write(connection, &self.keys)?;
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
