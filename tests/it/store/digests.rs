//! What waits: for the end of quiet hours, and to be gathered into one e-mail.

use bellpull_domain::delivery::{Attempt, Leased, Outcome, Rule};
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::notification::DeliveryStatus::{Queued, Sent};
use bellpull_domain::preference::{Day, EmailDigest, PreferenceChanges, QuietHours};
use bellpull_domain::routing::Channel;
use bellpull_domain::user::User;
use bellpull_port::{DeliveryLog, DeliveryStore};
use jiff::civil::time;

use super::outbox::{due, lease, reachable};
use super::people::at;
use super::{Fixture, Store};
use crate::support::owner;

/// Of the first midnight (UTC) of the tests' time, in ms.
const DAY: i64 = 6_400_000;
/// In ms.
const HOUR: i64 = 3_600_000;

async fn wish(store: &impl Store, user: &User, changes: PreferenceChanges) {
    store.change_preferences(user.id, changes, at(1)).await.unwrap().unwrap();
}

async fn gather_hourly(store: &impl Store, user: &User) {
    let email_digest = Some(EmailDigest::Hourly);
    wish(store, user, PreferenceChanges { email_digest, ..Default::default() }).await;
}

/// What an e-mail says, by events.
fn said(leased: &Leased) -> Vec<&str> {
    leased.contents.iter().map(|content| content.message.event.as_str()).collect()
}

async fn record(store: &impl Store, leased: &Leased, outcome: &Outcome, due_ms: Option<i64>) {
    let all = std::iter::once((leased.id, leased.attempt)).chain(leased.with.iter().copied());
    let attempt = |(delivery, number): (DeliveryId, u32)| Attempt {
        delivery,
        number,
        started_at: at(DAY),
        took_ms: 1,
        outcome: outcome.clone(),
        due_at: due_ms.map(at),
    };
    store.record(all.map(attempt).collect()).await.unwrap();
}

pub(crate) async fn quiet_hours_delay_what_leaves_the_house<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    let quiet = QuietHours {
        start: time(22, 0, 0, 0),
        end: time(7, 0, 0, 0),
        timezone: "UTC".to_owned(),
        days: Day::ALL.into_iter().collect(),
    };
    let quiet_hours = Some(Some(quiet));
    wish(store, &ann, PreferenceChanges { quiet_hours, ..Default::default() }).await;
    due(store, "night", &ann, DAY + 2 * HOUR).await;
    due(store, "noon", &ann, DAY + 12 * HOUR).await;
    assert!(lease(store, 9, DAY + 7 * HOUR - 1).await.is_empty());
    let morning = lease(store, 9, DAY + 7 * HOUR).await;
    assert_eq!(morning.iter().map(said).collect::<Vec<_>>(), [["night"]]);
    assert_eq!(store.delivery(morning[0].id).await.unwrap().unwrap().rule, Some(Rule::QuietHours));
    assert_eq!(
        store.next_due(&owner(), Channel::Email, u32::MAX).await.unwrap(),
        Some(at(DAY + 7 * HOUR + 1_000))
    );
    let noon = lease(store, 9, DAY + 12 * HOUR).await;
    assert!(noon.iter().any(|one| said(one) == ["noon"]));
}

pub(crate) async fn a_digest_gathers_all_that_is_due_for_its_recipient_only<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let (ann, bob) = (reachable(store, "ann").await, reachable(store, "bob").await);
    gather_hourly(store, &ann).await;
    for (event, to, ms) in [
        ("one", &ann, DAY + 10),
        ("bobs", &bob, DAY + 20),
        ("two", &ann, DAY + 30),
        ("next", &ann, DAY + HOUR + 1),
    ] {
        due(store, event, to, ms).await;
    }
    // Bob gathers nothing.
    let now = lease(store, 9, DAY + 50).await;
    assert_eq!(now.iter().map(said).collect::<Vec<_>>(), [["bobs"]]);
    record(store, &now[0], &Outcome::Sent { provider_id: None }, None).await;
    // One lease is enough for all of an e-mail.
    let hour = lease(store, 1, DAY + HOUR).await;
    let [digest] = &hour[..] else { panic!("{hour:?}") };
    assert_eq!(said(digest), ["one", "two"]);
    assert_eq!((digest.attempt, digest.with.len(), digest.with[0].1), (1, 1, 1));
    assert!(lease(store, 9, DAY + HOUR).await.is_empty(), "both are leased");
    record(store, digest, &Outcome::Sent { provider_id: None }, None).await;
    for id in [digest.id, digest.with[0].0] {
        let row = store.delivery(id).await.unwrap().unwrap();
        assert_eq!((row.status, row.rule, row.attempts), (Sent, Some(Rule::Digest), 1));
    }
    let next = lease(store, 9, DAY + 2 * HOUR).await;
    assert_eq!(next.iter().map(said).collect::<Vec<_>>(), [["next"]]);
}

pub(crate) async fn a_digest_says_the_same_over_retries_and_a_crash<F: Fixture>() {
    let fixture = F::make().await;
    let ann = reachable(&**fixture.store(), "ann").await;
    gather_hourly(&**fixture.store(), &ann).await;
    for (event, ms) in [("one", DAY + 10), ("two", DAY + 20)] {
        due(&**fixture.store(), event, &ann, ms).await;
    }
    let first = lease(&**fixture.store(), 9, DAY + HOUR).await.remove(0);
    // The process dies over the first attempt, the second comes to nothing.
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    store.release(&owner(), Channel::Email, Vec::new()).await.unwrap();
    let second = lease(store, 9, DAY + HOUR).await.remove(0);
    assert_eq!((second.id, second.attempt, said(&second)), (first.id, 2, vec!["one", "two"]));
    let later = Outcome::Later { error: "450".to_owned(), after: None, is_outage: false };
    record(store, &second, &later, Some(DAY + 2 * HOUR)).await;
    // What came meanwhile is due at the same time.
    due(store, "three", &ann, DAY + HOUR + 10).await;
    let third = lease(store, 9, DAY + 2 * HOUR).await;
    let e_mails: Vec<_> = third.iter().map(|one| (one.id == first.id, said(one))).collect();
    assert_eq!(e_mails, [(true, vec!["one", "two"]), (false, vec!["three"])]);
    assert_eq!((third[0].attempt, third[0].failures, third[0].with[0].1), (3, 1, 3));
    let row = store.delivery(third[0].with[0].0).await.unwrap().unwrap();
    assert_eq!((row.status, row.attempts), (Queued, 3));
}

pub(crate) async fn a_long_digest_goes_on_in_another_e_mail<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    gather_hourly(store, &ann).await;
    for ms in 0..130 {
        due(store, "much", &ann, DAY + ms).await;
    }
    let mut lengths = Vec::new();
    while let [digest] = &lease(store, 1, DAY + HOUR).await[..] {
        lengths.push(digest.contents.len());
        record(store, digest, &Outcome::Sent { provider_id: None }, None).await;
    }
    assert_eq!(lengths, [100, 30]);
}
