//! Another chance for a delivery that has failed: an operator asks for it.

use jiff::Timestamp;

use crate::domain::notification::DeliveryStatus;

/// A delivery that is queued again. It has as many attempts before it as a new one, and nothing
/// that the provider said of the message before is left: it is not news of the one to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retried {
    /// Where it stands.
    pub status: DeliveryStatus,
    /// When it is due.
    pub due_at: Timestamp,
    /// How many attempts count against it.
    pub failures: u32,
}

/// Queues a delivery again; `None` unless it has failed: what was sent would be sent twice, and
/// what is held back is held back by a rule.
#[must_use]
pub fn retry(status: DeliveryStatus, now: Timestamp) -> Option<Retried> {
    let retried = Retried { status: DeliveryStatus::Queued, due_at: now, failures: 0 };
    (status == DeliveryStatus::Failed).then_some(retried)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_failed_is_queued_again() {
        use DeliveryStatus::{Failed, Queued, Sent, Suppressed};
        let now = Timestamp::UNIX_EPOCH;
        let queued = Retried { status: Queued, due_at: now, failures: 0 };
        assert_eq!(retry(Failed, now), Some(queued));
        assert!([Queued, Sent, Suppressed].into_iter().all(|status| retry(status, now).is_none()));
    }
}
