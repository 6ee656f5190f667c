//! The deliveries whose attempts have begun and are not recorded yet.
//!
//! If the clock is set forward meanwhile, their leases look expired, and the store leases them to
//! the same actor again. Such a lease waits for the outcome of the attempt in progress: a delivery
//! that was sent needs no other attempt, and after a failure the new lease is the one that holds.
//! The answer with such a lease may also come after the record of the attempt: while leases are
//! requested, it is noted what is sent.

use std::collections::{HashMap, HashSet};

use bellpull_domain::delivery::Leased;
use bellpull_domain::ids::DeliveryId;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct InProgress {
    /// The deliveries in progress, each with the lease that waits for it, if there is one.
    attempts: HashMap<DeliveryId, Option<Box<Leased>>>,
    /// What was recorded as sent since leases were requested.
    sent: HashSet<DeliveryId>,
    is_leasing: bool,
}

/// New leases, as far as they may be used.
#[derive(Debug)]
pub(super) struct Kept {
    /// These may.
    pub(super) leased: Vec<Leased>,
    /// Whether there are others, of which nothing is kept: the store has to end them.
    pub(super) has_strays: bool,
}

impl InProgress {
    /// An attempt begins, of all that goes out in one message.
    pub(super) fn begin(&mut self, leased: &Leased) {
        for id in ids(leased) {
            self.attempts.insert(id, None);
        }
    }

    /// All of them.
    pub(super) fn ids(&self) -> impl Iterator<Item = DeliveryId> {
        self.attempts.keys().copied()
    }

    /// Leases are requested.
    pub(super) fn begin_lease(&mut self) {
        self.is_leasing = true;
    }

    /// No leases came of it.
    pub(super) fn end_lease(&mut self) {
        self.is_leasing = false;
        self.sent.clear();
    }

    /// Keeps those of new leases that have to wait, and returns the others but for what was sent
    /// since they were requested.
    pub(super) fn keep(&mut self, leased: Vec<Leased>) -> Kept {
        let mut kept = Kept { leased: Vec::with_capacity(leased.len()), has_strays: false };
        for one in leased {
            let in_progress = ids(&one).find(|id| self.attempts.contains_key(id));
            if ids(&one).any(|id| self.sent.contains(&id)) {
                kept.has_strays = true;
            } else if let Some(id) = in_progress {
                self.attempts.insert(id, Some(Box::new(one)));
            } else {
                kept.leased.push(one);
            }
        }
        self.end_lease();
        kept
    }

    /// The outcome of an attempt is recorded; the lease that has waited for it and is to be used.
    pub(super) fn recorded(&mut self, id: DeliveryId, was_sent: bool) -> Option<Leased> {
        if was_sent && self.is_leasing {
            self.sent.insert(id);
        }
        let kept = self.attempts.remove(&id).flatten()?;
        (!was_sent).then_some(*kept)
    }
}

/// All deliveries that go out with one.
pub(super) fn ids(leased: &Leased) -> impl Iterator<Item = DeliveryId> {
    std::iter::once(leased.id).chain(leased.with.iter().map(|(id, _)| *id))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use bellpull_domain::delivery::Target;
    use bellpull_domain::routing::Channel;

    fn leased(id: i64, with: &[i64], attempt: u32) -> Leased {
        Leased {
            id: DeliveryId(id),
            notification: None,
            attempt,
            failures: 0,
            cut_off: 0,
            addressee: None,
            account_link: None,
            target: Target::Account(Channel::Email, "a@example.com".to_owned()),
            contents: Vec::new(),
            with: with.iter().map(|id| (DeliveryId(*id), attempt)).collect(),
            leased_until: Timestamp::MAX,
        }
    }

    #[test]
    fn what_is_leased_again_waits_for_the_attempt_in_progress() {
        let mut state = InProgress::default();
        state.begin(&leased(1, &[2], 1));
        state.begin(&leased(3, &[], 1));
        let new = vec![leased(2, &[], 2), leased(3, &[], 2), leased(4, &[], 1)];
        let ids = |leased: &[Leased]| leased.iter().map(|one| one.id.0).collect::<Vec<_>>();
        assert_eq!(ids(&state.keep(new).leased), [4]);
        assert!(state.recorded(DeliveryId(1), true).is_none(), "no other lease");
        assert!(state.recorded(DeliveryId(2), true).is_none(), "it was sent");
        let again = state.recorded(DeliveryId(3), false).expect("it failed");
        assert_eq!((again.id.0, again.attempt), (3, 2));
        let kept = state.keep(vec![leased(3, &[], 3)]);
        assert_eq!((ids(&kept.leased), kept.has_strays), (vec![3], false), "not in progress");
    }

    #[test]
    fn what_was_sent_since_the_leases_were_requested_is_not_sent_again() {
        let mut state = InProgress::default();
        state.begin(&leased(1, &[], 1));
        state.begin(&leased(2, &[], 1));
        state.begin(&leased(3, &[], 1));
        state.recorded(DeliveryId(1), true);
        state.begin_lease();
        state.recorded(DeliveryId(2), true);
        state.recorded(DeliveryId(3), false);
        let kept = state.keep(vec![leased(2, &[9], 2), leased(3, &[], 2), leased(4, &[], 1)]);
        let ids = kept.leased.iter().map(|one| one.id.0).collect::<Vec<_>>();
        assert_eq!((ids, kept.has_strays), (vec![3, 4], true), "9 was leased with 2");
        let kept = state.keep(vec![leased(2, &[], 3)]);
        assert_eq!(kept.leased.len(), 1, "a later request knows of it");
    }
}
