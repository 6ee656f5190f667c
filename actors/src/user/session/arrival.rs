//! What has arrived at a client that acknowledges nothing.
//!
//! What the kernel has accepted may still be lost: a line that has died accepts bytes for as long
//! as its buffers have room. So a frame counts as delivered only if its client has said something
//! after it (a pong is enough), or if its connection has ended with nothing unacknowledged in the
//! kernel. Everything else is sent again to the next session, and may then arrive twice; the number
//! in each frame tells.
//!
//! Nothing of this is done for each frame. On a turn of the wheel (5 s) a session with news is
//! pinged, and what had been sent by then is confirmed on a later turn, once the client has said
//! something since. An event stream's client says nothing: there it is confirmed once the
//! connection has stayed open for as long as a silent socket may, and the kernel at its other side
//! has acknowledged it.

use std::time::Duration;

use tokio::time::Instant;

use super::super::displaced::Displaced;
use super::super::stretch::{Item, Shows};
use super::SessionState;
use bellpull_domain::ids::Seq;
use bellpull_domain::inbox::Reached;
use bellpull_port::outlet::{Ending, Outgoing};

/// What was sent and is not known to have arrived.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed {
    /// Everything up to this number was sent by then.
    sent: Option<(Seq, Instant)>,
    displaced: Option<Displaced>,
}

impl SessionState {
    /// On a turn of the wheel: what was sent by an earlier one is confirmed.
    pub(in super::super) fn confirm(&mut self, now: Instant, silent_max: Duration) {
        if !self.is_confirmed_by_signs() {
            return;
        }
        if let Some((seq, since)) = self.unconfirmed.as_ref().and_then(|waits| waits.sent) {
            let waited = now.saturating_duration_since(since);
            let has_arrived = match self.outlet.is_one_way() {
                true => waited >= silent_max && self.outlet.is_acknowledged(),
                false => self.outlet.silent() < waited,
            };
            if !has_arrived {
                return;
            }
            self.sent_by(None);
            self.arrive(seq);
        }
        if self.taken > self.arrived {
            self.sent_by(Some((self.taken, now)));
            if !self.outlet.is_one_way() {
                self.push(Outgoing::Ping);
            }
        }
    }

    /// The session ends: what its connection has delivered is confirmed.
    pub(super) fn confirm_end(&mut self, why: Ending) {
        let is_clean = match why {
            // The code of a connection that broke: no client can send it.
            Ending::Closed { code } => code != 1006,
            Ending::Silent | Ending::TooSlow => false,
            Ending::Protocol { .. }
            | Ending::TooBig
            | Ending::Restarting { .. }
            | Ending::Abuse
            | Ending::TokenEnded(_)
            | Ending::RightWithdrawn
            | Ending::TooMany { .. } => true,
        };
        if is_clean && self.is_confirmed_by_signs() && self.outlet.is_acknowledged() {
            self.arrive(self.taken);
        }
    }

    /// Whether the kernel has nothing unacknowledged, or never will: for the end of the hub, which
    /// may wait for a moment.
    pub(in super::super) fn is_acknowledged(&self) -> bool {
        self.is_blocked() || self.outlet.is_acknowledged()
    }

    /// Whether its client does not acknowledge by itself what it was sent.
    fn is_confirmed_by_signs(&self) -> bool {
        self.shows() == Shows::Entries || self.outlet.is_one_way()
    }

    fn sent_by(&mut self, sent: Option<(Seq, Instant)>) {
        self.unconfirmed.get_or_insert_default().sent = sent;
    }

    /// Records what is about to be shown, if it is shown out of its order.
    pub(super) fn note_displaced(&mut self, item: &Item) {
        if let Some(displaced) = Displaced::of(item) {
            let noted = &mut self.unconfirmed.get_or_insert_default().displaced;
            *noted = Some(noted.map_or(displaced, |before| before.and(displaced)));
        }
    }

    fn arrive(&mut self, seq: Seq) {
        self.arrived = self.arrived.max(seq);
        let arrived = self.arrived;
        self.unconfirmed.take_if(|waits| {
            waits.displaced.take_if(|displaced| displaced.until <= arrived);
            waits.displaced.is_none() && waits.sent.is_none()
        });
    }

    /// The client of a session of changes has everything up to there.
    pub(in super::super) fn ack(&mut self, seq: Seq) {
        if self.shows() == Shows::Changes {
            // It cannot have what it was not shown.
            self.arrive(seq.min(self.at));
        }
    }

    /// Up to where everything has arrived; nowhere if something before it was left out.
    pub(in super::super) fn reached(&self) -> Reached {
        if !self.rest.is_contiguous {
            return Reached::default();
        }
        let displaced = self.unconfirmed.as_ref().and_then(|waits| waits.displaced);
        let before = displaced.map_or(self.arrived, |displaced| displaced.before);
        let delivered = self.arrived.min(before);
        // Before its first acknowledgement, a session says nothing of where they are.
        let acknowledges = !self.is_confirmed_by_signs() && self.arrived > Seq::ZERO;
        let acknowledged = acknowledges.then_some(delivered);
        Reached { delivered, acknowledged }
    }
}
