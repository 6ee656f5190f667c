//! Handles to the channel actors: nudges after commits, and their stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::SeqCst};
use std::time::Duration;

use crate::channel::health::ChannelHealth;
use crate::channel::{ChannelMessage, ChannelPlace};
#[cfg(feature = "testing")]
use crate::vitals::Handle;
use bellpull_domain::routing;
use bellpull_port::call::{Call, CallOutcome};

/// How long a channel may take to say how it is.
const HEALTH_MAX: Duration = Duration::from_secs(1);

/// Handles to the channel actors. Cheap to clone; without a channel it does nothing.
#[derive(Debug, Clone, Default)]
pub struct Channels {
    pub(crate) places: Arc<[ChannelPlace]>,
    pub(crate) is_draining: Arc<AtomicBool>,
}

impl Channels {
    /// There are new deliveries on these channels. Nudges merge until the channel's actor has
    /// handled the first of them, so any number of commits is one message.
    pub fn nudge(&self, which: routing::Channels) {
        for place in self.places.iter().filter(|place| which.contains(place.channel())) {
            if !place.nudged.swap(true, AcqRel)
                && let Some(actor) = place.up()
            {
                actor.cast(ChannelMessage::Nudge);
            }
        }
    }

    /// Whether each channel of this node sends.
    pub async fn health(&self) -> Vec<ChannelHealth> {
        let asked = self.places.iter().map(|place| async move {
            let channel = place.channel();
            let down = ChannelHealth { channel, circuit: "down", cause: None, in_flight: 0 };
            let Some(actor) = place.up() else { return down };
            let (call, answer) = Call::new(());
            actor.cast(ChannelMessage::Health(call));
            match answer.within(HEALTH_MAX).await {
                CallOutcome::Answered(health) => health,
                CallOutcome::Returned(()) | CallOutcome::Lost => down,
            }
        });
        futures_util::future::join_all(asked.collect::<Vec<_>>()).await
    }

    /// Stops all sending: attempts in progress are awaited for this long and recorded; leases that
    /// have not begun are returned. What takes longer is aborted and its leases end, so that it is
    /// sent again, with the same key, by any node. Returns whether all ended in time. A channel
    /// whose actor is down has nothing to stop: its leases end with the next start.
    pub async fn drain(&self, within: Duration) -> bool {
        self.is_draining.store(true, SeqCst);
        let drains = self.places.iter().map(|place| async move {
            let Some(actor) = place.up() else { return true };
            let (call, answer) = Call::new(());
            actor.cast(ChannelMessage::Drain(call));
            let is_over = !matches!(answer.within(within).await, CallOutcome::Lost);
            if !is_over {
                place.cut_off(&actor).await;
            }
            is_over
        });
        let ends = futures_util::future::join_all(drains.collect::<Vec<_>>()).await;
        ends.into_iter().all(|is_over| is_over)
    }

    /// The actor at a path of the tree (`channels/email`), while it is up.
    #[cfg(feature = "testing")]
    pub(crate) fn at(&self, path: &str) -> Option<Handle<ChannelMessage>> {
        self.places.iter().find(|place| place.path() == path)?.up()
    }
}
