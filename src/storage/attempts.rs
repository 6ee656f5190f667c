//! The outcomes of many attempts for their deliveries and webhooks, as [`plan::attempt`] and
//! [`Health`] decide them one by one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bellpull_domain::delivery::Attempt;
use bellpull_domain::ids::{DeliveryId, WebhookId};
use bellpull_domain::plan;
use bellpull_domain::plan::attempt::{Delivery, Moved};
use bellpull_domain::webhook::Health;

/// A delivery as read, with its webhook and that one's state.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) delivery: Delivery,
    /// If the webhook is enabled.
    pub(super) hook: Option<(WebhookId, Health)>,
}

/// What is written.
#[derive(Debug, Default)]
pub(super) struct Planned<'a> {
    /// Deliveries after their attempts.
    pub(super) moves: BTreeMap<DeliveryId, Moved<'a>>,
    /// Attempts that were not recorded before.
    pub(super) attempts: Vec<&'a Attempt>,
    /// Webhooks after their deliveries.
    pub(super) hooks: BTreeMap<WebhookId, Health>,
}

/// Plans the attempts in their order. `recorded` names those that were recorded before.
pub(super) fn planned<'a>(
    attempts: &[&'a Attempt],
    mut known: HashMap<DeliveryId, Known>,
    mut recorded: BTreeSet<(DeliveryId, u32)>,
) -> Planned<'a> {
    let mut planned = Planned::default();
    for attempt in attempts {
        let Some(Known { delivery, hook }) = known.get_mut(&attempt.delivery) else { continue };
        if !recorded.insert((attempt.delivery, attempt.number)) {
            continue;
        }
        planned.attempts.push(attempt);
        if let (Some((hook, health)), Some(end)) = (&*hook, plan::webhook::end_of(attempt)) {
            let health = planned.hooks.remove(hook).unwrap_or_else(|| health.clone());
            planned.hooks.insert(*hook, health.after(end, attempt.started_at));
        }
        let Some(mut moved) = plan::attempt::after(*delivery, attempt) else { continue };
        *delivery = moved.delivery;
        if let Some(before) = planned.moves.get(&attempt.delivery) {
            moved.provider_id = moved.provider_id.or(before.provider_id);
        }
        planned.moves.insert(attempt.delivery, moved);
    }
    planned
}
