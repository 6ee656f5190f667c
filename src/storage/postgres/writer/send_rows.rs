//! The rows of sends, and the chunks that a group writes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellpull_actors::domain::ids::{NotificationId, SendId, UserId};
use bellpull_actors::domain::inbox::MessageContent;
use bellpull_actors::domain::plan::send::Progress;
use bellpull_actors::domain::routing::Channels;
use bellpull_actors::domain::send::IdempotencyKey;
use bellpull_actors::port::sends::{BeginSend as Outcome, StoredSend};
use bellpull_actors::port::tickets::AnnouncedMessage;
use jiff::Timestamp;
use sqlx::PgConnection;

use super::failure::Failure;
use super::{Answer, Done, mismatch};

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
    /// Writes all of them.
    pub(super) async fn write(self, connection: &mut PgConnection) -> Result<(), Failure> {
        let Self { sends, keys, cursors, announced } = self;
        insert(connection, sends).await?;
        insert_keys(connection, &keys).await?;
        move_cursors(connection, &cursors).await?;
        let announced = announced.into_iter().filter(|(_, count)| *count > 0);
        let (ids, counts): (Vec<i64>, Vec<i64>) =
            announced.map(|(id, count)| (id.0, count)).unzip();
        if !ids.is_empty() {
            let sql = "UPDATE sends s SET told = s.told + v.count \
                       FROM UNNEST($1::bigint[], $2::bigint[]) AS v (id, count) WHERE s.id = v.id";
            sqlx::query(sql).bind(ids).bind(counts).execute(connection).await?;
        }
        Ok(())
    }
}

async fn insert(connection: &mut PgConnection, sends: Vec<NewRow>) -> Result<(), Failure> {
    if sends.is_empty() {
        return Ok(());
    }
    let of = |value: fn(&NewRow) -> i64| sends.iter().map(value).collect::<Vec<_>>();
    let flags = |value: fn(&NewRow) -> bool| sends.iter().map(value).collect::<Vec<_>>();
    let texts = |value: fn(&NewRow) -> &str| sends.iter().map(value).collect::<Vec<&str>>();
    let only = sends.iter().map(|row| row.stored.notification.map(|id| id.0));
    let sql = "INSERT INTO sends (id, message_id, notification_id, audience, channels, \
               is_critical, recipients, last_user_id, cursor, status, is_scheduled, due_at, \
               created_at) SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], \
               $4::text[], $5::text[], $6::bool[], $7::bigint[], $8::bigint[], $9::bigint[], \
               $10::text[], $11::bool[], $12::bigint[], $13::bigint[])";
    sqlx::query(sql)
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
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert_keys(connection: &mut PgConnection, keys: &[KeyRow<'_>]) -> Result<(), Failure> {
    if keys.is_empty() {
        return Ok(());
    }
    let of = |value: fn(&KeyRow<'_>) -> i64| keys.iter().map(value).collect::<Vec<_>>();
    let sql = "INSERT INTO idempotency_keys (owner_id, key, body_hash, send_id, created_at) \
               SELECT * FROM UNNEST($1::bigint[], $2::text[], $3::bytea[], $4::bigint[], \
               $5::bigint[])";
    sqlx::query(sql)
        .bind(of(|row| row.key.owner.0))
        .bind(keys.iter().map(|row| row.key.key.as_str()).collect::<Vec<_>>())
        .bind(keys.iter().map(|row| row.key.body_hash.as_slice()).collect::<Vec<_>>())
        .bind(of(|row| row.send.0))
        .bind(of(|row| row.at.as_millisecond()))
        .execute(connection)
        .await?;
    Ok(())
}

async fn move_cursors(connection: &mut PgConnection, rows: &[CursorRow]) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE sends s SET cursor = v.cursor, status = v.status, \
               claim_owner = v.claim_owner, claim_until = v.claim_until \
               FROM UNNEST($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[]) \
               AS v (id, cursor, status, claim_owner, claim_until) WHERE s.id = v.id";
    let owners = rows.iter().map(|row| row.claim.as_ref().map(|(owner, _)| owner.as_str()));
    let until = rows.iter().map(|row| row.claim.as_ref().map(|(_, until)| *until));
    sqlx::query(sql)
        .bind(rows.iter().map(|row| row.send.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.cursor.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.progress.as_str()).collect::<Vec<_>>())
        .bind(owners.collect::<Vec<_>>())
        .bind(until.collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
