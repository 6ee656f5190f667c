//! New sends: their keys, their audiences, and their first chunks.

use std::collections::{BTreeSet, HashMap};

use bellpull_actors::domain::ids::{NotificationId, SendId, UserId};
use bellpull_actors::domain::inbox::MessageContent;
use bellpull_actors::domain::plan::send::step::Portion;
use bellpull_actors::domain::plan::send::{
    Audience, KeyUse, NoAudience, Progress, ProjectFact, Timing, key_use,
};
use bellpull_actors::domain::routing::{Channel, Channels};
use bellpull_actors::domain::send::{IdempotencyKey, Recipients};
use bellpull_actors::port::sends::{BeginSend as Outcome, StoredSend};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::super::ids::Sequence;
use super::audience;
use super::context::Place;
use super::failure::Failure;
use super::send_rows::{KeyRow, NewRow, Records};
use crate::storage::requests::BeginSend;
use crate::storage::rows::to_json;
use crate::storage::send_chunks::{Reply, SendChunk, SendText};

/// By owner and key: the hash of the request, and the send that it began.
type UsedKeys = HashMap<(UserId, String), (Vec<u8>, StoredSend)>;

/// The facts for new sends: three queries, however many they are.
#[derive(Debug)]
pub(super) struct Beginnings<'p> {
    place: Place<'p>,
    /// Those that were used before, in earlier groups or in this one.
    keys: UsedKeys,
    /// The accounts that are named one by one, and whether they are active.
    accounts: HashMap<UserId, bool>,
}

impl<'p> Beginnings<'p> {
    /// Reads it.
    pub(super) async fn read(
        connection: &mut PgConnection,
        place: Place<'p>,
        begins: &[(usize, &BeginSend)],
    ) -> Result<Self, Failure> {
        let keys: Vec<&IdempotencyKey> =
            begins.iter().filter_map(|(_, begin)| begin.send.key.as_ref()).collect();
        let keys = if keys.is_empty() {
            HashMap::new()
        } else {
            lock_keys(connection, &keys).await?;
            read_keys(connection, &keys).await?
        };
        let mut named = BTreeSet::new();
        for (_, begin) in begins {
            if let Recipients::Users(users) = &begin.send.recipients {
                named.extend(users.iter().map(|user| user.0));
            }
        }
        let mut accounts = HashMap::new();
        if !named.is_empty() {
            let sql = "SELECT id, is_active FROM users WHERE id = ANY($1)";
            let named: Vec<i64> = named.into_iter().collect();
            let found: Vec<(i64, bool)> =
                sqlx::query_as(sql).bind(named).fetch_all(connection).await?;
            accounts.extend(found.into_iter().map(|(id, is_active)| (UserId(id), is_active)));
        }
        Ok(Self { place, keys, accounts })
    }

    /// Accepts a send; or returns why not, and leaves no trace.
    pub(super) async fn begin<'a>(
        &mut self,
        connection: &mut PgConnection,
        at: usize,
        begin: &'a BeginSend,
        records: &mut Records<'a>,
    ) -> Result<Result<SendChunk, Outcome>, Failure> {
        let BeginSend { send, chunk, now } = begin;
        if let Some(key) = &send.key
            && let Some((hash, stored)) = self.keys.get(&(key.owner, key.key.clone()))
        {
            return Ok(Err(match key_use(key, hash) {
                KeyUse::Repeated => Outcome::Repeated(*stored),
                KeyUse::Reused => Outcome::KeyReused,
            }));
        }
        let audience = match self.audience(connection, &send.recipients).await? {
            Ok(audience) => audience,
            Err(NoAudience::UnknownUsers(users)) => return Ok(Err(Outcome::UnknownUsers(users))),
            Err(NoAudience::UnknownProject) => return Ok(Err(Outcome::UnknownProject)),
        };
        let (recipients, last_user) = audience::count(&audience, connection).await?;
        let Timing { due_at, is_scheduled } = Timing::of(send, *now);
        let portion = if is_scheduled {
            Portion { recipients: Vec::new(), cursor: UserId(0), has_more: recipients > 0 }
        } else {
            // On other nodes accounts may register meanwhile.
            audience::first(&audience, connection, last_user, *chunk, now.as_millisecond()).await?
        };
        let ids = self.place.ids;
        // A repetition of the request within this group is answered with it too.
        let only = (audience.is_one_user() && !is_scheduled)
            .then(|| NotificationId(ids.draw(Sequence::Notifications)));
        let id = SendId(ids.draw(Sequence::Sends));
        let stored = StoredSend { id, recipients, is_scheduled, notification: only };
        let message_id = ids.draw(Sequence::Messages);
        let mut message = send.message.clone();
        message.created_at = Timing { due_at, is_scheduled }.message_date(message.created_at);
        records.sends.push(NewRow {
            stored,
            message_id,
            audience: to_json(&audience)?,
            channels: to_json(&names(send.channels))?,
            is_critical: send.is_critical,
            last_user,
            cursor: portion.cursor,
            progress: Progress::after_chunk(portion.has_more),
            due_at,
            created_at: *now,
        });
        if let Some(key) = &send.key {
            records.keys.push(KeyRow { key, send: id, at: *now });
            self.keys.insert((key.owner, key.key.clone()), (key.body_hash.to_vec(), stored));
        }
        let Portion { recipients, has_more, .. } = portion;
        Ok(Ok(SendChunk {
            at,
            send: id,
            message_id,
            text: SendText::New(MessageContent::new(message)),
            recipients,
            only,
            channels: send.channels,
            is_critical: send.is_critical,
            now: *now,
            reply: Reply::Begun { send: stored, has_more },
        }))
    }

    /// The audience of the send, or why it has none.
    async fn audience(
        &self,
        connection: &mut PgConnection,
        recipients: &Recipients,
    ) -> Result<Result<Audience, NoAudience>, Failure> {
        let project = match recipients {
            Recipients::Project(id) => {
                let sql = "SELECT is_open FROM projects WHERE id = $1";
                let found = sqlx::query_scalar(sql).bind(id.0).fetch_optional(connection).await?;
                match found {
                    None => ProjectFact::Unknown,
                    Some(true) => ProjectFact::Open,
                    Some(false) => ProjectFact::ByList,
                }
            }
            Recipients::Users(_) | Recipients::Role(_) | Recipients::All => ProjectFact::Unknown,
        };
        let is_active = |user: UserId| self.accounts.get(&user).copied();
        Ok(Audience::choose(recipients, is_active, project))
    }
}

/// The channels, as they are stored.
fn names(channels: Channels) -> Vec<Channel> {
    Channel::ALL.into_iter().filter(|channel| channels.contains(*channel)).collect()
}

/// Locks the keys until the end of the transaction: of two nodes that are sent one request at the
/// same time, the second finds the send of the first. Ordered, so that two groups cannot deadlock.
async fn lock_keys(connection: &mut PgConnection, keys: &[&IdempotencyKey]) -> Result<(), Failure> {
    let locks: BTreeSet<i64> = keys.iter().map(|key| lock_of(key)).collect();
    let locks: Vec<i64> = locks.into_iter().collect();
    let sql = "SELECT pg_advisory_xact_lock(v.lock) FROM UNNEST($1::bigint[]) AS v (lock)";
    sqlx::query(sql).bind(locks).execute(connection).await?;
    Ok(())
}

/// The number of a key's lock. Two keys may share one: then one waits for the other.
fn lock_of(key: &IdempotencyKey) -> i64 {
    let mut hash = Sha256::new();
    hash.update(key.owner.0.to_le_bytes());
    hash.update(key.key.as_bytes());
    let digest = hash.finalize();
    i64::from_le_bytes(std::array::from_fn(|nth| digest[nth]))
}

async fn read_keys(
    connection: &mut PgConnection,
    keys: &[&IdempotencyKey],
) -> Result<UsedKeys, Failure> {
    let sql = "SELECT k.owner_id, k.key, k.body_hash, s.id, s.recipients, s.is_scheduled, \
               s.notification_id FROM UNNEST($1::bigint[], $2::text[]) AS w (owner_id, key) \
               JOIN idempotency_keys k ON k.owner_id = w.owner_id AND k.key = w.key \
               JOIN sends s ON s.id = k.send_id";
    type Row = (i64, String, Vec<u8>, i64, i64, bool, Option<i64>);
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(keys.iter().map(|key| key.owner.0).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.key.as_str()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let used = |(owner, key, hash, id, recipients, is_scheduled, notification): Row| {
        let notification = notification.map(NotificationId);
        let stored = StoredSend { id: SendId(id), recipients, is_scheduled, notification };
        ((UserId(owner), key), (hash, stored))
    };
    Ok(rows.into_iter().map(used).collect())
}
