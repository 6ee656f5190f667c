//! A channel's place in the tree, by which its supervisor and its directory find its actor.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tracing::warn;

use super::{ChannelActor, ChannelMessage, HeldOpen, Hold};
use crate::vitals::Handle;
use bellpull_domain::routing::Channel;
use bellpull_port::in_time;

/// The path of the channels' supervisor.
pub(crate) const PATH: &str = "channels";
/// How long a predecessor may take to end. Its attempts are aborted with it; a successor that began
/// earlier could send the same delivery at the same time.
pub(super) const GONE_MAX: Duration = Duration::from_secs(1);

/// A channel's place in the tree: the dependencies of its actor, and its address.
#[derive(Debug)]
pub(crate) struct ChannelPlace {
    pub(super) actor: ChannelActor,
    pub(super) slot: watch::Sender<Option<Handle<ChannelMessage>>>,
    /// Whether a nudge is in the actor's mailbox.
    pub(crate) nudged: Arc<AtomicBool>,
    /// See [`super::ChannelStart`].
    pub(super) leasing: Arc<Semaphore>,
    /// Whether an operator holds its circuit open.
    pub(super) hold: Arc<Hold>,
}

impl ChannelPlace {
    pub(crate) fn new(actor: ChannelActor) -> Self {
        let (slot, leasing) = (watch::channel(None).0, Arc::new(Semaphore::new(1)));
        Self { actor, slot, nudged: Arc::default(), leasing, hold: Arc::default() }
    }

    pub(crate) fn channel(&self) -> Channel {
        self.actor.channel
    }

    /// `channels/email`, …
    pub(crate) fn path(&self) -> String {
        let name = self.actor.channel.as_str().to_lowercase();
        format!("{}/{name}", PATH)
    }

    /// Holds the circuit open, or closes it.
    pub(crate) fn hold(&self, held: Option<HeldOpen>) {
        let is_closed = held.is_none();
        self.hold.set(held);
        if let Some(actor) = self.up() {
            actor.cast(ChannelMessage::Circuit { is_closed });
        }
    }

    /// The actor, unless it is down.
    pub(crate) fn up(&self) -> Option<Handle<ChannelMessage>> {
        self.slot.borrow().clone().filter(|actor| !actor.is_gone())
    }

    /// Ends the actor with whatever it has begun, and then its leases.
    pub(crate) async fn cut_off(&self, actor: &Handle<ChannelMessage>) {
        actor.actor().kill();
        let _ = actor.actor().wait(Some(GONE_MAX)).await; // see `spawn`
        let _turn = self.leasing.acquire().await;
        let ChannelActor { store, owner, channel, .. } = &self.actor;
        if let Err(error) = in_time(store.release(owner, *channel, Vec::new())).await {
            warn!(path = self.path(), %error, "leases end by themselves: they were not given back");
        }
    }
}
