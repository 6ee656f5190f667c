//! Notices that the clock was set back.
//!
//! Deliveries are due by the time of day. What was due before the clock was set back by hours would
//! wait for hours. The channel compares the clock with the time that has passed, and has the store
//! move such deliveries.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::warn;

use super::{ChannelActor, ChannelMessage, ChannelState, Own, OwnMessage};
use crate::port::{SetBack, StoreError, in_time};

/// A clock that is corrected by less is not set.
const LEAST: SignedDuration = SignedDuration::from_secs(2);

/// What the clock was when it was last looked at, and how far it was set back since the store was
/// told.
#[derive(Debug)]
pub(super) struct ClockWatch {
    seen: (Timestamp, Instant),
    pending: Option<SetBack>,
    is_telling: bool,
}

impl ClockWatch {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { seen: (now, Instant::now()), pending: None, is_telling: false }
    }

    /// Looks at it; how far it was set back since it was last looked at.
    pub(super) fn look(&mut self, now: Timestamp) -> Option<SetBack> {
        let (before, at) = std::mem::replace(&mut self.seen, (now, Instant::now()));
        let passed = SignedDuration::try_from(at.elapsed()).unwrap_or(SignedDuration::ZERO);
        let was = before.saturating_add(passed).unwrap_or(Timestamp::MAX);
        let found = (was.duration_since(now) >= LEAST).then_some(SetBack { was, now });
        if let Some(SetBack { was, now }) = found {
            let was = self.pending.map_or(was, |pending| pending.was.max(was));
            self.pending = Some(SetBack { was, now });
        }
        found
    }

    /// What the store is to be told now, if anything.
    pub(super) fn tell(&mut self) -> Option<SetBack> {
        let pending = self.pending.filter(|_| !self.is_telling)?;
        self.is_telling = true;
        Some(pending)
    }

    /// The store was told, or not.
    pub(super) fn told(&mut self, told: Option<SetBack>) {
        self.is_telling = false;
        if told.is_some() && told == self.pending {
            self.pending = None;
        }
    }
}

impl SetBack {
    /// By how much.
    fn by(self) -> SignedDuration {
        self.was.duration_since(self.now)
    }

    /// When something is due that was due at this time by the clock as it was.
    pub(super) fn due(self, due_at: Timestamp) -> Timestamp {
        due_at.saturating_sub(self.by()).map_or(self.now, |due_at| due_at.max(self.now))
    }
}

impl ChannelActor {
    /// Looks at the clock.
    pub(super) fn look_at_clock(&self, state: &mut ChannelState) {
        let Some(clock) = state.clock.look(self.clock.now()) else { return };
        warn!(channel = self.channel.as_str(), was = %clock.was, "the clock was set back");
        // Their next attempts were due by the clock as it was.
        for due_at in state.results.iter_mut().filter_map(|attempt| attempt.due_at.as_mut()) {
            *due_at = clock.due(*due_at);
        }
    }

    /// Tells the store that the clock was set back, if it has to know.
    pub(super) fn tell_of_clock(&self, state: &mut ChannelState) {
        let Some(clock) = state.clock.tell() else { return };
        let (store, channel, own) = (self.store.clone(), self.channel, state.own.clone());
        tokio::spawn(async move {
            let moved = in_time(store.set_back(channel, clock)).await;
            own.cast(ChannelMessage::Own(OwnMessage(Own::SetBack(clock, moved))));
        });
    }

    /// The store was told.
    pub(super) fn was_set_back(
        &self,
        clock: SetBack,
        moved: Result<u64, StoreError>,
        state: &mut ChannelState,
    ) {
        state.clock.told(moved.is_ok().then_some(clock));
        match moved {
            Ok(moved) => {
                state.has_more |= moved > 0;
                self.store_answers(state);
            }
            Err(error) => self.store_fails(&error.to_string(), state),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_is_noticed_until_the_store_was_told() {
        let mut watch = ClockWatch::new(at(1_000));
        tokio::time::advance(Duration::from_secs(10)).await;
        for (now, why) in [(1_010, "right"), (1_009, "corrected"), (9_000, "set ahead")] {
            assert_eq!(watch.look(at(now)), None, "{why}");
        }
        tokio::time::advance(Duration::from_secs(5)).await;
        let set_back = SetBack { was: at(9_005), now: at(1_015) };
        assert_eq!(watch.look(at(1_015)), Some(set_back));
        assert_eq!(watch.look(at(1_015)), None, "once");
        assert_eq!((watch.tell(), watch.tell()), (Some(set_back), None));
        watch.told(None);
        assert_eq!(watch.tell(), Some(set_back), "again");
        assert_eq!(watch.look(at(15)), Some(SetBack { was: at(1_015), now: at(15) }));
        watch.told(Some(set_back));
        assert_eq!(watch.tell(), Some(SetBack { was: at(9_005), now: at(15) }), "both");
    }

    #[test]
    fn what_was_due_is_due_and_what_was_not_is_due_as_much_later() {
        let set_back = SetBack { was: at(9_005), now: at(1_015) };
        for (due, wanted) in [(100, 1_015), (9_005, 1_015), (9_006, 1_016)] {
            assert_eq!(set_back.due(at(due)), at(wanted));
        }
    }
}
