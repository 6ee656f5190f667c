//! Reports of providers on the deliveries that they name, and how long unknown ones are kept.

use std::collections::{BTreeMap, HashMap};

use bellpull_domain::delivery::{Attempt, Outcome, ProviderReport};
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::plan;
use bellpull_domain::plan::provider_report::Reported;
use bellpull_domain::routing::Channel;

/// How long a report with an unknown id is kept: longer than an attempt and its record take, even
/// if the store was unavailable for a while.
pub(super) const EARLY_FOR_MS: i64 = 10 * 60 * 1_000;
/// Their maximum: some reports for each delivery that may be leased. The oldest are removed first.
pub(super) const EARLY_MAX: i64 = 4_096;

/// Deliveries by channel and provider id: those of a digest share one.
pub(super) type Named = HashMap<(Channel, String), Vec<(DeliveryId, Reported)>>;

/// The deliveries that reports change, each with its new state and the report.
pub(super) type Changed<'a> = BTreeMap<DeliveryId, (Reported, &'a ProviderReport)>;

/// Applies reports in order.
pub(super) fn changed<'a>(
    mut named: Named,
    reports: impl Iterator<Item = (Channel, &'a ProviderReport)>,
) -> Changed<'a> {
    let mut changed = Changed::new();
    for (channel, report) in reports {
        let deliveries = named.get_mut(&(channel, report.provider_id.clone()));
        for (id, delivery) in deliveries.into_iter().flatten() {
            if let Some(next) = plan::provider_report::after(*delivery, report) {
                *delivery = next;
                changed.insert(*id, (next, report));
            }
        }
    }
    changed
}

/// The providers' ids of the messages that these attempts have brought.
pub(super) fn provider_ids(attempts: &[&Attempt]) -> Vec<String> {
    let name = |attempt: &&Attempt| match &attempt.outcome {
        Outcome::Sent { provider_id } => provider_id.clone(),
        Outcome::Later { .. }
        | Outcome::AboutUs { .. }
        | Outcome::Refused { .. }
        | Outcome::Gone { .. } => None,
    };
    attempts.iter().filter_map(name).collect()
}
