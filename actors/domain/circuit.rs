//! A channel's circuit breaker: a provider that is down is not called for a while, so that
//! deliveries do not use up their attempts.
//!
//! Closed until [`OPENS_AFTER`] consecutive outages, or a refusal of this hub; then open, for a
//! time that doubles with each failed probe; then half open: one delivery is attempted, and its
//! outcome decides.

use std::time::Duration;

/// How many consecutive outages, without a single answer in between, open the circuit. Five: a
/// single broken connection with some deliveries in flight does not.
pub const OPENS_AFTER: u32 = 5;

/// How long it stays open at first.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest time: an operator who has repaired the provider should not have to wait longer.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// The state of a circuit. `T` is a point in time of the caller's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand<T> {
    Closed { outages: u32 },
    Open { until: T },
    HalfOpen { is_probing: bool },
}

/// A channel's circuit.
#[derive(Debug, Clone)]
pub struct Circuit<T> {
    stand: Stand<T>,
    /// How long it is open the next time.
    wait: Duration,
}

/// Which attempts a circuit allows now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass<T> {
    /// Everything.
    All,
    /// One delivery, to see whether the provider is back.
    Probe,
    /// None, until the probe in progress has ended.
    Wait,
    /// Nothing before then.
    NotBefore(T),
}

impl<T> Default for Circuit<T> {
    fn default() -> Self {
        Self { stand: Stand::Closed { outages: 0 }, wait: FIRST_WAIT }
    }
}

impl<T: Copy + PartialOrd + std::ops::Add<Duration, Output = T>> Circuit<T> {
    /// Which attempts are allowed now.
    pub fn pass(&mut self, now: T) -> Pass<T> {
        match self.stand {
            Stand::Closed { .. } => Pass::All,
            Stand::Open { until } if now < until => Pass::NotBefore(until),
            Stand::Open { .. } => {
                self.stand = Stand::HalfOpen { is_probing: false };
                Pass::Probe
            }
            Stand::HalfOpen { is_probing: false } => Pass::Probe,
            Stand::HalfOpen { is_probing: true } => Pass::Wait,
        }
    }

    /// The probe has begun.
    pub fn probe(&mut self) {
        if let Stand::HalfOpen { is_probing } = &mut self.stand {
            *is_probing = true;
        }
    }

    /// The provider answered, whatever the answer: it is up. Returns whether that has closed the
    /// circuit.
    pub fn answered(&mut self) -> bool {
        // An attempt that was in flight when the circuit opened may still be answered: that does
        // not show that the provider is back.
        if matches!(self.stand, Stand::Open { .. }) {
            return false;
        }
        let was_closed = matches!(self.stand, Stand::Closed { .. });
        *self = Self::default();
        !was_closed
    }

    /// The provider did not answer, or answered that it is down. Whether that has opened the
    /// circuit.
    pub fn outage(&mut self, now: T) -> bool {
        if let Stand::Closed { outages } = &mut self.stand {
            *outages += 1;
            if *outages < OPENS_AFTER {
                return false;
            }
        }
        self.refused(now)
    }

    /// The provider refused this hub: the next attempt would be refused too. Whether that has
    /// opened the circuit.
    pub fn refused(&mut self, now: T) -> bool {
        if matches!(self.stand, Stand::Open { .. }) {
            return false;
        }
        self.stand = Stand::Open { until: now + self.wait };
        self.wait = (self.wait * 2).min(WAIT_MAX);
        true
    }

    /// Whether deliveries go out without a probe.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.stand, Stand::Closed { .. })
    }

    /// `closed`, `open` or `half_open`: for operators.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.stand {
            Stand::Closed { .. } => "closed",
            Stand::Open { .. } => "open",
            Stand::HalfOpen { .. } => "half_open",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Time since the test began.
    type Test = Circuit<Duration>;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn opened() -> Test {
        let mut circuit = Test::default();
        for _ in 1..OPENS_AFTER {
            assert!(!circuit.outage(s(0)));
        }
        assert!(circuit.outage(s(0)));
        circuit
    }

    #[test]
    fn five_outages_in_a_row_open_it_and_a_good_probe_closes_it() {
        let mut circuit = opened();
        assert_eq!(circuit.pass(s(4)), Pass::NotBefore(s(5)));
        assert_eq!(circuit.pass(s(5)), Pass::Probe);
        circuit.probe();
        assert_eq!(circuit.pass(s(6)), Pass::Wait);
        assert!(circuit.answered());
        assert_eq!((circuit.pass(s(6)), circuit.name()), (Pass::All, "closed"));
    }

    #[test]
    fn a_refusal_of_this_hub_opens_it_at_once() {
        let mut circuit = Test::default();
        assert!(circuit.refused(s(0)) && !circuit.refused(s(1)));
        assert_eq!(circuit.pass(s(5)), Pass::Probe);
        circuit.probe();
        assert!(circuit.refused(s(5)));
        assert_eq!(circuit.pass(s(6)), Pass::NotBefore(s(15)));
    }

    #[test]
    fn an_answer_between_outages_keeps_it_closed() {
        let mut circuit = Test::default();
        for _ in 0..20 {
            assert!(!circuit.outage(s(0)));
            assert!(!circuit.answered());
        }
    }

    #[test]
    fn each_probe_that_fails_doubles_the_wait_up_to_five_minutes() {
        let mut circuit = opened();
        let (mut now, mut waits) = (s(5), Vec::new());
        for _ in 0..9 {
            assert_eq!(circuit.pass(now), Pass::Probe);
            circuit.probe();
            assert!(circuit.outage(now));
            let Pass::NotBefore(until) = circuit.pass(now) else { panic!("it is not open") };
            waits.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300, 300, 300]);
    }

    #[test]
    fn what_was_in_flight_when_it_opened_changes_nothing() {
        let mut circuit = opened();
        assert!(!circuit.answered());
        assert!(!circuit.outage(s(1)));
        assert_eq!(circuit.pass(s(1)), Pass::NotBefore(s(5)));
    }

    proptest! {
        /// Whatever happens, at most one probe is out, and a closed circuit has had fewer than
        /// five outages since the last answer.
        #[test]
        fn one_probe_at_a_time(events in prop::collection::vec((0u8..3, 0u64..20), 0..200)) {
            let mut circuit = Test::default();
            let (mut now, mut in_a_row, mut probing) = (s(0), 0, false);
            for (event, passed) in events {
                now += s(passed);
                match circuit.pass(now) {
                    Pass::Probe => {
                        prop_assert!(!probing);
                        circuit.probe();
                        probing = true;
                    }
                    Pass::All => prop_assert!(in_a_row < OPENS_AFTER),
                    Pass::Wait => prop_assert!(probing),
                    Pass::NotBefore(until) => prop_assert!(until > now),
                }
                let was_open = circuit.name() == "open";
                match event {
                    0 => {
                        circuit.answered();
                        if !was_open {
                            (in_a_row, probing) = (0, false);
                        }
                    }
                    1 => {
                        in_a_row += 1;
                        circuit.outage(now);
                        probing &= was_open;
                    }
                    _ => {}
                }
            }
        }
    }
}
