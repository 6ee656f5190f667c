//! Whether messages of other nodes arrive, told by this node's own beats. Pure.

use std::time::Duration;

use bellpull_port::BrokerState;
use tokio::time::Instant;

/// How often a node publishes a beat for itself.
pub(super) const BEAT_EVERY: Duration = Duration::from_millis(500);

/// After this time without one of its beats a node counts as cut off: two beats may be late.
const SILENT_MAX: Duration = Duration::from_millis(1_500);

/// After this time a node that is cut off compares its users' inboxes with the store again. It
/// looks at the time with each beat, so it compares about every 2 s, at most 2.25 s. This bounds
/// the delay of another node's notification, with [`SILENT_MAX`] if no connection broke.
const COMPARE_EVERY: Duration = Duration::from_millis(1_750);

/// What a node knows of its connection.
#[derive(Debug)]
pub(super) struct Health {
    state: BrokerState,
    /// The number of the next beat.
    next: u64,
    /// Beats below it were sent before the last interruption, and show nothing.
    floor: u64,
    heard_at: Instant,
    compared_at: Instant,
    /// Whether a message came that could not be read, after the last comparison.
    is_unread: bool,
}

/// What follows from an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    None,
    /// The node is cut off, since now; inboxes are compared.
    CutOff,
    /// It is still cut off, and inboxes are compared.
    Compare,
    /// It is connected again, or for the first time.
    Connected,
}

impl Health {
    /// Not connected yet.
    pub(super) fn new(now: Instant) -> Self {
        let state = BrokerState::Degraded;
        let is_unread = false;
        Self { state, next: 0, floor: 0, heard_at: now, compared_at: now, is_unread }
    }

    /// Whether messages of other nodes do not arrive.
    pub(super) fn is_cut_off(&self) -> bool {
        self.state == BrokerState::Degraded
    }

    /// The number of the beat to send now.
    pub(super) fn beat(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// One of the node's beats has arrived.
    pub(super) fn heard(&mut self, number: u64, now: Instant) -> Turn {
        if number < self.floor {
            return Turn::None;
        }
        self.heard_at = now;
        self.turn(BrokerState::Ok, now)
    }

    /// The connection was interrupted: messages may be lost from here on, until a beat arrives that
    /// is sent after this.
    pub(super) fn interrupted(&mut self, now: Instant) -> Turn {
        self.floor = self.next;
        self.turn(BrokerState::Degraded, now)
    }

    /// A message came that may be of a node and cannot be believed: what it would have told is
    /// looked for in the store, at once or with a later tick. However many come, the store is asked
    /// no more often than while this node is cut off.
    pub(super) fn unread(&mut self, now: Instant) -> Turn {
        self.is_unread = true;
        self.compare(now)
    }

    /// Looks at the time.
    pub(super) fn tick(&mut self, now: Instant) -> Turn {
        match self.state {
            BrokerState::Ok if now - self.heard_at > SILENT_MAX => self.interrupted(now),
            BrokerState::Off | BrokerState::Ok | BrokerState::Degraded => self.compare(now),
        }
    }

    fn compare(&mut self, now: Instant) -> Turn {
        let is_wanted = self.is_unread || self.state == BrokerState::Degraded;
        if !is_wanted || now - self.compared_at < COMPARE_EVERY {
            return Turn::None;
        }
        (self.compared_at, self.is_unread) = (now, false);
        Turn::Compare
    }

    fn turn(&mut self, state: BrokerState, now: Instant) -> Turn {
        if std::mem::replace(&mut self.state, state) == state {
            return Turn::None;
        }
        (self.compared_at, self.is_unread) = (now, false);
        match state {
            BrokerState::Ok => Turn::Connected,
            BrokerState::Off | BrokerState::Degraded => Turn::CutOff,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_from_before_an_interruption_shows_nothing() {
        let start = Instant::now();
        let mut health = Health::new(start);
        let early = health.beat();
        assert_eq!(health.heard(early, start), Turn::Connected);
        let late = health.beat();
        assert_eq!(health.interrupted(start), Turn::CutOff);
        assert_eq!(health.interrupted(start), Turn::None, "it is already");
        assert_eq!(health.heard(late, start), Turn::None);
        let after = health.beat();
        assert_eq!(health.heard(after, start), Turn::Connected);
        assert_eq!(health.heard(after, start), Turn::None);
    }

    #[test]
    fn messages_that_cannot_be_believed_compare_at_once_and_then_seldom() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut health = Health::new(start);
        let beat = health.beat();
        assert_eq!(health.heard(beat, at(0)), Turn::Connected);
        let mut compared = Vec::new();
        for ms in (0..10_000_u64).step_by(10) {
            let turn = match ms {
                2_000..7_000 if ms % 500 != 0 => health.unread(at(ms)),
                _ if ms % 500 == 0 => {
                    let beat = health.beat();
                    assert_eq!(health.heard(beat, at(ms)), Turn::None);
                    health.tick(at(ms))
                }
                _ => Turn::None,
            };
            if turn == Turn::Compare {
                compared.push(ms);
            }
        }
        assert_eq!(compared, [2_010, 3_760, 5_510, 7_500], "the last by a tick");
    }

    #[test]
    fn silence_cuts_off_and_compares_until_a_beat_arrives() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut health = Health::new(start);
        let beat = health.beat();
        assert_eq!(health.heard(beat, at(0)), Turn::Connected);
        assert_eq!(health.tick(at(1_500)), Turn::None);
        assert_eq!(health.tick(at(1_501)), Turn::CutOff);
        assert_eq!(health.tick(at(3_250)), Turn::None);
        assert_eq!(health.tick(at(3_251)), Turn::Compare);
        assert_eq!(health.tick(at(3_252)), Turn::None);
        assert_eq!(health.tick(at(5_001)), Turn::Compare);
        let beat = health.beat();
        assert_eq!(health.heard(beat, at(5_600)), Turn::Connected);
        assert_eq!(health.tick(at(7_000)), Turn::None);
    }
}
