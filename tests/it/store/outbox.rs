//! Leases: their owners, their expiry, and deliveries that no owner attempts.

use std::collections::BTreeSet;

use bellpull_domain::address::{AddressChanges, Addresses};
use bellpull_domain::delivery::{Attempt, Leased, Outcome, Rule, Target};
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::user::User;
use bellpull_port::accounts::{NewUser, UserChanges};
use bellpull_port::delivery_log::DeliveryFilter;
use bellpull_port::tickets::AnnouncedMessage;
use bellpull_port::{AccountStore, DeliveryLog, DeliveryStore, LeaseOwner};
use futures_util::future::join_all;

use super::people::{at, fill, first, new_user, news, person, tell};
use super::{Fixture, Store, push};
use crate::support::{many, owner};

/// A user with an address on every channel.
pub(crate) async fn reachable(store: &impl Store, username: &str) -> User {
    let new = NewUser {
        addresses: Addresses::of([
            (Channel::Email, format!("{username}@example.com")),
            (Channel::WhatsApp, "+4915100000001".to_owned()),
            (Channel::Sms, "+4915100000002".to_owned()),
        ]),
        is_email_verified: true,
        full_name: format!("{username} Example"),
        ..new_user(username, "client")
    };
    store.create_user(new, None).await.unwrap().0
}

/// Leases e-mails that are due at `now`, for a second.
pub(crate) async fn lease(store: &impl Store, limit: u32, now: i64) -> Vec<Leased> {
    store.lease(&owner(), Channel::Email, limit.into(), at(now), at(now + 1_000)).await.unwrap()
}

/// Ids and attempts.
pub(crate) fn names(leased: &[Leased]) -> Vec<(i64, u32)> {
    leased.iter().map(|one| (one.id.0, one.attempt)).collect()
}

/// Tells them something that is due at `due`.
pub(crate) async fn due(store: &impl Store, event: &str, to: &User, due: i64) -> AnnouncedMessage {
    let mut decision = news(store, event, to, &[to.id]).await;
    decision.announcement.as_mut().unwrap().message.created_at = at(due);
    store.commit(decision).await.unwrap().announced.unwrap()
}

pub(crate) async fn what_is_due_is_leased_the_longest_due_first<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    for (event, ms) in [("third", 30), ("first", 10), ("later", 99), ("second", 20)] {
        due(store, event, &ann, ms).await;
    }
    let said = |leased: &[Leased]| {
        let one = |one: &Leased| one.contents[0].message.event.as_str().to_owned();
        leased.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(said(&lease(store, 2, 50).await), ["first", "second"]);
    assert_eq!(said(&lease(store, 9, 50).await), ["third"], "what is due later waits");
    assert!(lease(store, 9, 50).await.is_empty());
    assert_eq!(said(&lease(store, 9, 99).await), ["later"]);
    assert!(lease(store, 0, 99).await.is_empty());
}

pub(crate) async fn a_leased_delivery_is_leased_by_no_other_owner<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 3).await;
    // E-mail and SMS are on: each notification has one of each.
    let emails = lease(store, 10, 50).await;
    assert_eq!(emails.len(), 3);
    assert!(lease(store, 10, 1_049).await.is_empty());
    let texts = store.lease(&owner(), Channel::Sms, 10.into(), at(50), at(1_050)).await.unwrap();
    assert_eq!(texts.len(), 3, "another channel's are not touched");
    let ids: BTreeSet<DeliveryId> = emails.iter().chain(&texts).map(|one| one.id).collect();
    assert_eq!(ids.len(), 6);
    assert!(
        store
            .lease(&owner(), Channel::WhatsApp, 10.into(), at(50), at(60))
            .await
            .unwrap()
            .is_empty()
    );
}

pub(crate) async fn a_lease_says_all_that_a_sender_needs<F: Fixture>() {
    let all = [Channel::Email, Channel::WhatsApp, Channel::Sms];
    let fixture = F::with_channels(Channels::of(&all)).await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    let bob = person(store, "bob", "client").await;
    let announced = tell(store, "news", &bob, &[ann.id]).await;
    for (channel, target) in [
        (Channel::Email, Target::Account(Channel::Email, "ann@example.com".to_owned())),
        (Channel::WhatsApp, Target::Account(Channel::WhatsApp, "+4915100000001".to_owned())),
        (Channel::Sms, Target::Account(Channel::Sms, "+4915100000002".to_owned())),
    ] {
        let leased = store.lease(&owner(), channel, 10.into(), at(50), at(77)).await.unwrap();
        let [one] = &leased[..] else { panic!("{leased:?}") };
        assert_eq!(one.target, target);
        assert_eq!(one.notification, Some(announced.entries[0].id));
        let end = if F::IS_EXCLUSIVE { jiff::Timestamp::MAX } else { at(77) };
        assert_eq!((one.attempt, one.failures, one.leased_until), (1, 0, end));
        assert_eq!(one.contents[0].message, announced.content.message);
        let addressee = one.addressee.as_ref().unwrap();
        assert_eq!((addressee.id, addressee.name.as_str()), (ann.id, "ann Example"));
        assert!(one.with.is_empty());
    }
}

pub(crate) async fn a_lease_outlives_a_crash_and_ends<F: Fixture>() {
    let fixture = F::make().await;
    let ann = reachable(&**fixture.store(), "ann").await;
    fill(&**fixture.store(), &ann, 3).await;
    let before = lease(&**fixture.store(), 2, 50).await;
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    // The owner of the two has ended. A store of one process knows that; elsewhere they are leased
    // until their lease ends. The third never was.
    let free = lease(store, 10, 51).await;
    let (again, third): (Vec<_>, Vec<_>) =
        free.into_iter().partition(|one| before.iter().any(|first| first.id == one.id));
    assert_eq!((third.len(), third[0].attempt), (1, 1));
    assert_eq!(again.len(), if F::IS_EXCLUSIVE { 2 } else { 0 });
    assert!(lease(store, 10, 1_049).await.is_empty());
    let again = if F::IS_EXCLUSIVE { again } else { lease(store, 10, 1_050).await };
    let wanted: Vec<(i64, u32)> = before.iter().map(|one| (one.id.0, 2)).collect();
    assert_eq!(names(&again), wanted);
    assert!(again.iter().all(|one| one.failures == 0), "nothing of the first was recorded");
    assert_eq!(again[0].contents[0].message, before[0].contents[0].message);
}

/// Two nodes on one store.
fn nodes() -> (LeaseOwner, LeaseOwner) {
    (LeaseOwner::new("a", at(0)), LeaseOwner::new("b", at(0)))
}

async fn lease_as(store: &impl Store, owner: &LeaseOwner, limit: u32, now: i64) -> Vec<Leased> {
    store.lease(owner, Channel::Email, limit.into(), at(now), at(now + 1_000)).await.unwrap()
}

/// An attempt of 7 ms, without another one after it.
pub(crate) fn tried(leased: &Leased, outcome: Outcome) -> Attempt {
    let (delivery, number) = (leased.id, leased.attempt);
    Attempt { delivery, number, started_at: at(60), took_ms: 7, outcome, due_at: None }
}

fn sent(provider_id: &str) -> Outcome {
    Outcome::Sent { provider_id: Some(provider_id.to_owned()) }
}

/// The next attempts of these.
fn again(leased: &[Leased]) -> Vec<(i64, u32)> {
    leased.iter().map(|one| (one.id.0, one.attempt + 1)).collect()
}

pub(crate) async fn a_lease_ends_by_its_time_for_any_owner<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 2).await;
    let (a, b) = nodes();
    let first = lease_as(store, &a, 10, 50).await;
    assert!(lease_as(store, &b, 10, 1_049).await.is_empty());
    assert_eq!(store.next_due(&owner(), Channel::Email, u32::MAX).await.unwrap(), Some(at(1_050)));
    let second = lease_as(store, &b, 10, 1_050).await;
    assert_eq!(names(&second), [(first[0].id.0, 2), (first[1].id.0, 2)]);
    assert!(lease_as(store, &a, 10, 2_049).await.is_empty(), "they are the other's now");
}

pub(crate) async fn a_release_frees_only_its_owners_leases<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 4).await;
    let (a, b) = nodes();
    let (of_a, of_b) = (lease_as(store, &a, 2, 50).await, lease_as(store, &b, 2, 50).await);
    let started_again = LeaseOwner::new("a", at(1));
    assert_eq!(store.release(&started_again, Channel::Email, Vec::new()).await.unwrap(), 0);
    assert_eq!(store.release(&a, Channel::Email, Vec::new()).await.unwrap(), 2);
    assert_eq!(names(&lease_as(store, &b, 10, 51).await), again(&of_a));
    assert_eq!(store.release(&a, Channel::Email, Vec::new()).await.unwrap(), 0);
    let known = of_b.iter().map(|one| one.id).collect();
    assert_eq!(store.release(&b, Channel::Email, known).await.unwrap(), 2);
    let third: Vec<(i64, u32)> = of_a.iter().map(|one| (one.id.0, 3)).collect();
    assert_eq!(names(&lease_as(store, &a, 10, 52).await), third);
    assert_eq!(store.release(&b, Channel::Email, Vec::new()).await.unwrap(), 2);
}

pub(crate) async fn only_the_owner_gives_a_lease_back<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 1).await;
    let (a, b) = nodes();
    let first = lease_as(store, &a, 1, 50).await;
    let back = vec![(first[0].id, first[0].attempt)];
    store.give_back(&b, back.clone()).await.unwrap();
    assert!(lease_as(store, &b, 1, 51).await.is_empty());
    store.give_back(&a, back.clone()).await.unwrap();
    let second = lease_as(store, &b, 1, 52).await;
    assert_eq!(names(&second), [(first[0].id.0, 1)], "the number of the lease that was not used");
    // The answer was lost, and it is given back again: it has that number, and is not a's.
    store.give_back(&a, back).await.unwrap();
    assert!(lease_as(store, &a, 1, 53).await.is_empty());
}

pub(crate) async fn a_lease_is_extended_by_its_owner_alone<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 2).await;
    let (a, b) = nodes();
    let first = lease_as(store, &a, 2, 50).await;
    let both: Vec<_> = first.iter().map(|one| (one.id, one.attempt)).collect();
    assert!(!store.extend(&b, both.clone(), at(5_000)).await.unwrap(), "another's");
    assert!(!store.extend(&a, vec![(both[0].0, 2)], at(5_000)).await.unwrap(), "another lease");
    assert!(store.extend(&a, vec![both[0]], at(5_000)).await.unwrap());
    assert_eq!(names(&lease_as(store, &b, 10, 1_050).await), [(both[1].0.0, 2)]);
    assert!(!store.extend(&a, both.clone(), at(6_000)).await.unwrap(), "one is the other's now");
    assert_eq!(lease_as(store, &b, 10, 5_999).await.len(), 1, "its own, which has ended");
    assert_eq!(names(&lease_as(store, &b, 10, 6_000).await), [(both[0].0.0, 2)]);
}

pub(crate) async fn two_owners_share_what_is_due<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 40).await;
    let (a, b) = nodes();
    let leases = (0..8).map(|n| lease_as(store, if n % 2 == 0 { &a } else { &b }, 6, 50));
    let leases = join_all(leases).await;
    let all: Vec<i64> = leases.iter().flatten().map(|one| one.id.0).collect();
    let distinct: BTreeSet<i64> = all.iter().copied().collect();
    assert_eq!((all.len(), distinct.len()), (40, 40));
    let (freed_a, freed_b) = (
        store.release(&a, Channel::Email, Vec::new()).await,
        store.release(&b, Channel::Email, Vec::new()).await,
    );
    assert_eq!(freed_a.unwrap() + freed_b.unwrap(), 40);
}

pub(crate) async fn a_lost_lease_leaves_the_next_owners_alone<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 1).await;
    let (a, b) = nodes();
    let first = lease_as(store, &a, 1, 50).await.remove(0);
    let second = lease_as(store, &b, 1, 1_050).await.remove(0);
    store.record(vec![tried(&first, Outcome::Refused { error: "550".to_owned() })]).await.unwrap();
    let row = store.delivery(first.id).await.unwrap().unwrap();
    let is_as_before = (row.status, row.leased_until, row.error);
    assert_eq!(is_as_before, (DeliveryStatus::Queued, Some(at(2_050)), None));
    assert_eq!(store.attempts(&[first.id]).await.unwrap().len(), 1, "its row is kept");
    store.record(vec![tried(&second, sent("m-2"))]).await.unwrap();
    let row = store.delivery(first.id).await.unwrap().unwrap();
    assert_eq!((row.status, row.leased_until), (DeliveryStatus::Sent, None));
}

pub(crate) async fn what_the_lost_owner_has_sent_is_not_sent_again<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 1).await;
    let (a, b) = nodes();
    let first = lease_as(store, &a, 1, 50).await.remove(0);
    let second = lease_as(store, &b, 1, 1_050).await.remove(0);
    store.record(vec![tried(&first, sent("m-1"))]).await.unwrap();
    let refused = Outcome::Refused { error: "duplicate".to_owned() };
    store.record(vec![tried(&second, refused)]).await.unwrap();
    let row = store.delivery(first.id).await.unwrap().unwrap();
    assert_eq!((row.status, row.leased_until), (DeliveryStatus::Sent, None));
    assert_eq!((row.provider_id.as_deref(), row.error), (Some("m-1"), None));
    assert!(lease_as(store, &b, 1, 9_999).await.is_empty());
    assert_eq!(store.attempts(&[first.id]).await.unwrap().len(), 2);
}

pub(crate) async fn an_ended_lease_that_was_not_taken_over_is_recorded<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 1).await;
    let (a, b) = nodes();
    let first = lease_as(store, &a, 1, 50).await.remove(0);
    // At 5,000 the lease is over, and another node would get it.
    let late = Attempt { started_at: at(5_000), ..tried(&first, sent("m-1")) };
    store.record(vec![late]).await.unwrap();
    assert!(lease_as(store, &b, 1, 5_001).await.is_empty());
    let row = store.delivery(first.id).await.unwrap().unwrap();
    assert_eq!((row.status, row.sent_at), (DeliveryStatus::Sent, Some(at(5_007))));
}

pub(crate) async fn an_ended_lease_is_an_attempt_of_its_own<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    due(store, "old", &ann, 10).await;
    let id = lease(store, 1, 50).await[0].id;
    due(store, "new", &ann, 20).await;
    // The longest due comes first, though it was leased meanwhile.
    let both = lease(store, 1, 1_050).await;
    assert_eq!(names(&both), [(id.0, 2)]);
    assert_eq!(lease(store, 10, 2_050).await.len(), 2);
    let row = store.delivery(id).await.unwrap().unwrap();
    assert_eq!((row.attempts, row.leased_until), (3, Some(at(3_050))));
    assert!(store.attempts(&[id]).await.unwrap().is_empty(), "none was recorded");
}

pub(crate) async fn a_restarted_channel_frees_its_leases_and_no_others<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 2).await;
    let first = lease(store, 10, 50).await;
    store.lease(&owner(), Channel::Sms, 10.into(), at(50), at(1_050)).await.unwrap();
    assert_eq!(store.release(&owner(), Channel::Email, Vec::new()).await.unwrap(), 2);
    assert_eq!(store.release(&owner(), Channel::Email, Vec::new()).await.unwrap(), 0);
    let again = lease(store, 10, 51).await;
    assert_eq!(names(&again), [(first[0].id.0, 2), (first[1].id.0, 2)]);
    assert!(
        store.lease(&owner(), Channel::Sms, 10.into(), at(51), at(60)).await.unwrap().is_empty()
    );
}

pub(crate) async fn leases_are_given_back_unused<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 3).await;
    let leased = lease(store, 10, 50).await;
    store.give_back(&owner(), vec![(leased[0].id, 1), (leased[2].id, 1)]).await.unwrap();
    store.give_back(&owner(), vec![(DeliveryId(9_999), 1)]).await.unwrap();
    store.give_back(&owner(), Vec::new()).await.unwrap();
    let again = lease(store, 10, 51).await;
    assert_eq!(names(&again), [(leased[0].id.0, 1), (leased[2].id.0, 1)], "as if never taken");
}

pub(crate) async fn a_late_return_takes_nothing_from_the_next<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 1).await;
    let first = lease(store, 1, 50).await;
    let second = lease(store, 1, 1_050).await;
    assert_eq!(second[0].attempt, 2);
    store.give_back(&owner(), vec![(first[0].id, first[0].attempt)]).await.unwrap();
    assert!(lease(store, 1, 1_051).await.is_empty(), "the second has it");
    store.give_back(&owner(), vec![(second[0].id, 2)]).await.unwrap();
    store.give_back(&owner(), vec![(second[0].id, 1)]).await.unwrap();
    assert_eq!(names(&lease(store, 1, 1_052).await), [(first[0].id.0, 2)]);
}

pub(crate) async fn the_next_due_is_known<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    assert_eq!(store.next_due(&owner(), Channel::Email, u32::MAX).await.unwrap(), None);
    due(store, "later", &ann, 5_000).await;
    due(store, "soon", &ann, 20).await;
    assert_eq!(store.next_due(&owner(), Channel::Email, u32::MAX).await.unwrap(), Some(at(20)));
    assert_eq!(store.next_due(&owner(), Channel::WhatsApp, u32::MAX).await.unwrap(), None);
    lease(store, 10, 50).await;
    assert_eq!(
        store.next_due(&owner(), Channel::Email, u32::MAX).await.unwrap(),
        Some(at(1_050)),
        "a lease ends"
    );
    lease(store, 10, 5_000).await;
    assert_eq!(store.next_due(&owner(), Channel::Email, u32::MAX).await.unwrap(), Some(at(6_000)));
}

pub(crate) async fn an_address_that_is_gone_holds_back<F: Fixture>() {
    let gone = UserChanges { addresses: AddressChanges::email(""), ..UserChanges::default() };
    let off = UserChanges { is_active: Some(false), ..UserChanges::default() };
    for changes in [gone, off] {
        let fixture = F::make().await;
        let store = &**fixture.store();
        let (ann, bob) = (reachable(store, "ann").await, reachable(store, "bob").await);
        for n in 0..3 {
            tell(store, &format!("n{n}"), &bob, &[ann.id, bob.id]).await;
        }
        store.update_user(ann.id, changes).await.unwrap();
        // Of the first three that are due two are hers; others come in their place.
        let leased = lease(store, 3, 50).await;
        let to: Vec<_> = leased.iter().map(push::to).collect();
        assert_eq!(to, [Some(bob.id); 3]);
        let (status, channel) = (Some(DeliveryStatus::Suppressed), Some(Channel::Email));
        let page = store.deliveries(DeliveryFilter { status, channel }, first(10)).await.unwrap();
        assert_eq!(page.count, 3);
        assert!(page.rows.iter().all(|row| row.recipient == Some(ann.id)));
        assert!(page.rows.iter().all(|row| row.rule == Some(Rule::NoAddress)));
        assert_eq!(
            store.next_due(&owner(), Channel::Email, u32::MAX).await.unwrap(),
            Some(at(1_050))
        );
    }
}

pub(crate) async fn a_lease_holds_back_so_many_at_once_and_the_next_ones_the_rest<F: Fixture>() {
    const LOST: i64 = 2_000;
    // A channel leases as many as it has places, or one alone while its circuit is open.
    for limit in [1, 64] {
        let fixture = F::make().await;
        let store = &**fixture.store();
        let (ann, bob) = (reachable(store, "ann").await, reachable(store, "bob").await);
        fixture.execute(&many::inbox(ann.id.0, LOST)).await;
        fixture.execute(&many::emails(ann.id.0, LOST)).await;
        let off = UserChanges { is_active: Some(false), ..UserChanges::default() };
        store.update_user(ann.id, off).await.unwrap();
        due(store, "news", &bob, LOST + 1).await;
        let held_back = async || {
            let (status, channel) = (Some(DeliveryStatus::Suppressed), Some(Channel::Email));
            store.deliveries(DeliveryFilter { status, channel }, first(1)).await.unwrap().count
        };
        let mut leases = 0;
        loop {
            let before = held_back().await;
            let leased = lease(store, limit, 9_000).await;
            leases += 1;
            let held_back = held_back().await - before;
            assert!(held_back <= 512, "one lease of {limit} held back {held_back}");
            if let [one] = &leased[..] {
                assert_eq!(push::to(one), Some(bob.id));
                break;
            }
            // Nothing was leased, and the channel is told that it may lease again at once.
            assert_eq!(leased.len(), 0);
            assert!(held_back > 0 && leases < 20, "{leases} leases of {limit} came to nothing");
            let next = store.next_due(&owner(), Channel::Email, u32::MAX).await.unwrap();
            assert!(next.is_some_and(|next| next <= at(9_000)), "{next:?}");
        }
        assert_eq!(held_back().await, LOST);
    }
}

pub(crate) async fn a_crowd_of_leases_shares_nothing<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 40).await;
    let leases = join_all((0..8).map(|_| lease(store, 6, 50))).await;
    let all: Vec<i64> = leases.iter().flatten().map(|one| one.id.0).collect();
    let distinct: BTreeSet<i64> = all.iter().copied().collect();
    assert_eq!((all.len(), distinct.len()), (40, 40));
    assert!(leases.iter().all(|lease| lease.len() <= 6));
}
