//! The way to the channel actors: a nudge after each commit, and their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Relaxed};
use std::time::Duration;

use crate::channel::{ChannelMessage, ChannelPlace};
use crate::mail::{Fate, Mail};
use crate::vitals::Handle;

/// The way to the channel actors. Cheap to clone; without a channel it does nothing.
#[derive(Debug, Clone, Default)]
pub struct Channels {
    pub(crate) places: Arc<[ChannelPlace]>,
    pub(crate) is_draining: Arc<AtomicBool>,
}

impl Channels {
    /// There may be new deliveries: every channel looks. Nudges merge until the channel's actor
    /// has taken the first of them, so any number of commits makes one message.
    pub fn nudge(&self) {
        for place in self.places.iter() {
            if !place.nudged.swap(true, AcqRel)
                && let Some(actor) = place.up()
            {
                actor.cast(ChannelMessage::Nudge);
            }
        }
    }

    /// Ends all sending: what is with a provider is waited for, at most so long, and recorded;
    /// what is leased and not begun is given back. Whether all came to that in time. A channel
    /// whose actor is down has nothing to end: its leases end with the next start.
    pub async fn drain(&self, within: Duration) -> bool {
        self.is_draining.store(true, Relaxed);
        let drains = self.places.iter().filter_map(ChannelPlace::up).map(|actor| {
            let (mail, answer) = Mail::new(());
            actor.cast(ChannelMessage::Drain(mail));
            answer.within(within)
        });
        let fates = futures_util::future::join_all(drains.collect::<Vec<_>>()).await;
        fates.iter().all(|fate| !matches!(fate, Fate::Lost))
    }

    /// The actor at a path of the tree (`channels/email`), while it is up.
    pub(crate) fn at(&self, path: &str) -> Option<Handle<ChannelMessage>> {
        self.places.iter().find(|place| place.path() == path)?.up()
    }
}
