//! Accounts of the hub and of an issuer: their numbers, and claims that come one after another.

use bellpull_domain::address::{AddressChanges, Addresses};
use bellpull_domain::ids::UserId;
use bellpull_domain::user::{APART_FROM, Origin, Role, User};
use bellpull_port::accounts::{LoginName, NewUser, RefreshUse, UserChanges};
use bellpull_port::{AccountStore, Store, StoreError};
use jiff::Timestamp;

use super::Fixture;
use super::people::{at, new_user, person};

/// An account that a token of that time brought.
async fn foreign(store: &impl Store, id: i64, name: &str, claims_at: Timestamp) -> User {
    let origin = Origin::Issuer { claims_at };
    let new = NewUser { id: Some(UserId(id)), origin, ..new_user(name, "client") };
    store.create_user(new, None).await.unwrap().0
}

fn claims(at: Timestamp) -> UserChanges {
    UserChanges { claims_at: Some(at), ..UserChanges::default() }
}

pub(crate) async fn the_hubs_numbers_are_apart_once_that_is_said<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let low = person(store, "low", "super_admin").await;
    assert_eq!((low.id, low.origin), (UserId(1), Origin::Hub));
    store.number_apart().await.unwrap();
    store.number_apart().await.unwrap();
    assert_eq!(person(store, "high", "client").await.id, UserId(APART_FROM));
    // An issuer may use such a number; it is no reason to skip others.
    foreign(store, APART_FROM + 1, "inside", at(0)).await;
    foreign(store, (1 << 53) - 1, "last", at(0)).await;
    foreign(store, 2, "second", at(0)).await;
    assert_eq!(person(store, "next", "client").await.id, UserId(APART_FROM + 2));
    assert_eq!(person(store, "after", "client").await.id, UserId(APART_FROM + 3));
    let own = store.own_below_apart(10).await.unwrap();
    assert_eq!(own, [(UserId(1), "low".to_owned())]);
    let stored = store.user(UserId(2)).await.unwrap().unwrap();
    assert_eq!(stored.origin, Origin::Issuer { claims_at: at(0) });
}

pub(crate) async fn claims_are_applied_in_the_order_of_their_tokens<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = foreign(store, 7, "ann", at(1_000)).await;
    let bob = foreign(store, 8, "bob", at(1_000)).await;
    let promoted = UserChanges {
        username: Some("ann.lee".to_owned()),
        role: Some(Role::Admin),
        addresses: AddressChanges::email("ann.lee@example.com"),
        vouches_for_email: true,
        ..claims(at(3_000))
    };
    let after = store.update_user(ann.id, promoted).await.unwrap();
    assert_eq!((after.username.as_str(), &after.role), ("ann.lee", &Role::Admin));
    assert_eq!(after.origin, Origin::Issuer { claims_at: at(3_000) });
    assert_eq!(store.user(ann.id).await.unwrap(), Some(after.clone()));
    // Older, of the same time, of an unknown time: no right comes back by these.
    let up = |at| UserChanges { role: Some(Role::SuperAdmin), ..claims(at) };
    for time in [at(2_999), at(3_000), Timestamp::UNIX_EPOCH] {
        let refused = store.update_user(ann.id, up(time)).await;
        assert_eq!(refused, Err(StoreError::Conflict), "{time}");
    }
    // Of the same time or an unknown one: a right may end.
    for (time, role) in [(at(3_000), Role::Developer), (Timestamp::UNIX_EPOCH, Role::Client)] {
        let down = UserChanges { role: Some(role.clone()), ..claims(time) };
        let after = store.update_user(ann.id, down).await.unwrap();
        assert_eq!((after.role, after.origin), (role, Origin::Issuer { claims_at: at(3_000) }));
    }
    let down = UserChanges { role: Some(Role::Client), ..claims(at(2_000)) };
    assert_eq!(store.update_user(ann.id, down).await, Err(StoreError::Conflict));
    // The old name is free, the new one is not.
    let taken = UserChanges { username: Some("ann.lee".to_owned()), ..claims(at(4_000)) };
    assert_eq!(store.update_user(bob.id, taken).await, Err(StoreError::Taken("username")));
    let alike = UserChanges { username: Some("Ann.Lee".to_owned()), ..claims(at(4_000)) };
    assert_eq!(store.update_user(bob.id, alike).await, Err(StoreError::TooSimilar("username")));
    let free = UserChanges { username: Some("ann".to_owned()), ..claims(at(4_000)) };
    assert_eq!(store.update_user(bob.id, free).await.unwrap().username, "ann");
    let name = LoginName::Username("ann".to_owned());
    assert_eq!(store.credentials(&name).await.unwrap().unwrap().0.id, bob.id);
    // An account of the hub's follows no claims.
    let own = person(store, "own", "client").await;
    assert_eq!(store.update_user(own.id, claims(at(9_000))).await, Err(StoreError::Conflict));
}

pub(crate) async fn rival_claims_leave_those_of_the_youngest_token<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = foreign(store, 7, "ann", at(0)).await;
    let rivals = (1..=20).map(|n| {
        let full_name = Some(format!("Ann {n}"));
        store.update_user(ann.id, UserChanges { full_name, ..claims(at(n * 1_000)) })
    });
    futures_util::future::join_all(rivals).await;
    let after = store.user(ann.id).await.unwrap().unwrap();
    assert_eq!(after.full_name, "Ann 20");
    assert_eq!(after.origin, Origin::Issuer { claims_at: at(20_000) });
}

pub(crate) async fn an_account_that_is_handed_over_has_no_password_and_no_login<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let new = NewUser {
        password_hash: Some("$phc$".to_owned()),
        addresses: Addresses::default(),
        ..new_user("ann", "developer")
    };
    let ann = store.create_user(new, None).await.unwrap().0;
    let now = Timestamp::now();
    let (soon, later) = (now + std::time::Duration::from_secs(60), at(i64::from(u32::MAX) * 100));
    let login = store.begin_login(ann.id, Some("$phc$"), now, soon, later).await.unwrap();
    let hand_over = UserChanges { hands_over: true, ..UserChanges::default() };
    for _ in 0..2 {
        let after = store.update_user(ann.id, hand_over.clone()).await.unwrap();
        assert_eq!((after.origin, after.role), (Origin::ISSUER, Role::Developer));
    }
    assert_eq!(store.password_hash(ann.id).await.unwrap(), None);
    assert_eq!(store.use_refresh(login, 0, now, soon).await.unwrap(), RefreshUse::Ended);
    let after = store.update_user(ann.id, claims(at(1))).await.unwrap();
    assert_eq!(after.origin, Origin::Issuer { claims_at: at(1) });
}
