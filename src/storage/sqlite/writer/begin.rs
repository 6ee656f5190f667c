//! New sends: their keys, their audiences, and their first chunks.

use std::collections::{BTreeSet, HashMap};

use bellpull_domain::idempotency::{Creates, FirstUse, Used};
use bellpull_domain::ids::{NotificationId, SendId, UserId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::plan::UsedKey;
use bellpull_domain::plan::send::step::Portion;
use bellpull_domain::plan::send::{Audience, NoAudience, Progress, ProjectFact, Timing};
use bellpull_domain::send::Recipients;
use bellpull_port::sends::{BeginSend as Outcome, StoredSend};
use rusqlite::{Connection, Row};

use super::super::ids::Counter;
use super::super::multi_row::{Cell, id_list};
use super::super::rows::to_json;
use super::super::statement::{all, optional};
use super::BeginSend;
use super::audience;
use super::context::Place;
use super::failure::Failure;
use super::send_rows::{Records, names};
use crate::send_chunks::{Reply, SendChunk, SendText};

/// By owner and key: the first use, and the send that it began if it is one's.
type UsedKeys = HashMap<(UserId, String), (FirstUse, Option<StoredSend>)>;

/// The facts for new sends: two queries, however many they are.
#[derive(Debug)]
pub(super) struct Beginnings<'a> {
    place: Place<'a>,
    /// Those that were used before, in earlier groups or in this one.
    keys: UsedKeys,
    /// The accounts that are named one by one, and whether they are active.
    accounts: HashMap<UserId, bool>,
}

impl<'a> Beginnings<'a> {
    /// Reads it.
    pub(super) fn read(
        connection: &Connection,
        place: Place<'a>,
        begins: &[(usize, &BeginSend)],
    ) -> Result<Self, Failure> {
        let keys: Vec<(i64, &str)> = begins
            .iter()
            .filter_map(|(_, begin)| begin.send.key.as_ref())
            .map(|key| (key.owner.0, key.key.as_str()))
            .collect();
        let keys = if keys.is_empty() { HashMap::new() } else { read_keys(connection, &keys)? };
        let mut named = BTreeSet::new();
        for (_, begin) in begins {
            if let Recipients::Users(users) = &begin.send.recipients {
                named.extend(users.iter().map(|user| user.0));
            }
        }
        let mut accounts = HashMap::new();
        if !named.is_empty() {
            let sql = "SELECT id, is_active FROM users \
                       WHERE id IN (SELECT value FROM json_each(?))";
            let account = |row: &Row<'_>| Ok((UserId(row.get(0)?), row.get(1)?));
            accounts.extend(all(connection, sql, (id_list(named),), account)?);
        }
        Ok(Self { place, keys, accounts })
    }

    /// Accepts a send; or returns why not, and leaves no trace.
    pub(super) fn begin(
        &mut self,
        connection: &Connection,
        at: usize,
        begin: &'a BeginSend,
        records: &mut Records<'a>,
    ) -> Result<Result<SendChunk, Outcome>, Failure> {
        let BeginSend { send, chunk, now } = begin;
        if let Some(key) = &send.key
            && let Some((first, stored)) = self.keys.get(&(key.owner, key.key.clone()))
        {
            return Ok(Err(match (key.admit(Creates::Send, Some(first)), stored) {
                (Err(Used::Repeated(_)), Some(stored)) => Outcome::Repeated(*stored),
                _ => Outcome::KeyReused,
            }));
        }
        let audience = match self.audience(connection, &send.recipients)? {
            Ok(audience) => audience,
            Err(NoAudience::UnknownUsers(users)) => return Ok(Err(Outcome::UnknownUsers(users))),
            Err(NoAudience::UnknownProject) => return Ok(Err(Outcome::UnknownProject)),
        };
        let (recipients, last_user) = audience::count(&audience, connection)?;
        let timing = Timing::of(send, *now);
        let Timing { due_at, is_scheduled } = timing;
        let portion = if is_scheduled {
            Portion { recipients: Vec::new(), cursor: UserId(0), has_more: recipients > 0 }
        } else {
            audience::first(&audience, connection, last_user, *chunk)?
        };
        let ids = self.place.ids;
        // A repetition of the request within this group is answered with it too.
        let only = (audience.is_one_user() && !is_scheduled)
            .then(|| NotificationId(ids.next(Counter::Notifications)));
        let id = SendId(ids.next(Counter::Sends));
        let stored = StoredSend { id, recipients, is_scheduled, notification: only };
        let message_id = ids.next(Counter::Messages);
        let mut message = send.message.clone();
        message.created_at = timing.message_date(message.created_at);
        records.sends.extend([
            Cell::Int(stored.id.0),
            message_id.into(),
            only.map(|id| id.0).into(),
            to_json(&audience)?.into(),
            to_json(&names(send.channels))?.into(),
            i64::from(send.is_critical).into(),
            recipients.into(),
            last_user.0.into(),
            portion.cursor.0.into(),
            Progress::after_chunk(portion.has_more).as_str().into(),
            i64::from(is_scheduled).into(),
            due_at.as_millisecond().into(),
            now.as_millisecond().into(),
        ]);
        self.use_key(begin, stored, records);
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

    /// From now on the request's key is answered by this send.
    fn use_key(&mut self, begin: &'a BeginSend, stored: StoredSend, records: &mut Records<'a>) {
        let Some(key) = &begin.send.key else { return };
        let (made, id) = (Creates::Send, stored.id.0);
        records.keys.push(UsedKey { key, made, id, at: begin.now });
        let (body_hash, made) = (key.body_hash.to_vec(), made.as_str().to_owned());
        let first = FirstUse { body_hash, made, id };
        self.keys.insert((key.owner, key.key.clone()), (first, Some(stored)));
    }

    /// The audience of the send, or why it has none.
    fn audience(
        &self,
        connection: &Connection,
        recipients: &Recipients,
    ) -> Result<Result<Audience, NoAudience>, Failure> {
        let project = match recipients {
            Recipients::Project(id) => {
                let sql = "SELECT is_open FROM projects WHERE id = ?";
                match optional(connection, sql, (id.0,), |row| row.get(0))? {
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

fn read_keys(connection: &Connection, keys: &[(i64, &str)]) -> Result<UsedKeys, Failure> {
    let sql = "SELECT k.owner_id, k.key, k.body_hash, k.made, ifnull(k.made_id, k.send_id), \
               s.recipients, s.is_scheduled, s.notification_id \
               FROM json_each(?) w CROSS JOIN idempotency_keys k \
               ON k.owner_id = w.value ->> 0 AND k.key = w.value ->> 1 \
               LEFT JOIN sends s ON s.id = k.send_id";
    // Integers and texts cannot fail to be written.
    let wanted = serde_json::to_string(keys).unwrap_or_default();
    let used =
        all(connection, sql, (wanted,), |row| {
            let first = FirstUse { body_hash: row.get(2)?, made: row.get(3)?, id: row.get(4)? };
            let (id, notification) = (SendId(first.id), row.get::<_, Option<i64>>(7)?);
            let (recipients, is_scheduled) = (row.get::<_, Option<i64>>(5)?, row.get(6)?);
            let notification = notification.map(NotificationId);
            let stored = recipients.zip(is_scheduled).map(|(recipients, is_scheduled)| {
                StoredSend { id, recipients, is_scheduled, notification }
            });
            Ok(((UserId(row.get(0)?), row.get(1)?), (first, stored)))
        })?;
    Ok(used.into_iter().collect())
}
