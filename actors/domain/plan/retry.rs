//! Retries of failed deliveries, requested by an operator.

use jiff::Timestamp;

use crate::notification::DeliveryStatus;

/// A delivery that is queued again. It has as many attempts as a new one, and nothing of the
/// provider's reports on the previous message is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retried {
    /// Its state.
    pub status: DeliveryStatus,
    /// When it is due.
    pub due_at: Timestamp,
    /// How many attempts count against it.
    pub failures: u32,
}

/// Queues a delivery again; `None` unless it has failed: a sent one would be sent twice, and a
/// suppressed one is suppressed by a rule.
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
