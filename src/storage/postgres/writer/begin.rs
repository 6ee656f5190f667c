//! New sends: their keys, their audiences, and their first chunks.

use std::collections::{BTreeSet, HashMap};

use bellpull_domain::idempotency::{Creates, FirstUse, IdempotencyKey, Used};
use bellpull_domain::ids::{NotificationId, SendId, UserId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::plan::send::step::Portion;
use bellpull_domain::plan::send::{Audience, NoAudience, Progress, ProjectFact, Timing};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::Recipients;
use bellpull_port::sends::{BeginSend as Outcome, StoredSend};

use super::super::database::Connection;
use super::super::ids::Sequence;
use super::super::keys::FirstUses;
use super::audience;
use super::context::Place;
use super::failure::Failure;
use super::question::{GroupFacts, Question};
use super::send_rows::{KeyRow, NewRow, Records};
use crate::requests::BeginSend;
use crate::rows::to_json;
use crate::send_chunks::{Reply, SendChunk, SendText};

/// By owner and key: the first use, and the send that it began if it is one's.
type UsedKeys = HashMap<(UserId, String), (FirstUse, Option<StoredSend>)>;

/// Adds what new sends need: their keys, and the accounts that they name.
pub(super) fn keys_and_names<'b>(
    begins: impl Iterator<Item = &'b BeginSend> + Clone,
) -> (Vec<&'b IdempotencyKey>, BTreeSet<UserId>) {
    let keys = begins.clone().filter_map(|begin| begin.send.key.as_ref()).collect();
    (keys, begins.flat_map(named).copied().collect())
}

/// The accounts that a send names one by one.
pub(super) fn named(begin: &BeginSend) -> &[UserId] {
    if let Recipients::Users(users) = &begin.send.recipients { users } else { &[] }
}

/// Whether it is known before anything is read whom a new send notifies, if it is accepted.
pub(super) fn is_to_named(BeginSend { send, chunk, now }: &BeginSend) -> bool {
    let chunk = usize::try_from(*chunk).unwrap_or(usize::MAX);
    let is_scheduled = Timing::of(send, *now).is_scheduled;
    matches!(&send.recipients, Recipients::Users(users) if users.len() <= chunk && !is_scheduled)
}

/// The facts for new sends.
#[derive(Debug)]
pub(super) struct Beginnings<'p> {
    place: Place<'p>,
    /// Those that were used before, in earlier groups or in this one.
    keys: UsedKeys,
    /// The accounts that are named one by one, and whether they are active.
    accounts: HashMap<UserId, bool>,
}

impl<'p> Beginnings<'p> {
    /// From what was told; asks, if nothing was asked yet.
    pub(super) async fn read(
        connection: &mut Connection,
        place: Place<'p>,
        begins: &[(usize, &BeginSend)],
        told: Option<&GroupFacts>,
    ) -> Result<Self, Failure> {
        let asked;
        let GroupFacts { keys, accounts, .. } = if let Some(told) = told {
            told
        } else {
            let mut question = Question::default();
            let (keys, names) = keys_and_names(begins.iter().map(|(_, begin)| *begin));
            question.keys(&keys);
            question.accounts(&names);
            asked = question.ask(connection).await?;
            &asked
        };
        let keys = with_sends(connection, keys).await?;
        Ok(Self { place, keys, accounts: accounts.clone() })
    }

    /// Accepts a send; or returns why not, and leaves no trace.
    pub(super) async fn begin<'a>(
        &mut self,
        connection: &mut Connection,
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
            let (body_hash, made) = (key.body_hash.to_vec(), Creates::Send.as_str().to_owned());
            let first = FirstUse { body_hash, made, id: id.0 };
            self.keys.insert((key.owner, key.key.clone()), (first, Some(stored)));
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
        connection: &mut Connection,
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

/// The first uses, with the sends that they began.
async fn with_sends(connection: &mut Connection, used: &FirstUses) -> Result<UsedKeys, Failure> {
    let is_send = |first: &&FirstUse| first.made == Creates::Send.as_str();
    let ids: Vec<i64> = used.values().filter(is_send).map(|first| first.id).collect();
    let mut sends = HashMap::new();
    if !ids.is_empty() {
        let sql = "SELECT id, recipients, is_scheduled, notification_id FROM sends \
                   WHERE id = ANY($1)";
        type Row = (i64, i64, bool, Option<i64>);
        let rows: Vec<Row> = sqlx::query_as(sql).bind(ids).fetch_all(connection).await?;
        sends.extend(rows.into_iter().map(|(id, recipients, is_scheduled, notification)| {
            let notification = notification.map(NotificationId);
            (id, StoredSend { id: SendId(id), recipients, is_scheduled, notification })
        }));
    }
    let with_send = |(key, first): (&(UserId, String), &FirstUse)| {
        let send = Some(first).filter(is_send).and_then(|first| sends.get(&first.id).copied());
        (key.clone(), (first.clone(), send))
    };
    Ok(used.iter().map(with_send).collect())
}
