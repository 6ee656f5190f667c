//! The effect of deliveries and of its owner's changes on a webhook, and how many webhooks an owner
//! may have. The effect
//! of a series of outcomes is [`Health::after`](crate::webhook::Health::after).

use jiff::Timestamp;

use crate::delivery::{Attempt, OutcomeKind};
use crate::webhook::{
    HookEnd, HookOwner, OLD_SECRET_LASTS, PER_PROJECT_MAX, PER_USER_MAX, Webhook, WebhookChanges,
};

/// How an attempt ends its delivery; `None` if there will be another one.
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

/// A webhook after its owner's changes. Switching it on makes it begin without failures, also where
/// it was on.
#[must_use]
pub fn changed(before: Webhook, changes: &WebhookChanges, now: Timestamp) -> Webhook {
    let WebhookChanges { seen: _, address, events, description, is_active } = changes.clone();
    let begins = is_active == Some(true);
    Webhook {
        url: address.map_or(before.url, |address| address.url),
        events: events.unwrap_or(before.events),
        description: description.unwrap_or(before.description),
        is_active: is_active.unwrap_or(before.is_active),
        failures: if begins { 0 } else { before.failures },
        off_reason: before.off_reason.filter(|_| !begins),
        updated_at: now,
        ..before
    }
}

/// When the secret stops signing that is replaced now.
#[must_use]
pub fn old_secret_until(now: Timestamp) -> Timestamp {
    now.saturating_add(OLD_SECRET_LASTS).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Outcome;
    use crate::ids::{DeliveryId, ProjectId, UserId, WebhookId};
    use crate::webhook::HookAddress;

    fn failing() -> Webhook {
        Webhook {
            id: WebhookId(1),
            owner: HookOwner::User(UserId(1)),
            url: "https://a.example".to_owned(),
            events: vec!["x".to_owned()],
            description: "d".to_owned(),
            is_active: false,
            failures: 7,
            off_reason: Some("gone".to_owned()),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let (before, now) = (failing(), Timestamp::UNIX_EPOCH + OLD_SECRET_LASTS);
        let none = WebhookChanges::default();
        let after = Webhook { updated_at: now, ..before.clone() };
        assert_eq!(changed(before.clone(), &none, now), after);
        let (url, lane) = ("https://b.example".to_owned(), "b.example:443".to_owned());
        let changes = WebhookChanges {
            seen: None,
            address: Some(HookAddress { url: url.clone(), lane }),
            events: Some(Vec::new()),
            description: Some(String::new()),
            is_active: Some(false),
        };
        let after = Webhook { url, events: Vec::new(), description: String::new(), ..after };
        assert_eq!(changed(before, &changes, now), after);
    }

    #[test]
    fn a_webhook_that_is_switched_on_begins_without_failures() {
        let on = WebhookChanges { is_active: Some(true), ..WebhookChanges::default() };
        for is_active in [false, true] {
            let before = Webhook { is_active, ..failing() };
            let after = changed(before, &on, Timestamp::UNIX_EPOCH);
            let wanted = Webhook { is_active: true, failures: 0, off_reason: None, ..failing() };
            assert_eq!(after, wanted);
        }
    }

    #[test]
    fn a_replaced_secret_signs_for_a_while() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(old_secret_until(now), now + OLD_SECRET_LASTS);
        assert_eq!(old_secret_until(Timestamp::MAX), Timestamp::MAX);
    }

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
