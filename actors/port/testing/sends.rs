//! The fake store as a store of sends.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use super::kept_sends::{Key, Unfinished};
use super::store::{Data, FakeStore, Op};
use crate::sends::{BeginSend, Chunk, Chunks, StoredSend};
use crate::tickets::AnnouncedMessage;
use crate::{LeaseOwner, SendStore, StoreError};
use bellpull_domain::ids::{NotificationId, SendId, UserId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::plan::send::claim::Claim;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::{NewSend, Recipients};

impl Data {
    /// The recipients of a send, ordered by id.
    fn people(&self, recipients: &Recipients) -> Result<Vec<UserId>, BeginSend> {
        let active = || self.users.values().filter(|user| user.is_active);
        Ok(match recipients {
            Recipients::Users(ids) => {
                let is_unknown = |id: &&UserId| !self.users.contains_key(id);
                let unknown: Vec<UserId> = ids.iter().filter(is_unknown).copied().collect();
                if !unknown.is_empty() {
                    return Err(BeginSend::UnknownUsers(unknown));
                }
                let mut ids = ids.clone();
                ids.sort_unstable();
                ids
            }
            Recipients::Role(role) => {
                active().filter(|user| user.role == *role).map(|user| user.id).collect()
            }
            Recipients::Project(id) => {
                let project = self.projects.get(id).ok_or(BeginSend::UnknownProject)?;
                let is_in = |user: UserId| project.is_open || self.members.contains(&(*id, user));
                active().map(|user| user.id).filter(|user| is_in(*user)).collect()
            }
            Recipients::All => active().map(|user| user.id).collect(),
        })
    }

    fn write_chunk(&mut self, id: SendId, chunk: u32) -> Chunk {
        let Some(send) = self.sends.sends.get_mut(&id) else {
            return Chunk { announced: None, has_more: false, had_turn: true };
        };
        let size = send.left.len().min(usize::try_from(chunk).unwrap_or(usize::MAX));
        let next: Vec<UserId> = send.left.drain(..size).collect();
        let (content, has_more) = (Arc::clone(&send.content), !send.left.is_empty());
        if !has_more {
            self.sends.sends.remove(&id);
        }
        if next.is_empty() {
            return Chunk { announced: None, has_more, had_turn: true };
        }
        let entries = next.into_iter().map(|user| self.append(user, &content)).collect();
        let channels = Channels::of(&Channel::ALL);
        Chunk {
            announced: Some(AnnouncedMessage { content, entries, channels }),
            has_more,
            had_turn: true,
        }
    }
}

#[async_trait]
impl SendStore for FakeStore {
    async fn begin_send(
        &self,
        send: NewSend,
        chunk: u32,
        now: Timestamp,
    ) -> Result<BeginSend, StoreError> {
        self.pass(Op::Begin).await?;
        let mut data = self.data();
        let slot = send.key.as_ref().map(|key| (key.owner, key.key.clone()));
        if let (Some(slot), Some(key)) = (&slot, &send.key)
            && let Some(used) = data.sends.keys.get(slot)
        {
            let is_same = used.body_hash == key.body_hash;
            return Ok(if is_same { BeginSend::Repeated(used.send) } else { BeginSend::KeyReused });
        }
        let people = match data.people(&send.recipients) {
            Ok(people) => people,
            Err(refused) => return Ok(refused),
        };
        data.last_ticket += 1; // any number that counts up will do
        let id = SendId(data.last_ticket);
        let recipients = i64::try_from(people.len()).unwrap_or(i64::MAX);
        let due_at = send.due_at.unwrap_or(now);
        let is_scheduled = due_at > now;
        let content = MessageContent::new(send.message);
        data.sends.sends.insert(id, Unfinished { content, left: people, due_at, claim: None });
        let first = if is_scheduled {
            Chunk { announced: None, has_more: true, had_turn: true }
        } else {
            data.write_chunk(id, chunk)
        };
        let notification: Option<NotificationId> = match (&send.recipients, &first.announced) {
            (Recipients::Users(users), Some(announced)) if users.len() == 1 => {
                announced.entries.first().map(|placed| placed.id)
            }
            _ => None,
        };
        let stored = StoredSend { id, recipients, is_scheduled, notification };
        if let (Some(slot), Some(key)) = (slot, send.key) {
            let key = Key { body_hash: key.body_hash, first_used: now, send: stored };
            data.sends.keys.insert(slot, key);
        }
        let Chunk { announced, has_more, .. } = first;
        Ok(BeginSend::Begun { send: stored, announced, has_more: has_more && !is_scheduled })
    }

    async fn continue_sends(
        &self,
        owner: &LeaseOwner,
        ids: &[SendId],
        rows: u32,
        now: Timestamp,
    ) -> Result<Chunks, StoreError> {
        let begun = Instant::now();
        self.pass(Op::Chunk).await?;
        let share = (rows / u32::try_from(ids.len()).unwrap_or(u32::MAX).max(1)).max(1);
        let written = ids.iter().map(|id| {
            let mut data = self.data();
            if let Some(send) = data.sends.sends.get_mut(id) {
                if send.due_at > now || send.held_until(owner, now).is_some() {
                    return Some(Chunk { announced: None, has_more: false, had_turn: true });
                }
                send.claim = Some(Claim::new(owner.as_str(), now).into_owned());
            }
            Some(data.write_chunk(*id, share))
        });
        let chunks = written.collect();
        self.pass(Op::Chunked).await?;
        Ok(Chunks { chunks, took: begun.elapsed() })
    }

    async fn due_sends(
        &self,
        owner: &LeaseOwner,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<SendId>, Option<Timestamp>), StoreError> {
        self.pass(Op::Due).await?;
        let data = self.data();
        let free_at = |send: &Unfinished| send.held_until(owner, now).unwrap_or(send.due_at);
        let mut all: Vec<(Timestamp, SendId)> =
            data.sends.sends.iter().map(|(id, send)| (free_at(send), *id)).collect();
        all.sort_unstable();
        let next = all.iter().find(|(due_at, _)| *due_at > now).map(|(due_at, _)| *due_at);
        let due = all.into_iter().filter(|(due_at, _)| *due_at <= now).map(|(_, id)| id);
        Ok((due.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect(), next))
    }

    async fn release_sends(&self, owner: &LeaseOwner) -> Result<(), StoreError> {
        for send in self.data().sends.sends.values_mut() {
            send.claim.take_if(|claim| claim.owner == owner.as_str());
        }
        Ok(())
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.pass(Op::Forget).await?;
        let keys = &mut self.data().sends.keys;
        let count = keys.len();
        keys.retain(|_, key| key.first_used >= before);
        Ok(u64::try_from(count - keys.len()).unwrap_or(u64::MAX))
    }
}

impl FakeStore {
    /// An admin cancels a send.
    pub fn cancel_send_now(&self, id: SendId) {
        self.data().sends.sends.remove(&id);
    }

    /// How many sends are not finished.
    #[must_use]
    pub fn unfinished_sends(&self) -> usize {
        self.data().sends.sends.len()
    }
}
