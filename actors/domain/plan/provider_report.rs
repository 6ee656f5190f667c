//! The effect of a provider's report on its delivery. A status never goes back, in whatever order
//! and however often reports arrive.

use crate::delivery::{ProviderReport, ProviderStatus};
use crate::notification::DeliveryStatus;

/// A delivery, as far as reports change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    /// Its state.
    pub status: DeliveryStatus,
    /// The provider's last report.
    pub provider_status: Option<ProviderStatus>,
}

/// A delivery after a report; `None` where the report is old news. One that failed after all has
/// failed, where it was sent; its error is the report's.
#[must_use]
pub fn after(delivery: Reported, report: &ProviderReport) -> Option<Reported> {
    let is_news = delivery.provider_status.is_none_or(|before| report.status.may_follow(before));
    let fails = report.status == ProviderStatus::Failed;
    let status = match delivery.status {
        DeliveryStatus::Sent if fails => DeliveryStatus::Failed,
        other @ (DeliveryStatus::Queued
        | DeliveryStatus::Sent
        | DeliveryStatus::Failed
        | DeliveryStatus::Suppressed) => other,
    };
    is_news.then_some(Reported { status, provider_status: Some(report.status) })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use DeliveryStatus::{Failed, Queued, Sent};
    use ProviderStatus::{Delivered, Failed as Fails, Read, Sent as Leaves};

    fn report(status: ProviderStatus) -> ProviderReport {
        let (provider_id, at) = ("m-1".to_owned(), Timestamp::UNIX_EPOCH);
        ProviderReport { provider_id, status, error: Some("131026".to_owned()), at }
    }

    #[test]
    fn each_status_is_news_after_few() {
        for (before, news, status) in [
            (None, Leaves, Some(Sent)),
            (None, Fails, Some(Failed)),
            (Some(Leaves), Leaves, None),
            (Some(Leaves), Fails, Some(Failed)),
            (Some(Delivered), Fails, None),
            (Some(Delivered), Read, Some(Sent)),
            (Some(Read), Delivered, None),
            (Some(Fails), Delivered, None),
        ] {
            let delivery = Reported { status: Sent, provider_status: before };
            let next = after(delivery, &report(news));
            assert_eq!(next.map(|next| next.status), status, "{before:?}, {news:?}");
            assert!(next.is_none_or(|next| next.provider_status == Some(news)));
        }
        // An operator has queued it again meanwhile: the next attempt decides.
        let again = Reported { status: Queued, provider_status: None };
        assert_eq!(after(again, &report(Fails)).unwrap().status, Queued);
    }

    proptest! {
        #[test]
        fn reports_in_any_order_never_go_back(kinds in prop::collection::vec(0_usize..4, 0..12)) {
            let mut delivery = Reported { status: Sent, provider_status: None };
            let mut was_delivered = false;
            for kind in kinds {
                let news = [Leaves, Delivered, Read, Fails][kind];
                if let Some(next) = after(delivery, &report(news)) {
                    prop_assert!(next.provider_status > delivery.provider_status);
                    delivery = next;
                }
                was_delivered |= delivery.provider_status == Some(Delivered)
                    || delivery.provider_status == Some(Read);
                prop_assert!(!(was_delivered && delivery.status == Failed));
            }
        }
    }
}
