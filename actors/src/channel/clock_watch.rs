//! Notices that the clock was set back.
//!
//! Deliveries are due by the time of day. What was due before the clock was set back by hours would
//! wait for hours. The channel compares the clock with the time that has passed, and has the store
//! move such deliveries. Of a clock that was set back while no process ran the channel knows
//! nothing: when it starts, the store moves what shows by itself that it was written in the future.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::warn;

use super::{ChannelActor, ChannelMessage, ChannelState, Own, OwnMessage};
use bellpull_port::{SetBack, StoreError, in_time};

/// A clock that is corrected by less is not set.
const LEAST: SignedDuration = SignedDuration::from_secs(2);

/// What the clock was when it was last looked at, and how far it was set back since the store was
/// told.
#[derive(Debug)]
pub(super) struct ClockWatch {
    seen: (Timestamp, Instant),
    pending: Option<SetBack>,
    /// Whether the store has not yet moved what a clock before this start wrote.
    is_new: bool,
    is_telling: bool,
}

/// What the store is told of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// The channel has started.
    Start,
    /// It was set back.
    SetBack(SetBack),
}

impl ClockWatch {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { seen: (now, Instant::now()), pending: None, is_new: true, is_telling: false }
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
    pub(super) fn tell(&mut self) -> Option<Notice> {
        if self.is_telling {
            return None;
        }
        let notice = match self.is_new {
            true => Notice::Start,
            false => Notice::SetBack(self.pending?),
        };
        self.is_telling = true;
        Some(notice)
    }

    /// The store was told, or not.
    pub(super) fn told(&mut self, told: Option<Notice>) {
        self.is_telling = false;
        match told {
            Some(Notice::Start) => self.is_new = false,
            Some(Notice::SetBack(clock)) if self.pending == Some(clock) => self.pending = None,
            Some(Notice::SetBack(_)) | None => {}
        }
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
        let Some(notice) = state.clock.tell() else { return };
        let (store, channel, own) = (self.store.clone(), self.channel, state.own.clone());
        let now = self.clock.now();
        tokio::spawn(async move {
            let moved = in_time(async {
                match notice {
                    Notice::Start => store.repair_due(channel, now).await,
                    Notice::SetBack(clock) => store.set_back(channel, clock).await,
                }
            });
            let moved = moved.await;
            own.cast(ChannelMessage::Own(OwnMessage(Own::ClockTold(notice, moved))));
        });
    }

    /// The store was told.
    pub(super) fn told_of_clock(
        &self,
        notice: Notice,
        moved: Result<u64, StoreError>,
        state: &mut ChannelState,
    ) {
        state.clock.told(moved.is_ok().then_some(notice));
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
        assert_eq!((watch.tell(), watch.tell()), (Some(Notice::Start), None));
        watch.told(None);
        assert_eq!(watch.tell(), Some(Notice::Start), "again");
        watch.told(Some(Notice::Start));
        assert_eq!(watch.tell(), None);
        tokio::time::advance(Duration::from_secs(10)).await;
        for (now, why) in [(1_010, "right"), (1_009, "corrected"), (9_000, "set ahead")] {
            assert_eq!(watch.look(at(now)), None, "{why}");
        }
        tokio::time::advance(Duration::from_secs(5)).await;
        let set_back = SetBack { was: at(9_005), now: at(1_015) };
        assert_eq!(watch.look(at(1_015)), Some(set_back));
        assert_eq!(watch.look(at(1_015)), None, "once");
        let notice = Notice::SetBack(set_back);
        assert_eq!((watch.tell(), watch.tell()), (Some(notice), None));
        watch.told(None);
        assert_eq!(watch.tell(), Some(notice), "again");
        assert_eq!(watch.look(at(15)), Some(SetBack { was: at(1_015), now: at(15) }));
        watch.told(Some(notice));
        let both = SetBack { was: at(9_005), now: at(15) };
        assert_eq!(watch.tell(), Some(Notice::SetBack(both)));
    }

    #[test]
    fn what_was_due_is_due_and_what_was_not_is_due_as_much_later() {
        let set_back = SetBack { was: at(9_005), now: at(1_015) };
        for (due, wanted) in [(100, 1_015), (9_005, 1_015), (9_006, 1_016)] {
            assert_eq!(set_back.due(at(due)), at(wanted));
        }
    }
}
