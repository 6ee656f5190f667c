//! Accounts, logins and settings.

use bellpull_domain::address::{AddressChanges, Addresses};
use bellpull_domain::channel::Channel;
use bellpull_domain::event::Event;
use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::notification::{Announcement, Message};
use bellpull_domain::routing::{Audience, Group};
use bellpull_domain::ticket::Priority;
use bellpull_domain::user::{Role, User};
use bellpull_port::accounts::{LoginName, NewUser, RefreshUse, UserChanges, UserFilter};
use bellpull_port::retention::{Old, Position};
use bellpull_port::{AccountStore, InboxStore, PageRequest, RetentionStore, Store, StoreError};
use futures_util::future::join_all;
use serde_json::Map;

use super::Fixture;
use super::people::{at, first, new_user, people, person};

/// Tells the super admins of a registration.
pub(crate) fn registration(user: &User) -> Announcement {
    let event = Event::UserRegistration;
    Announcement {
        channels: event.channels(),
        audience: Audience {
            group: Some(Group::SuperAdmins),
            users: Vec::new(),
            except: Some(user.id),
        },
        message: Message {
            kind: event.kind(),
            title: event.title().to_owned(),
            body: format!("A new user has registered: {}", user.display_name()),
            action_url: String::new(),
            metadata: Map::new(),
            ticket: None,
            sender: Some(user.id),
            priority: Priority::Medium,
            created_at: user.created_at,
            event,
        },
    }
}

pub(crate) async fn an_account_is_read_as_it_was_made<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let new = NewUser {
        full_name: "Ann O'Neill".to_owned(),
        addresses: Addresses::of([(Channel::WhatsApp, "+491"), (Channel::Sms, "+492")]),
        ..new_user("ann", "teacher")
    };
    let (user, announced) = store.create_user(new, None).await.unwrap();
    assert!(announced.is_none());
    assert!(user.is_active);
    assert_eq!((user.role.as_str(), user.display_name()), ("teacher", "Ann O'Neill"));
    assert_eq!((user.addresses.get(Channel::Sms), user.created_at), ("+492", at(0)));
    assert_eq!(store.user(user.id).await.unwrap(), Some(user.clone()));
    assert_eq!(store.user(UserId(99)).await.unwrap(), None);
    let named = NewUser { id: Some(UserId(50)), ..new_user("foreign", "client") };
    assert_eq!(store.create_user(named, None).await.unwrap().0.id, UserId(50));
    assert_eq!(person(store, "next", "client").await.id, UserId(51));
}

pub(crate) async fn names_and_addresses_are_taken_once<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let refused = |new: NewUser| async { store.create_user(new, None).await.unwrap_err() };
    assert_eq!(refused(new_user("ann", "client")).await, StoreError::Taken("username"));
    let address =
        NewUser { addresses: Addresses::email("ANN@Example.com"), ..new_user("other", "client") };
    assert_eq!(refused(address).await, StoreError::Taken("email"));
    let id = NewUser { id: Some(ann.id), ..new_user("third", "client") };
    assert_eq!(refused(id).await, StoreError::Taken("id"));
    for alike in ["ANN", "\u{430}nn", "\u{ff41}nn"] {
        let new = NewUser { addresses: Addresses::default(), ..new_user(alike, "client") };
        assert_eq!(refused(new).await, StoreError::TooSimilar("username"));
    }
    let address = NewUser {
        addresses: Addresses::email("\u{430}nn@example.com"),
        ..new_user("other", "client")
    };
    assert_eq!(refused(address).await, StoreError::TooSimilar("email"));
    // No address is like no other.
    person(store, "Ann2", "client").await;
    for name in ["w", "x", "y"] {
        let new = NewUser { addresses: Addresses::default(), ..new_user(name, "client") };
        store.create_user(new, None).await.unwrap();
    }
    let rivals =
        join_all((0..3).map(|_| store.create_user(new_user("same", "client"), None))).await;
    let refused: Vec<_> = rivals.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused, [StoreError::Taken("username"), StoreError::Taken("username")]);
}

pub(crate) async fn an_account_is_announced_to_those_who_exist<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    person(store, "admin", "admin").await;
    let chiefs = people(store, 2, "super_admin").await;
    let (user, announced) =
        store.create_user(new_user("ann", "client"), Some(registration)).await.unwrap();
    let announced = announced.unwrap();
    let recipients: Vec<UserId> = announced.entries.iter().map(|placed| placed.recipient).collect();
    assert_eq!(recipients, [chiefs[0].id, chiefs[1].id]);
    assert_eq!(announced.content.message.sender, Some(user.id));
    let new = new_user("chief", "super_admin");
    let (third, announced) = store.create_user(new, Some(registration)).await.unwrap();
    assert_eq!(announced.unwrap().entries.len(), 2, "not to itself");
    assert_eq!(store.head(third.id).await.unwrap().unread_count, 0);
    assert_eq!(store.head(chiefs[0].id).await.unwrap().unread_count, 2);
}

pub(crate) async fn an_account_that_cannot_be_announced_is_not_made<F: Fixture>() {
    fn to_an_unknown_user(user: &User) -> Announcement {
        let mut announcement = registration(user);
        announcement.audience.users.push(UserId(999));
        announcement
    }
    let fixture = F::make().await;
    let store = &**fixture.store();
    let outcomes = join_all([
        store.create_user(new_user("ann", "client"), Some(to_an_unknown_user)),
        store.create_user(new_user("bob", "client"), Some(registration)),
    ])
    .await;
    assert_eq!(outcomes[0].as_ref().unwrap_err(), &StoreError::NotFound);
    assert!(outcomes[1].is_ok());
    let ann = LoginName::Username("ann".to_owned());
    assert_eq!(store.credentials(&ann).await.unwrap(), None);
    person(store, "ann", "client").await;
}

pub(crate) async fn credentials_are_found_by_name_or_address<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let new = NewUser { password_hash: Some("$phc$".to_owned()), ..new_user("ann", "client") };
    let (ann, _) = store.create_user(new, None).await.unwrap();
    let bob = NewUser { addresses: Addresses::default(), ..new_user("bob", "client") };
    let (bob, _) = store.create_user(bob, None).await.unwrap();
    let found = |login: LoginName| async move { store.credentials(&login).await.unwrap() };
    let name = |name: &str| LoginName::Username(name.to_owned());
    let email = |email: &str| LoginName::Email(email.to_owned());
    let anns = Some((ann, Some("$phc$".to_owned())));
    assert_eq!(found(name("ann")).await, anns);
    assert_eq!(found(email("Ann@EXAMPLE.com")).await, anns);
    // A name is the same in every case and form, but not where it only looks the same.
    for same in ["ANN", "\u{ff41}nn"] {
        assert_eq!(found(name(same)).await, anns, "{same}");
    }
    for other in ["\u{430}nn", "anm", "an", "n", ""] {
        assert_eq!(found(name(other)).await, None, "{other}");
    }
    let jose = NewUser {
        addresses: Addresses::email("\u{fc}nal@example.com"),
        ..new_user("jos\u{e9}", "client")
    };
    let jose = Some((store.create_user(jose, None).await.unwrap().0, None));
    assert_eq!(found(name("JOSE\u{301}")).await, jose);
    assert_eq!(found(email("\u{dc}NAL@example.com")).await, jose);
    assert_eq!(found(email("u\u{308}nal@EXAMPLE.com")).await, jose);
    assert_eq!(found(email("unal@example.com")).await, None);
    assert_eq!(found(name("bob")).await, Some((bob, None)));
    assert_eq!(found(email("")).await, None, "bob's missing address is no login");
}

pub(crate) async fn changes_change_only_what_they_name<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    person(store, "bob", "client").await;
    let changes = UserChanges {
        role: Some("developer".parse().unwrap()),
        full_name: Some("Ann".to_owned()),
        password_hash: Some("$new$".to_owned()),
        ..UserChanges::default()
    };
    let after = store.update_user(ann.id, changes).await.unwrap();
    let wanted = User { role: after.role.clone(), full_name: "Ann".into(), ..ann.clone() };
    assert_eq!((&after, after.role.as_str()), (&wanted, "developer"));
    assert_eq!(store.user(ann.id).await.unwrap(), Some(after));
    let login = LoginName::Username("ann".to_owned());
    assert_eq!(store.credentials(&login).await.unwrap().unwrap().1.as_deref(), Some("$new$"));

    let address = |email: &str| UserChanges {
        addresses: AddressChanges::email(email),
        ..UserChanges::default()
    };
    let taken = store.update_user(ann.id, address("BOB@example.com")).await;
    assert_eq!(taken.unwrap_err(), StoreError::Taken("email"));
    let own = store.update_user(ann.id, address("ANN@example.com")).await.unwrap();
    assert_eq!(own.email(), "ANN@example.com");
    assert_eq!(store.update_user(ann.id, address("")).await.unwrap().email(), "");
    let unknown = store.update_user(UserId(99), UserChanges::default()).await;
    assert_eq!(unknown.unwrap_err(), StoreError::NotFound);
}

pub(crate) async fn accounts_are_listed_and_searched<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let devs = people(store, 3, "developer").await;
    let full = NewUser { full_name: "Zoë_Quinn".to_owned(), ..new_user("zq", "client") };
    store.create_user(full, None).await.unwrap();
    let names = |filter: UserFilter, page: PageRequest| async move {
        let page = store.list_users(&filter, page).await.unwrap();
        (
            page.count,
            page.rows.into_iter().map(|user| user.username.to_string()).collect::<Vec<_>>(),
        )
    };
    let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let all = names(UserFilter::default(), PageRequest { page: 2, page_size: 3 }).await;
    assert_eq!(all, (4, of(&["zq"])));
    let role = Some(devs[0].role.clone());
    let found = names(UserFilter { role, search: None }, first(2)).await;
    assert_eq!(found, (3, of(&["developer0", "developer1"])));
    for (search, wanted) in [("_QUINN", &["zq"][..]), ("LOPER2@", &["developer2"]), ("%", &[])] {
        let filter = UserFilter { role: None, search: Some(search.to_owned()) };
        assert_eq!(names(filter, first(10)).await.1, wanted, "{search}");
    }
}

pub(crate) async fn a_refresh_token_is_good_until_its_successor_was_used<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let login = store.begin_login(ann.id, None, at(0), at(60), at(1000)).await.unwrap();
    let use_it = |generation| async move {
        store.use_refresh(login, generation, at(1), at(61)).await.unwrap()
    };
    for generation in [0, 0, 1, 1, 3] {
        assert_eq!(use_it(generation).await, RefreshUse::Good(ann.id), "{generation}");
    }
    let reused = RefreshUse::Reused { user: ann.id, access_until: at(61) };
    assert_eq!(use_it(1).await, reused);
    for generation in [1, 3, 4] {
        assert_eq!(use_it(generation).await, RefreshUse::Ended, "{generation}");
    }
    let other = store.begin_login(ann.id, None, at(0), at(60), at(1000)).await.unwrap();
    assert_eq!(store.use_refresh(other, 0, at(1), at(60)).await.unwrap(), RefreshUse::Good(ann.id));
}

pub(crate) async fn a_login_ends_by_revocation_and_by_time<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let login = store.begin_login(ann.id, None, at(0), at(60), at(1000)).await.unwrap();
    assert_eq!(
        store.use_refresh(login, 0, at(999), at(60)).await.unwrap(),
        RefreshUse::Good(ann.id)
    );
    assert_eq!(store.use_refresh(login, 0, at(1000), at(60)).await.unwrap(), RefreshUse::Ended);
    for _ in 0..2 {
        assert_eq!(store.revoke_login(login, at(5)).await.unwrap(), Some(at(60)));
    }
    assert_eq!(store.use_refresh(login, 0, at(6), at(60)).await.unwrap(), RefreshUse::Ended);
    assert_eq!(store.use_refresh(LoginId(99), 0, at(6), at(60)).await.unwrap(), RefreshUse::Ended);
    assert_eq!(store.revoke_login(LoginId(99), at(6)).await.unwrap(), None);
    let unknown = store.begin_login(UserId(99), None, at(0), at(1), at(1)).await;
    assert_eq!(unknown.unwrap_err(), StoreError::NotFound);
}

pub(crate) async fn what_has_ended_is_known_until_its_last_access_token_is_over<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let mut logins = Vec::new();
    for access_until in [60, 70, 80, 90] {
        logins.push(
            store.begin_login(ann.id, None, at(0), at(access_until), at(1000)).await.unwrap(),
        );
    }
    let [short, refreshed, reused, _open] = logins[..] else { panic!("{logins:?}") };
    // A shorter lifetime does not shorten tokens already issued.
    for (generation, access_until) in [(0, 100), (1, 50)] {
        store.use_refresh(refreshed, generation, at(1), at(access_until)).await.unwrap();
        store.use_refresh(reused, generation, at(1), at(access_until - 20)).await.unwrap();
    }
    store.use_refresh(reused, 0, at(2), at(999)).await.unwrap();
    for login in [short, refreshed] {
        store.revoke_login(login, at(2)).await.unwrap();
    }
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    let known = |now, limit| async move { store.ended_logins(at(now), limit).await.unwrap() };
    let all = [(refreshed, at(100)), (reused, at(80)), (short, at(60))];
    assert_eq!(known(59, 9).await, all);
    assert_eq!(known(59, 2).await, all[..2], "those that are over last");
    assert_eq!(known(60, 9).await, all[..2]);
    assert_eq!(known(100, 9).await, []);
    assert_eq!(store.revoke_login(refreshed, at(3)).await.unwrap(), Some(at(100)), "again");
}

pub(crate) async fn settings_keep_their_first_value_until_they_are_set<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    assert_eq!(store.setting("epoch").await.unwrap(), None);
    let rivals = ["a", "b", "c"].map(|value| store.setting_or_insert("epoch", value));
    let values: Vec<String> = join_all(rivals).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(values[0], values[1]);
    assert_eq!(values[1], values[2]);
    assert_eq!(store.setting("epoch").await.unwrap().as_ref(), Some(&values[0]));
    store.set_setting("epoch", "new").await.unwrap();
    store.set_setting("address", "http://x").await.unwrap();
    assert_eq!(store.setting_or_insert("epoch", "z").await.unwrap(), "new");
    assert_eq!(store.setting("address").await.unwrap().as_deref(), Some("http://x"));
}

pub(crate) async fn it_answers<F: Fixture>() {
    let fixture = F::make().await;
    fixture.store().answers().await.unwrap();
}

/// Two ways to lose a super admin.
fn losses() -> [UserChanges; 2] {
    let demoted = UserChanges { role: Some(Role::Admin), ..UserChanges::default() };
    [demoted, UserChanges { is_active: Some(false), ..UserChanges::default() }]
}

pub(crate) async fn one_super_admin_stays_whatever_comes_in_one_group<F: Fixture>() {
    for loss in losses() {
        let fixture = F::make().await;
        let store = &**fixture.store();
        let chiefs = people(store, 3, "super_admin").await;
        let outcomes =
            join_all(chiefs.iter().map(|chief| store.update_user(chief.id, loss.clone()))).await;
        let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused, [StoreError::LastSuperAdmin], "{loss:?}");
        assert_eq!(active_chiefs(store).await, 1, "{loss:?}");
    }
}

pub(crate) async fn one_super_admin_stays_whatever_comes_in_two_groups<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let chiefs = people(store, 2, "super_admin").await;
    let [demoted, off] = losses();
    store.update_user(chiefs[0].id, off.clone()).await.unwrap();
    for loss in [&demoted, &off] {
        let refused = store.update_user(chiefs[1].id, loss.clone()).await.unwrap_err();
        assert_eq!(refused, StoreError::LastSuperAdmin, "{loss:?}");
    }
    // Nothing else of the last one is fixed, nor anything of others.
    let renamed = UserChanges {
        full_name: Some("Chief".to_owned()),
        role: Some(Role::SuperAdmin),
        is_active: Some(true),
        ..UserChanges::default()
    };
    assert_eq!(store.update_user(chiefs[1].id, renamed).await.unwrap().full_name, "Chief");
    store.update_user(chiefs[0].id, demoted.clone()).await.unwrap();
    let unknown = store.update_user(UserId(99), off.clone()).await.unwrap_err();
    assert_eq!(unknown, StoreError::NotFound);
    assert_eq!(active_chiefs(store).await, 1);
    // With a second one the first may go.
    let third = person(store, "third", "super_admin").await;
    store.update_user(chiefs[1].id, demoted).await.unwrap();
    assert_eq!(store.update_user(third.id, off).await, Err(StoreError::LastSuperAdmin));
}

pub(crate) async fn a_change_stands_on_the_role_that_was_seen<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    person(store, "root", "super_admin").await;
    let ann = person(store, "ann", "client").await;
    let seen = |role: Role, is_active| UserChanges {
        is_active: Some(is_active),
        seen_role: Some(role),
        ..UserChanges::default()
    };
    store.update_user(ann.id, seen(Role::Client, true)).await.unwrap();
    // Of two who give a client another role at once, one is too late.
    let to = |role: Role| UserChanges { role: Some(role), ..seen(Role::Client, true) };
    let (admin, teacher) = tokio::join!(
        store.update_user(ann.id, to(Role::Admin)),
        store.update_user(ann.id, to("teacher".parse().unwrap())),
    );
    let refused: Vec<_> = [admin, teacher].into_iter().filter_map(Result::err).collect();
    assert_eq!(refused, [StoreError::Conflict]);
    // An admin may switch a client off; meanwhile this one was made an admin.
    let promotion = UserChanges { role: Some(Role::Admin), ..UserChanges::default() };
    assert_eq!(store.update_user(ann.id, promotion).await.unwrap().role, Role::Admin);
    let off = store.update_user(ann.id, seen(Role::Client, false)).await;
    assert_eq!(off.unwrap_err(), StoreError::Conflict);
    assert!(store.update_user(ann.id, seen(Role::Admin, true)).await.unwrap().is_active);
    let unknown = store.update_user(UserId(99), seen(Role::Client, true)).await;
    assert_eq!(unknown.unwrap_err(), StoreError::NotFound);
}

async fn active_chiefs(store: &impl super::Store) -> usize {
    let filter = UserFilter { role: Some(Role::SuperAdmin), search: None };
    let all = store.list_users(&filter, first(100)).await.unwrap().rows;
    all.iter().filter(|user| user.is_active).count()
}

pub(crate) async fn logins_without_a_good_token_are_forgotten<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let mut logins = Vec::new();
    for (access_until, expires_at) in [(10, 100), (20, 200), (900, 300), (40, 400), (50, 5_000)] {
        let (access, end) = (at(access_until), at(expires_at));
        logins.push(store.begin_login(ann.id, None, at(0), access, end).await.unwrap());
    }
    store.revoke_login(logins[3], at(30)).await.unwrap();
    let forget = |before, limit| store.forget(Old::Logins, at(before), Position::START, limit);
    let step = forget(500, 2).await.unwrap();
    assert_eq!((step.removed, step.next), (2, Some(Position::START)));
    let step = forget(500, 2).await.unwrap();
    assert_eq!((step.removed, step.next), (1, None), "one has a good access token yet");
    // Of a login that is gone no token is good, and those that are kept are as before.
    for (login, is_kept) in logins.iter().zip([false, false, true, false, true]) {
        let found = store.revoke_login(*login, at(600)).await.unwrap();
        assert_eq!(found.is_some(), is_kept, "{login:?}");
    }
    assert_eq!(forget(1_000, 9).await.unwrap().removed, 1);
}
