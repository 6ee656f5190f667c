//! Browsers: who has which, what is written for them, and how they go.

use bellpull_domain::delivery::{Attempt, Leased, Outcome, PushTarget, Target};
use bellpull_domain::ids::UserId;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::push::{NewSubscription, SUBSCRIPTIONS_MAX};
use bellpull_port::{AccountStore, DeliveryStore, PushStore, StoreError};

use super::people::{at, person, tell};
use super::{Fixture, Store};
use crate::support::owner;

pub(crate) fn browser(name: &str, auth: &str) -> NewSubscription {
    NewSubscription {
        endpoint: format!("https://push.example/{name}"),
        lane: "push.example".to_owned(),
        p256dh: "key".to_owned(),
        auth: auth.to_owned(),
        login: None,
    }
}

async fn with_push<F: Fixture>() -> F {
    F::with_channels(Channels::of(&[Channel::Push])).await
}

async fn lease(store: &impl Store, now: i64) -> Vec<Leased> {
    store.lease(&owner(), Channel::Push, 99.into(), at(now), at(now + 1_000)).await.unwrap()
}

/// Whom a delivery is for.
pub(crate) fn to(leased: &Leased) -> Option<UserId> {
    leased.addressee.as_ref().map(|addressee| addressee.id)
}

fn targets(leased: &[Leased]) -> Vec<PushTarget> {
    let target = |one: &Leased| {
        let Target::Push(target) = &one.target else { panic!("{one:?}") };
        target.clone()
    };
    leased.iter().map(target).collect()
}

fn endpoints(leased: &[Leased]) -> Vec<String> {
    targets(leased).into_iter().map(|target| target.endpoint).collect()
}

pub(crate) async fn each_browser_gets_a_delivery_of_its_own<F: Fixture>() {
    let fixture = with_push::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let bob = person(store, "bob", "client").await;
    tell(store, "ticket_created", &bob, &[ann.id]).await;
    assert!(lease(store, 50).await.is_empty(), "there is no subscription yet");
    let laptop = store.subscribe(ann.id, browser("laptop", "a"), at(1)).await.unwrap();
    let phone = store.subscribe(ann.id, browser("phone", "b"), at(2)).await.unwrap();
    tell(store, "ticket_created", &bob, &[ann.id, bob.id]).await;
    let leased = lease(store, 50).await;
    let wanted = [(laptop, "laptop", "a"), (phone, "phone", "b")].map(|(id, name, auth)| {
        let NewSubscription { endpoint, p256dh, auth, .. } = browser(name, auth);
        PushTarget { id, endpoint, p256dh, auth }
    });
    assert_eq!(targets(&leased), wanted);
    assert_eq!(leased[0].notification, leased[1].notification);
    assert!(leased.iter().all(|one| to(one) == Some(ann.id)));
}

pub(crate) async fn a_subscription_ends_with_the_login_that_made_it<F: Fixture>() {
    let fixture = with_push::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let bob = person(store, "bob", "client").await;
    let begin = async || store.begin_login(ann.id, None, at(1), at(900), at(90_000)).await.unwrap();
    let logins = [begin().await, begin().await, begin().await];
    let by = |name: &str, login| NewSubscription { login, ..browser(name, "a") };
    for (name, login) in [("laptop", logins[0]), ("phone", logins[1]), ("tablet", logins[2])] {
        store.subscribe(ann.id, by(name, Some(login)), at(2)).await.unwrap();
    }
    store.subscribe(ann.id, by("kiosk", None), at(2)).await.unwrap();
    // It was written before the login ended, and is held back.
    tell(store, "ticket_created", &bob, &[ann.id]).await;
    store.revoke_login(logins[0], at(3)).await.unwrap();
    let mut left = endpoints(&lease(store, 50).await);
    left.sort();
    let urls = |names: &[&str]| names.iter().map(|name| browser(name, "a").endpoint).collect();
    let wanted: Vec<String> = urls(&["kiosk", "phone", "tablet"]);
    assert_eq!(left, wanted);
    let late = store.subscribe(ann.id, by("laptop", Some(logins[0])), at(4)).await;
    assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
    // A browser that subscribes again belongs to the newer login.
    store.subscribe(ann.id, by("phone", Some(logins[2])), at(5)).await.unwrap();
    store.revoke_login(logins[1], at(6)).await.unwrap();
    assert!(store.subscription(ann.id, &browser("phone", "a").endpoint).await.unwrap().is_some());
    store.revoke_all_logins(ann.id, at(7)).await.unwrap();
    for (name, is_left) in [("phone", false), ("tablet", false), ("kiosk", true)] {
        let found = store.subscription(ann.id, &browser(name, "a").endpoint).await.unwrap();
        assert_eq!(found.is_some(), is_left, "{name}");
    }
}

pub(crate) async fn a_browser_is_one_users_and_has_its_newest_keys<F: Fixture>() {
    let fixture = with_push::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let bob = person(store, "bob", "client").await;
    let first = store.subscribe(ann.id, browser("laptop", "old"), at(1)).await.unwrap();
    let again = store.subscribe(ann.id, browser("laptop", "new"), at(2)).await.unwrap();
    assert_eq!(first, again);
    tell(store, "ticket_created", &bob, &[ann.id]).await;
    let [target] = &targets(&lease(store, 50).await)[..] else { panic!("not one") };
    assert_eq!(target.auth, "new");

    // Bob logs in there: what is still on its way to Ann is not shown to him.
    tell(store, "ticket_created", &bob, &[ann.id]).await;
    let his = store.subscribe(bob.id, browser("laptop", "his"), at(3)).await.unwrap();
    assert_ne!(his, first);
    tell(store, "ticket_created", &ann, &[bob.id]).await;
    let [one] = &lease(store, 60).await[..] else { panic!("not one") };
    assert_eq!(to(one), Some(bob.id));

    assert!(!store.unsubscribe(ann.id, "https://push.example/laptop").await.unwrap());
    assert!(store.unsubscribe(bob.id, "https://push.example/laptop").await.unwrap());
    assert!(!store.unsubscribe(bob.id, "https://push.example/laptop").await.unwrap());
    let unknown = store.subscribe(UserId(99), browser("x", "x"), at(4)).await;
    assert_eq!(unknown, Err(StoreError::NotFound));
}

pub(crate) async fn a_browser_that_is_gone_is_forgotten_with_the_attempt<F: Fixture>() {
    let fixture = with_push::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let bob = person(store, "bob", "client").await;
    for name in ["gone", "here"] {
        store.subscribe(ann.id, browser(name, "a"), at(1)).await.unwrap();
    }
    tell(store, "ticket_created", &bob, &[ann.id]).await;
    let first = lease(store, 50).await;
    tell(store, "ticket_created", &bob, &[ann.id]).await;
    let attempt = Attempt {
        delivery: first[0].id,
        number: 1,
        started_at: at(51),
        took_ms: 1,
        outcome: Outcome::Gone { error: "HTTP 410".to_owned() },
        due_at: None,
    };
    store.record(vec![attempt]).await.unwrap();
    // The second one was written for both; one of them has no address any more.
    assert_eq!(endpoints(&lease(store, 60).await), ["https://push.example/here"]);
    tell(store, "ticket_created", &bob, &[ann.id]).await;
    assert_eq!(endpoints(&lease(store, 70).await), ["https://push.example/here"]);
}

pub(crate) async fn of_too_many_browsers_the_oldest_goes<F: Fixture>() {
    let fixture = with_push::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let bob = person(store, "bob", "client").await;
    for n in 0..=i64::from(SUBSCRIPTIONS_MAX) {
        store.subscribe(ann.id, browser(&n.to_string(), "a"), at(n)).await.unwrap();
    }
    tell(store, "ticket_created", &bob, &[ann.id]).await;
    let announced = endpoints(&lease(store, 50).await);
    assert_eq!(announced.len(), usize::try_from(SUBSCRIPTIONS_MAX).unwrap());
    assert!(!announced.contains(&"https://push.example/0".to_owned()));
}
