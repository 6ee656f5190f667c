//! Typed find-or-spawn: the handles through which the edges reach the actors of users, tickets and
//! projects; and the handles to the channels, which are permanent.

mod channels;
mod projects;
mod tickets;
mod users;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::supervisor::{Live, Parent, Protocol, SupervisorMessage, Wanted};
use crate::vitals::Handle;
use bellpull_port::call::{Call, CallOutcome};

pub use crate::messages::{AttachError, Line, Session};
pub use crate::ticket::message::{CommandError, Commented};
pub use channels::Channels;
pub use projects::Projects;
pub use tickets::Tickets;
pub use users::Users;
pub(crate) use users::{Counted, SessionCount};

/// How long an edge waits for an actor to be found or spawned.
const OBTAIN_MAX: Duration = Duration::from_secs(5);
/// How long to wait before the successor of a supervisor that has just ended is looked up.
const OBTAIN_RETRY: Duration = Duration::from_millis(1);
/// The most messages in an actor's mailbox; further requests are refused at once (hints and control
/// messages are not: they are few, or merge into one read of the store).
const DEPTH_MAX: u32 = 4_096;
/// How long an edge waits for an actor's answer: longer than an actor waits for the store
/// (`STORE_MAX`).
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How often a returned request is sent again before the edge gives up.
const TRIES: usize = 4;

/// A shard's supervisor, if it is running.
pub(crate) type SupervisorSlot<P> = watch::Receiver<Option<Handle<SupervisorMessage<P>>>>;

/// Handles to all actors of a kind.
#[derive(Debug)]
pub(crate) struct Directory<P: Protocol> {
    pub(crate) live: Live<P>,
    pub(crate) shards: Arc<[SupervisorSlot<P>]>,
}

impl<P: Protocol> Clone for Directory<P> {
    fn clone(&self) -> Self {
        Self { live: Arc::clone(&self.live), shards: Arc::clone(&self.shards) }
    }
}

impl<P: Protocol> Directory<P> {
    /// Messages that wait in the mailboxes of all of them.
    fn waiting(&self) -> u64 {
        self.live.iter().map(|actor| u64::from(actor.vitals().depth())).sum()
    }
}

/// Why a question got no answer.
#[derive(Debug)]
enum Unanswered<Q> {
    /// It was certainly not handled; here it is.
    Returned(Q),
    /// It may have been handled.
    Lost,
}

impl<P: Protocol> Directory<P> {
    /// Sends a request to the actor of `id`, spawned if needed; to its successor if it was
    /// stopping.
    async fn ask<Q, A>(
        &self,
        id: P::Id,
        mut question: Q,
        wrap: fn(Call<Q, A>) -> P::Message,
    ) -> Result<A, Unanswered<Q>> {
        // Only the first attempt may trust the map: an actor that returns requests is about to
        // leave it, and its supervisor knows that before it answers.
        let mut found = self.live.get(&id).map(|entry| entry.clone());
        let mut successor_of = None;
        for _ in 0..TRIES {
            let actor = match found.take() {
                Some(actor) => actor,
                None => match self.obtain(Wanted { id, successor_of }).await {
                    Some(actor) => actor,
                    None => break,
                },
            };
            if actor.vitals().depth() >= DEPTH_MAX {
                break;
            }
            let (call, answer) = Call::new(question);
            actor.cast(wrap(call));
            match answer.within(ANSWER_MAX).await {
                CallOutcome::Answered(answer) => return Ok(answer),
                CallOutcome::Returned(unasked) => question = unasked,
                CallOutcome::Lost => return Err(Unanswered::Lost),
            }
            successor_of = Some(actor.actor().get_id());
        }
        Err(Unanswered::Returned(question))
    }

    /// The actor wanted, by its supervisor; `None` when the supervisor is down for long or keeps
    /// the actor down.
    async fn obtain(&self, wanted: Wanted<P::Id>) -> Option<Handle<P::Message>> {
        tokio::time::timeout(OBTAIN_MAX, async {
            loop {
                let supervisor = self.supervisor(wanted.id).await?;
                let (call, answer) = Call::new(wanted);
                supervisor.cast(SupervisorMessage::Obtain(call));
                match answer.within(OBTAIN_MAX).await {
                    CallOutcome::Answered(found) => return found.ok(),
                    // It ended before it handled the request: its successor is asked. The pause
                    // covers the moment in which the actor has ended but is still registered.
                    CallOutcome::Returned(_) => tokio::time::sleep(OBTAIN_RETRY).await,
                    CallOutcome::Lost => return None,
                }
            }
        })
        .await
        .ok()?
    }

    /// The supervisor of `id`'s shard, as its children know it; `None` while it is down, and they
    /// with it.
    pub(crate) fn parent(&self, id: P::Id) -> Option<Parent<P>> {
        let slot = self.shards.get(self.shard(id))?;
        slot.borrow().clone().map(Parent)
    }

    fn shard(&self, id: P::Id) -> usize {
        usize::try_from(P::number(id)).unwrap_or(0) % self.shards.len().max(1)
    }

    /// The supervisor of the shard that `id` belongs to, waited for while it is down.
    async fn supervisor(&self, id: P::Id) -> Option<Handle<SupervisorMessage<P>>> {
        let mut slot = self.shards.get(self.shard(id))?.clone();
        loop {
            let up = slot.borrow_and_update().clone().filter(|handle| !handle.is_gone());
            if let Some(supervisor) = up {
                return Some(supervisor);
            }
            slot.changed().await.ok()?;
        }
    }
}
