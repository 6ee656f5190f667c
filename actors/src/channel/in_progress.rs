//! The deliveries whose attempts have begun and are not recorded yet.
//!
//! If the clock is set forward meanwhile, their leases look expired, and the store leases them to
//! the same actor again. Such a lease waits for the outcome of the attempt in progress: a delivery
//! that was sent needs no other attempt, and after a failure the new lease is the one that holds.

use std::collections::HashMap;

use crate::domain::delivery::Leased;
use crate::domain::ids::DeliveryId;

/// The deliveries in progress, each with the lease that waits for it, if there is one.
#[derive(Debug, Default)]
pub(super) struct InProgress(HashMap<DeliveryId, Option<Box<Leased>>>);

impl InProgress {
    /// An attempt begins, of all that goes out in one message.
    pub(super) fn begin(&mut self, leased: &Leased) {
        for id in ids(leased) {
            self.0.insert(id, None);
        }
    }

    /// All of them.
    pub(super) fn ids(&self) -> impl Iterator<Item = DeliveryId> {
        self.0.keys().copied()
    }

    /// Keeps those of new leases that have to wait, and returns the others.
    pub(super) fn keep(&mut self, leased: Vec<Leased>) -> Vec<Leased> {
        let mut others = Vec::with_capacity(leased.len());
        for one in leased {
            let in_progress = ids(&one).find(|id| self.0.contains_key(id));
            match in_progress {
                Some(id) => drop(self.0.insert(id, Some(Box::new(one)))),
                None => others.push(one),
            }
        }
        others
    }

    /// The outcome of an attempt is recorded; the lease that has waited for it and is to be used.
    pub(super) fn recorded(&mut self, id: DeliveryId, was_sent: bool) -> Option<Leased> {
        let kept = self.0.remove(&id).flatten()?;
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
    use crate::domain::delivery::Target;
    use crate::domain::routing::Channel;

    fn leased(id: i64, with: &[i64], attempt: u32) -> Leased {
        Leased {
            id: DeliveryId(id),
            notification: None,
            attempt,
            failures: 0,
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
        assert_eq!(ids(&state.keep(new)), [4]);
        assert!(state.recorded(DeliveryId(1), true).is_none(), "no other lease");
        assert!(state.recorded(DeliveryId(2), true).is_none(), "it was sent");
        let again = state.recorded(DeliveryId(3), false).expect("it failed");
        assert_eq!((again.id.0, again.attempt), (3, 2));
        assert_eq!(ids(&state.keep(vec![leased(3, &[], 3)])), [3], "nothing is in progress");
    }
}
