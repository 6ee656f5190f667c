//! Sends as they are taken in: their keys, whom they are for, and their first chunk.

use std::collections::{BTreeSet, HashMap};

use bellpull_actors::domain::ids::{NotificationId, SendId, UserId};
use bellpull_actors::domain::inbox::Letter;
use bellpull_actors::domain::send::Recipients;
use bellpull_actors::port::sends::{BeginSend as Outcome, StoredSend};
use sqlx::SqliteConnection;

use super::super::ids::Counter;
use super::super::multi_row::{Cell, id_list};
use super::super::rows::json;
use super::BeginSend;
use super::audience::{Audience, Portion};
use super::group::{Failure, Place};
use super::rows::to_json;
use super::sends::{Records, Reply, SendChunk, SendText, names, status};

/// Unknown accounts that are named in a refusal.
const UNKNOWN_MAX: usize = 10;

/// What must be known before sends begin: two queries, however many they are.
#[derive(Debug)]
pub(super) struct Beginnings<'a> {
    place: Place<'a>,
    /// The hash and the send of each key that was used before, in earlier groups or in this one.
    keys: HashMap<(UserId, String), (Vec<u8>, StoredSend)>,
    /// The accounts that are named one by one, and whether they are active.
    accounts: HashMap<UserId, bool>,
}

impl<'a> Beginnings<'a> {
    /// Reads it.
    pub(super) async fn read(
        connection: &mut SqliteConnection,
        place: Place<'a>,
        begins: &[(usize, &BeginSend)],
    ) -> Result<Self, Failure> {
        let keys: Vec<(i64, &str)> = begins
            .iter()
            .filter_map(|(_, begin)| begin.send.key.as_ref())
            .map(|key| (key.owner.0, key.key.as_str()))
            .collect();
        let keys =
            if keys.is_empty() { HashMap::new() } else { read_keys(connection, &keys).await? };
        let mut named = BTreeSet::new();
        for (_, begin) in begins {
            if let Recipients::Users(users) = &begin.send.recipients {
                named.extend(users.iter().map(|user| user.0));
            }
        }
        let mut accounts = HashMap::new();
        if !named.is_empty() {
            let sql = "SELECT json_group_array(json_array(id, is_active)) FROM users \
                       WHERE id IN (SELECT value FROM json_each(?))";
            let query = sqlx::query_scalar(sql).bind(id_list(named));
            let text: String = query.fetch_one(connection).await?;
            let rows: Vec<(UserId, i64)> = json(&text)?;
            accounts.extend(rows.into_iter().map(|(id, is_active)| (id, is_active != 0)));
        }
        Ok(Self { place, keys, accounts })
    }

    /// Takes a send in; or says why not, and leaves no trace.
    pub(super) async fn begin(
        &mut self,
        connection: &mut SqliteConnection,
        at: usize,
        begin: &BeginSend,
        records: &mut Records,
    ) -> Result<Result<SendChunk, Outcome>, Failure> {
        let BeginSend { send, chunk, now } = begin;
        if let Some(key) = &send.key
            && let Some((hash, stored)) = self.keys.get(&(key.owner, key.key.clone()))
        {
            let is_same = *hash == key.body_hash;
            return Ok(Err(if is_same { Outcome::Repeated(*stored) } else { Outcome::KeyReused }));
        }
        let audience = match self.audience(connection, &send.recipients).await? {
            Ok(audience) => audience,
            Err(refused) => return Ok(Err(refused)),
        };
        let (recipients, last_user) = audience.count(connection).await?;
        let due_at = send.due_at.unwrap_or(*now);
        let is_scheduled = due_at > *now;
        let portion = if is_scheduled {
            Portion { recipients: Vec::new(), cursor: UserId(0), has_more: recipients > 0 }
        } else {
            audience.first(connection, last_user, *chunk).await?
        };
        let ids = self.place.ids;
        // Whoever repeats the request within this very group is told it too.
        let is_for_one = matches!(&audience, Audience::Users(users) if users.len() == 1);
        let only =
            (is_for_one && !is_scheduled).then(|| NotificationId(ids.next(Counter::Notifications)));
        let id = SendId(ids.next(Counter::Sends));
        let stored = StoredSend { id, recipients, is_scheduled, notification: only };
        let message_id = ids.next(Counter::Messages);
        let mut message = send.message.clone();
        if is_scheduled {
            message.created_at = due_at;
        }
        records.sends.extend([
            Cell::Int(stored.id.0),
            message_id.into(),
            only.map(|id| id.0).into(),
            to_json(&audience)?,
            to_json(&names(send.channels))?,
            i64::from(send.is_critical).into(),
            recipients.into(),
            last_user.0.into(),
            portion.cursor.0.into(),
            status(portion.has_more),
            i64::from(is_scheduled).into(),
            due_at.as_millisecond().into(),
            now.as_millisecond().into(),
        ]);
        if let Some(key) = &send.key {
            let hash = key.body_hash.to_vec();
            records.keys.extend([Cell::Int(key.owner.0), key.key.as_str().into()]);
            records.keys.extend([Cell::Blob(hash.clone()), stored.id.0.into()]);
            records.keys.push(now.as_millisecond().into());
            self.keys.insert((key.owner, key.key.clone()), (hash, stored));
        }
        let Portion { recipients, has_more, .. } = portion;
        Ok(Ok(SendChunk {
            at,
            send: id,
            message_id,
            text: SendText::New(Letter::new(message)),
            recipients,
            only,
            channels: send.channels,
            is_critical: send.is_critical,
            now: *now,
            reply: Reply::Begun { send: stored, has_more },
        }))
    }

    /// Whom the send is for, or why it is for nobody.
    async fn audience(
        &self,
        connection: &mut SqliteConnection,
        recipients: &Recipients,
    ) -> Result<Result<Audience, Outcome>, Failure> {
        Ok(Ok(match recipients {
            Recipients::Users(users) => {
                let users: BTreeSet<UserId> = users.iter().copied().collect();
                let is_unknown = |user: &&UserId| !self.accounts.contains_key(user);
                let unknown: Vec<UserId> =
                    users.iter().filter(is_unknown).take(UNKNOWN_MAX).copied().collect();
                if !unknown.is_empty() {
                    return Ok(Err(Outcome::UnknownUsers(unknown)));
                }
                let is_active = |user: &UserId| self.accounts.get(user).is_some_and(|on| *on);
                Audience::Users(users.into_iter().filter(is_active).collect())
            }
            Recipients::Role(role) => Audience::Role(role.clone()),
            Recipients::Project(project) => {
                let sql = "SELECT is_open FROM projects WHERE id = ?";
                let query = sqlx::query_scalar(sql).bind(project.0);
                match query.fetch_optional(connection).await? {
                    None => return Ok(Err(Outcome::UnknownProject)),
                    Some(true) => Audience::All,
                    Some(false) => Audience::Project(*project),
                }
            }
            Recipients::All => Audience::All,
        }))
    }
}

type KeyRow = (i64, String, Vec<u8>, i64, i64, bool, Option<i64>);

async fn read_keys(
    connection: &mut SqliteConnection,
    keys: &[(i64, &str)],
) -> Result<HashMap<(UserId, String), (Vec<u8>, StoredSend)>, Failure> {
    let sql = "SELECT k.owner_id, k.key, k.body_hash, s.id, s.recipients, s.is_scheduled, \
               s.notification_id \
               FROM json_each(?) w CROSS JOIN idempotency_keys k \
               ON k.owner_id = w.value ->> 0 AND k.key = w.value ->> 1 \
               CROSS JOIN sends s ON s.id = k.send_id";
    // Integers and texts cannot fail to be written.
    let wanted = serde_json::to_string(keys).unwrap_or_default();
    let rows: Vec<KeyRow> = sqlx::query_as(sql).bind(wanted).fetch_all(connection).await?;
    let used = |(owner, key, hash, id, recipients, is_scheduled, notification)| {
        let (id, notification) = (SendId(id), Option::map(notification, NotificationId));
        let stored = StoredSend { id, recipients, is_scheduled, notification };
        ((UserId(owner), key), (hash, stored))
    };
    Ok(rows.into_iter().map(used).collect())
}
