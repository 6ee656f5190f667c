//! The rows of sends, and the chunks that a group writes of them.

use std::collections::BTreeMap;

use bellpull_domain::ids::{SendId, UserId};
use bellpull_domain::plan::send::Progress;
use bellpull_domain::send::IdempotencyKey;
use bellpull_port::sends::{BeginSend as Outcome, StoredSend};
use bellpull_port::tickets::AnnouncedMessage;
use jiff::Timestamp;

use super::batch::Batch;
use super::{Answer, Done, mismatch};
use crate::send_chunks::{Reply, SendChunk};

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

/// A new send.
#[derive(Debug)]
pub(super) struct NewRow {
    pub(super) stored: StoredSend,
    pub(super) message_id: i64,
    /// JSON.
    pub(super) audience: String,
    /// JSON.
    pub(super) channels: String,
    pub(super) is_critical: bool,
    pub(super) last_user: UserId,
    pub(super) cursor: UserId,
    pub(super) progress: Progress,
    pub(super) due_at: Timestamp,
    pub(super) created_at: Timestamp,
}

/// A key's first use.
#[derive(Debug)]
pub(super) struct KeyRow<'a> {
    pub(super) key: &'a IdempotencyKey,
    pub(super) send: SendId,
    pub(super) at: Timestamp,
}

/// The new position of a send.
#[derive(Debug)]
pub(super) struct CursorRow {
    pub(super) send: SendId,
    pub(super) cursor: UserId,
    pub(super) progress: Progress,
    /// The owner, and until when.
    pub(super) claim: Option<(String, i64)>,
}

/// Rows of `sends` and of the keys.
#[derive(Debug, Default)]
pub(super) struct Records<'a> {
    pub(super) sends: Vec<NewRow>,
    pub(super) keys: Vec<KeyRow<'a>>,
    pub(super) cursors: Vec<CursorRow>,
    /// How many recipients of each were notified in this group.
    pub(super) announced: BTreeMap<SendId, i64>,
}

impl Records<'_> {
    /// Adds all of them.
    pub(super) fn add(self, batch: &mut Batch) {
        let Self { sends, keys, cursors, announced } = self;
        insert(batch, &sends, &announced);
        insert_keys(batch, &keys);
        move_cursors(batch, &cursors, &announced);
    }
}

/// How many recipients of each send were notified in this group.
type Counts = BTreeMap<SendId, i64>;

fn insert(batch: &mut Batch, sends: &[NewRow], announced: &Counts) {
    if sends.is_empty() {
        return;
    }
    let of = |value: fn(&NewRow) -> i64| sends.iter().map(value).collect::<Vec<_>>();
    let flags = |value: fn(&NewRow) -> bool| sends.iter().map(value).collect::<Vec<_>>();
    let texts = |value: fn(&NewRow) -> &str| sends.iter().map(value).collect::<Vec<&str>>();
    let only = sends.iter().map(|row| row.stored.notification.map(|id| id.0));
    let told = sends.iter().map(|row| announced.get(&row.stored.id).copied().unwrap_or_default());
    let sql = "INSERT INTO sends (id, message_id, notification_id, audience, channels, \
               is_critical, recipients, last_user_id, cursor, status, is_scheduled, due_at, \
               created_at, told) SELECT * FROM UNNEST(?::bigint[], ?::bigint[], ?::bigint[], \
               ?::text[], ?::text[], ?::bool[], ?::bigint[], ?::bigint[], ?::bigint[], \
               ?::text[], ?::bool[], ?::bigint[], ?::bigint[], ?::bigint[])";
    batch
        .part(sql)
        .bind(of(|row| row.stored.id.0))
        .bind(of(|row| row.message_id))
        .bind(only.collect::<Vec<_>>())
        .bind(texts(|row| &row.audience))
        .bind(texts(|row| &row.channels))
        .bind(flags(|row| row.is_critical))
        .bind(of(|row| row.stored.recipients))
        .bind(of(|row| row.last_user.0))
        .bind(of(|row| row.cursor.0))
        .bind(texts(|row| row.progress.as_str()))
        .bind(flags(|row| row.stored.is_scheduled))
        .bind(of(|row| row.due_at.as_millisecond()))
        .bind(of(|row| row.created_at.as_millisecond()))
        .bind(told.collect::<Vec<_>>());
}

fn insert_keys(batch: &mut Batch, keys: &[KeyRow<'_>]) {
    if keys.is_empty() {
        return;
    }
    let of = |value: fn(&KeyRow<'_>) -> i64| keys.iter().map(value).collect::<Vec<_>>();
    let sql = "INSERT INTO idempotency_keys (owner_id, key, body_hash, send_id, created_at) \
               SELECT * FROM UNNEST(?::bigint[], ?::text[], ?::bytea[], ?::bigint[], \
               ?::bigint[])";
    batch
        .part(sql)
        .bind(of(|row| row.key.owner.0))
        .bind(keys.iter().map(|row| row.key.key.as_str()).collect::<Vec<_>>())
        .bind(keys.iter().map(|row| row.key.body_hash.as_slice()).collect::<Vec<_>>())
        .bind(of(|row| row.send.0))
        .bind(of(|row| row.at.as_millisecond()));
}

fn move_cursors(batch: &mut Batch, rows: &[CursorRow], announced: &Counts) {
    if rows.is_empty() {
        return;
    }
    let sql = "UPDATE sends s SET cursor = v.cursor, status = v.status, \
               claim_owner = v.claim_owner, claim_until = v.claim_until, told = s.told + v.told \
               FROM UNNEST(?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::bigint[], \
               ?::bigint[]) AS v (id, cursor, status, claim_owner, claim_until, told) \
               WHERE s.id = v.id";
    let told = rows.iter().map(|row| announced.get(&row.send).copied().unwrap_or_default());
    let owners = rows.iter().map(|row| row.claim.as_ref().map(|(owner, _)| owner.as_str()));
    let until = rows.iter().map(|row| row.claim.as_ref().map(|(_, until)| *until));
    batch
        .part(sql)
        .bind(rows.iter().map(|row| row.send.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.cursor.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.progress.as_str()).collect::<Vec<_>>())
        .bind(owners.collect::<Vec<_>>())
        .bind(until.collect::<Vec<_>>())
        .bind(told.collect::<Vec<_>>());
}
