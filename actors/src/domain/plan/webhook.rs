//! The effect of deliveries on their webhook, and how many webhooks an owner may have. The effect
//! of a series of outcomes is [`Health::after`](crate::domain::webhook::Health::after).

use crate::domain::delivery::{Attempt, OutcomeKind};
use crate::domain::webhook::{HookEnd, HookOwner, PER_PROJECT_MAX, PER_USER_MAX};

/// How an attempt ends its delivery; `None` where there will be another one.
#[must_use]
pub fn end_of(attempt: &Attempt) -> Option<HookEnd> {
    match attempt.outcome.kind() {
        OutcomeKind::Sent => Some(HookEnd::Taken),
        OutcomeKind::Gone => Some(HookEnd::Gone),
        OutcomeKind::Later | OutcomeKind::Refused => {
            attempt.due_at.is_none().then_some(HookEnd::GivenUp)
        }
    }
}

/// Whether an owner with this many webhooks may have another one.
#[must_use]
pub fn has_room(owner: HookOwner, count: u32) -> bool {
    let most = match owner {
        HookOwner::User(_) => PER_USER_MAX,
        HookOwner::Project(_) => PER_PROJECT_MAX,
    };
    count < most
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::delivery::Outcome;
    use crate::domain::ids::{DeliveryId, ProjectId, UserId};

    #[test]
    fn an_attempt_ends_its_delivery_unless_another_one_is_due() {
        let error = || "no".to_owned();
        let later = || Outcome::Later { error: error(), after: None, is_outage: true };
        for (outcome, is_due, end) in [
            (Outcome::Sent { provider_id: None }, false, Some(HookEnd::Taken)),
            (Outcome::Gone { error: error() }, false, Some(HookEnd::Gone)),
            (Outcome::Refused { error: error() }, false, Some(HookEnd::GivenUp)),
            (later(), false, Some(HookEnd::GivenUp)),
            (later(), true, None),
        ] {
            let started_at = Timestamp::UNIX_EPOCH;
            let (delivery, due_at) = (DeliveryId(1), is_due.then_some(started_at));
            let attempt = Attempt { delivery, number: 1, started_at, took_ms: 1, outcome, due_at };
            assert_eq!(end_of(&attempt), end);
        }
    }

    #[test]
    fn an_owner_has_so_many_and_no_more() {
        let (user, project) = (HookOwner::User(UserId(1)), HookOwner::Project(ProjectId(1)));
        assert!(has_room(user, PER_USER_MAX - 1) && !has_room(user, PER_USER_MAX));
        assert!(has_room(project, PER_PROJECT_MAX - 1) && !has_room(project, PER_PROJECT_MAX));
    }
}
