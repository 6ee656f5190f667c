//! The effect of an attempt on its delivery.
//!
//! Attempts are identified by the number of their lease. An attempt changes its delivery if its
//! lease was the last one, or if the provider accepted the message: a sent message cannot be
//! unsent, and another attempt could only send it twice. Any other attempt is history only. A store
//! records each number once.

use jiff::Timestamp;

use super::step::{Step, called_off_by};
use crate::delivery::{Attempt, Outcome, OutcomeKind, Rule};
use crate::notification::DeliveryStatus;

/// How much of a provider's text is stored, in characters: a page of a log shows it whole.
const DETAIL_MAX: usize = 500;
/// A failed attempt that took this many ms occupied its slot without result: less than the time
/// limits of calls to hosts of users (10 s and more), more than a busy host takes to refuse.
const HUNG_MS: u32 = 5_000;

/// A delivery, as far as attempts change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Its state.
    pub status: DeliveryStatus,
    /// Why it is suppressed, or was delayed.
    pub rule: Option<Rule>,
    /// The number of its last lease.
    pub leases: u32,
    /// Whether it is leased, by any owner.
    pub is_leased: bool,
    /// How many attempts failed.
    pub failures: u32,
    /// When it is, or was, due.
    pub due_at: Timestamp,
    /// When the provider took it.
    pub sent_at: Option<Timestamp>,
    /// The state of its escalation step, if it is one.
    pub step: Option<Step>,
}

/// A delivery after an attempt, with the attempt's details. The lease has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved<'a> {
    /// Its new state.
    pub delivery: Delivery,
    /// The last failure; none once it was sent.
    pub error: Option<&'a str>,
    /// The provider's name for the message; `None` leaves the one of before.
    pub provider_id: Option<&'a str>,
}

/// The effect of an attempt whose number was not recorded before; `None` if the attempt is history
/// only.
#[must_use]
pub fn after(delivery: Delivery, attempt: &Attempt) -> Option<Moved<'_>> {
    use DeliveryStatus::{Failed, Queued, Sent, Suppressed};
    let is_sent = attempt.outcome.kind() == OutcomeKind::Sent;
    let is_its_lease = delivery.status == Queued && delivery.leases == attempt.number;
    if !is_its_lease && (!is_sent || delivery.status == Sent) {
        return None;
    }
    let status = match (is_sent, attempt.due_at) {
        (true, _) => Sent,
        (false, Some(_)) => Queued,
        (false, None) => Failed,
    };
    let mut next = Delivery {
        status,
        rule: delivery.rule.filter(|_| delivery.status != Suppressed),
        is_leased: false,
        failures: delivery.failures.saturating_add(u32::from(counts(&attempt.outcome))),
        due_at: attempt.due_at.filter(|_| !is_sent).unwrap_or(delivery.due_at),
        sent_at: is_sent.then(|| ended_at(attempt)),
        ..delivery
    };
    // Another attempt is due, but the step was called off while the provider had it.
    if let Some(rule) = next.step.and_then(called_off_by).filter(|_| status == Queued) {
        (next.status, next.rule) = (Suppressed, Some(rule));
    }
    let (error, provider_id) = match &attempt.outcome {
        // A name is kept whole: the provider will use it.
        Outcome::Sent { provider_id } => (None, provider_id.as_deref()),
        Outcome::Later { .. }
        | Outcome::AboutUs { .. }
        | Outcome::Refused { .. }
        | Outcome::Gone { .. } => (detail(attempt), None),
    };
    Some(Moved { delivery: next, error, provider_id })
}

/// Whether it is one of the attempts that a delivery has.
fn counts(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Later { .. } | Outcome::Refused { .. } | Outcome::Gone { .. } => true,
        Outcome::Sent { .. } | Outcome::AboutUs { .. } => false,
    }
}

/// The stored part of the provider's text.
#[must_use]
pub fn detail(attempt: &Attempt) -> Option<&str> {
    attempt.outcome.detail().map(bounded)
}

/// As much of a text as is kept.
#[must_use]
pub fn bounded(text: &str) -> &str {
    text.char_indices().nth(DETAIL_MAX).map_or(text, |(end, _)| &text[..end])
}

/// When the provider answered, or the time limit ended.
#[must_use]
pub fn ended_at(attempt: &Attempt) -> Timestamp {
    let took = jiff::SignedDuration::from_millis(i64::from(attempt.took_ms));
    attempt.started_at.saturating_add(took).unwrap_or(Timestamp::MAX)
}

/// Whether the attempt shows that its lane hangs: a host that does not answer occupies a slot of
/// its channel until the time limit, so such a lane gets one slot until an attempt there ends in
/// another way. A slow host that accepts deliveries does not hang.
#[must_use]
pub fn has_hung(attempt: &Attempt) -> bool {
    attempt.outcome.kind() == OutcomeKind::Later && attempt.took_ms >= HUNG_MS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::DeliveryId;
    use DeliveryStatus::{Failed, Queued, Sent, Suppressed};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    /// Leased for the second time, after one failure.
    fn leased() -> Delivery {
        let (due_at, sent_at) = (at(10), None);
        let (leases, is_leased, failures) = (2, true, 1);
        let (rule, step) = (Some(Rule::QuietHours), None);
        Delivery { status: Queued, rule, leases, is_leased, failures, due_at, sent_at, step }
    }

    fn sent() -> Outcome {
        Outcome::Sent { provider_id: Some("m-1".to_owned()) }
    }

    fn refused() -> Outcome {
        Outcome::Refused { error: "550".to_owned() }
    }

    fn later() -> Outcome {
        Outcome::Later { error: "421".to_owned(), after: None, is_outage: false }
    }

    fn attempt(number: u32, outcome: Outcome, due_ms: Option<i64>) -> Attempt {
        let (delivery, due_at) = (DeliveryId(1), due_ms.map(at));
        Attempt { delivery, number, started_at: at(60), took_ms: 7, outcome, due_at }
    }

    #[test]
    fn the_last_lease_decides() {
        let gone = Outcome::Gone { error: "410".to_owned() };
        for (outcome, due, status, failures, due_ms, error) in [
            (sent(), None, Sent, 1, 10, None),
            (later(), Some(500), Queued, 2, 500, Some("421")),
            (later(), None, Failed, 2, 10, Some("421")),
            (refused(), None, Failed, 2, 10, Some("550")),
            (gone, None, Failed, 2, 10, Some("410")),
        ] {
            let attempt = attempt(2, outcome, due);
            let Moved { delivery: next, error: said, provider_id } =
                after(leased(), &attempt).unwrap();
            assert_eq!((next.status, next.failures, next.due_at), (status, failures, at(due_ms)));
            assert_eq!((said, next.is_leased, next.leases), (error, false, 2));
            assert_eq!(provider_id, (status == Sent).then_some("m-1"));
            assert_eq!(next.sent_at, (status == Sent).then_some(at(67)));
            assert_eq!(next.rule, Some(Rule::QuietHours), "why it was late stays");
        }
    }

    #[test]
    fn an_attempt_that_was_refused_because_of_us_does_not_count() {
        let ours = Outcome::AboutUs { error: "535".to_owned(), after: None };
        let ours = attempt(2, ours, Some(500));
        let moved = after(leased(), &ours).unwrap();
        assert_eq!((moved.delivery.status, moved.delivery.failures), (Queued, 1));
        assert_eq!((moved.delivery.due_at, moved.error), (at(500), Some("535")));
    }

    #[test]
    fn a_lost_lease_counts_only_with_a_success() {
        for outcome in [later(), refused()] {
            assert_eq!(after(leased(), &attempt(1, outcome, None)), None);
        }
        for status in [Queued, Failed, Suppressed] {
            let rule = (status == Suppressed).then_some(Rule::MovedOn);
            let late = attempt(1, sent(), None);
            let moved = after(Delivery { status, rule, ..leased() }, &late).unwrap();
            let next = moved.delivery;
            assert_eq!((next.status, next.rule, next.is_leased), (Sent, None, false));
        }
        let is_sent = Delivery { status: Sent, is_leased: false, ..leased() };
        for outcome in [sent(), refused(), later()] {
            assert_eq!(after(is_sent, &attempt(2, outcome, Some(99))), None);
        }
    }

    #[test]
    fn a_step_that_was_called_off_meanwhile_is_not_tried_again() {
        for (has_moved_on, is_seen, rule) in [
            (false, true, Some(Rule::Seen)),
            (true, true, Some(Rule::MovedOn)),
            (false, false, None),
        ] {
            let step = Some(Step { has_moved_on, is_seen, is_in_digest: false });
            let delivery = Delivery { rule: None, step, ..leased() };
            let again = attempt(2, later(), Some(500));
            let next = after(delivery, &again).unwrap().delivery;
            let status = if rule.is_some() { Suppressed } else { Queued };
            assert_eq!((next.status, next.rule), (status, rule));
            let taken = attempt(2, sent(), None);
            assert_eq!(after(delivery, &taken).unwrap().delivery.status, Sent);
        }
    }

    #[test]
    fn a_providers_words_are_bounded_at_a_character() {
        assert_eq!(bounded("550 no such mailbox"), "550 no such mailbox");
        let long = "ä".repeat(DETAIL_MAX + 1);
        assert_eq!(bounded(&long).chars().count(), DETAIL_MAX);
    }

    #[test]
    fn a_lane_hangs_where_an_attempt_was_long_and_came_to_nothing() {
        let took = |took_ms, outcome| Attempt { took_ms, ..attempt(1, outcome, None) };
        assert!(has_hung(&took(HUNG_MS, later())));
        for other in [took(HUNG_MS - 1, later()), took(9_000, sent()), took(9_000, refused())] {
            assert!(!has_hung(&other));
        }
    }

    proptest! {
        /// In any order of attempts: a sent delivery stays sent, and a delivery that is not queued
        /// is never queued again by an attempt.
        #[test]
        fn no_attempt_takes_a_delivery_back(
            attempts in prop::collection::vec((1_u32..4, 0_u8..3, any::<bool>()), 0..12)
        ) {
            let mut delivery = Delivery { leases: 3, ..leased() };
            for (number, kind, is_due) in attempts {
                let outcome = [sent(), later(), refused()][usize::from(kind)].clone();
                let one = attempt(number, outcome, is_due.then_some(900));
                let before = delivery;
                if let Some(moved) = after(before, &one) {
                    delivery = moved.delivery;
                    prop_assert_ne!(before.status, Sent);
                    prop_assert!(!delivery.is_leased);
                    prop_assert_eq!(moved.error.is_none(), delivery.status == Sent);
                }
                if before.status != Queued {
                    prop_assert_ne!(delivery.status, Queued);
                }
                prop_assert_eq!(delivery.sent_at.is_some(), delivery.status == Sent);
            }
        }
    }
}
