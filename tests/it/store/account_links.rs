//! Links in mails that change an account, and the logins that end with a password.

use bellpull_domain::account_link::{AccountLink, LinkPurpose};
use bellpull_domain::address::AddressChanges;
use bellpull_domain::delivery::{Leased, Rule};
use bellpull_domain::event::Event;
use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::routing::Channel;
use bellpull_domain::user::User;
use bellpull_port::account_links::{LinkTo, NewLink, PasswordChange};
use bellpull_port::accounts::{LoginName, NewUser, RefreshUse, UserChanges};
use bellpull_port::delivery_log::{DeliveryFilter, DeliveryRow};
use bellpull_port::{AccountStore, InboxStore, StoreError};
use futures_util::future::join_all;
use jiff::SignedDuration;

use super::people::{at, first, new_user};
use super::{Fixture, Store};
use crate::support::owner;

const MINUTE_MS: i64 = 60_000;

/// A registered user, with a password and an unconfirmed address.
async fn registered(store: &impl Store, name: &str) -> User {
    let new = NewUser {
        password_hash: Some("$old$".to_owned()),
        is_email_verified: false,
        ..new_user(name, "client")
    };
    store.create_user(new, None).await.unwrap().0
}

fn to_email(purpose: LinkPurpose, email: &str, ms: i64) -> NewLink {
    NewLink { purpose, to: LinkTo::Email(email.to_owned()), now: at(ms) }
}

async fn lease(store: &impl Store, ms: i64) -> Vec<Leased> {
    store.lease(&owner(), Channel::Email, 100.into(), at(ms), at(ms + 1)).await.unwrap()
}

/// A link for a new password, as its mail brings it.
async fn link(store: &impl Store, user: &User, ms: i64) -> AccountLink {
    let new = to_email(LinkPurpose::Password, user.email(), ms);
    assert!(store.mail_link(new).await.unwrap());
    let leased = lease(store, ms).await;
    leased.last().unwrap().account_link.unwrap()
}

fn change(user: &User, seen: &str, keep: Option<LoginId>, ms: i64) -> PasswordChange {
    let (password_hash, seen) = ("$new$".to_owned(), Some(seen.to_owned()));
    PasswordChange { user: user.id, password_hash, seen, keep, now: at(ms) }
}

async fn hash(store: &impl Store, user: &User) -> Option<String> {
    let name = LoginName::Username(user.username.to_string());
    store.credentials(&name).await.unwrap().unwrap().1
}

async fn newest(store: &impl Store) -> DeliveryRow {
    store.deliveries(DeliveryFilter::default(), first(1)).await.unwrap().rows.remove(0)
}

pub(crate) async fn a_link_is_good_once_and_until_it_expires<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = registered(store, "ann").await;
    let late = link(store, &ann, 0).await;
    assert_eq!((late.user, late.expires_at), (ann.id, at(30 * MINUTE_MS)));
    let reset = |link: AccountLink, hash: &str, minute: i64| {
        store.reset_password(link, hash.to_owned(), at(minute * MINUTE_MS))
    };
    assert!(store.is_link_open(&late, at(30 * MINUTE_MS - 1)).await.unwrap());
    assert!(!store.is_link_open(&late, at(30 * MINUTE_MS)).await.unwrap());
    assert_eq!(reset(late, "$late$", 30).await.unwrap(), None);

    let (one, two) = (link(store, &ann, 2).await, link(store, &ann, 3).await);
    let other = AccountLink { purpose: LinkPurpose::Email, ..two };
    assert!(!store.confirm_email(other, at(4)).await.unwrap(), "good for one thing");
    let bob = registered(store, "bob").await;
    let others = AccountLink { user: bob.id, ..two };
    assert_eq!(reset(others, "$bobs$", 1).await.unwrap(), None, "and for one account");
    // Of several who use it at once one succeeds.
    let rivals = join_all(["$1$", "$2$", "$3$"].map(|hash| reset(two, hash, 1))).await;
    let done = rivals.into_iter().zip(["$1$", "$2$", "$3$"]);
    let done = done.filter(|(done, _)| done.as_ref().unwrap().is_some());
    let done: Vec<&str> = done.map(|(_, hash)| hash).collect();
    assert_eq!(done, [hash(store, &ann).await.unwrap()]);
    assert_eq!(reset(one, "$x$", 1).await.unwrap(), None, "the others are void");
    let ann = store.user(ann.id).await.unwrap().unwrap();
    assert!(ann.is_email_verified, "the holder of the link has read the mail");
}

pub(crate) async fn a_link_is_mailed_only_where_it_is_of_use<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = registered(store, "ann").await;
    let foreign = store.create_user(new_user("foreign", "client"), None).await.unwrap().0;
    let off = registered(store, "off").await;
    let changes = UserChanges { is_active: Some(false), ..UserChanges::default() };
    store.update_user(off.id, changes).await.unwrap();
    use LinkPurpose::{Email, Password};
    for (purpose, email, wanted) in [
        (Password, "ANN@Example.com", true),
        (Password, "unknown@example.com", false),
        (Password, "", false),
        (Password, "foreign@example.com", false), // has no password
        (Password, "off@example.com", false),
        (Email, "ann@example.com", true),
        (Email, "foreign@example.com", false), // is verified
        (Email, "off@example.com", false),
    ] {
        let made = store.mail_link(to_email(purpose, email, 0)).await.unwrap();
        assert_eq!(made, wanted, "{purpose:?} {email}");
    }
    let by_id = NewLink { purpose: Email, to: LinkTo::User(foreign.id), now: at(0) };
    assert!(!store.mail_link(by_id).await.unwrap());

    let leased = lease(store, 0).await;
    let events: Vec<_> = leased.iter().map(|one| one.contents[0].message.event.clone()).collect();
    assert_eq!(events, [Event::PasswordReset, Event::EmailConfirmation]);
    for one in &leased {
        assert_eq!(one.addressee.as_ref().unwrap().id, ann.id);
        assert_eq!((one.notification, one.account_link.unwrap().user), (None, ann.id));
    }
    assert_eq!(store.head(ann.id).await.unwrap().unread_count, 0, "not in the inbox");
    let row = newest(store).await;
    assert_eq!((row.recipient, row.notification, row.target), (Some(ann.id), None, 0));
    // An account has a few at most; the oldest give way.
    let first_link = leased[0].account_link.unwrap();
    for n in 1..5 {
        link(store, &ann, n).await;
    }
    assert!(store.is_link_open(&first_link, at(5)).await.unwrap());
    link(store, &ann, 5).await;
    assert!(!store.is_link_open(&first_link, at(5)).await.unwrap());
}

pub(crate) async fn of_too_many_links_the_oldest_by_time_gives_way<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = registered(store, "ann").await;
    let mut links = Vec::new();
    // The first one, with the lowest id, is the newest.
    for ms in [100, 1, 2, 3, 4, 200] {
        links.push(link(store, &ann, ms).await);
    }
    let mut open = Vec::new();
    for link in &links {
        open.push(store.is_link_open(link, at(201)).await.unwrap());
    }
    assert_eq!(open, [true, false, true, true, true, true]);
}

pub(crate) async fn a_mail_about_an_account_leaves_only_while_its_link_is_good<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = registered(store, "ann").await;
    let mail = || store.mail_link(to_email(LinkPurpose::Password, "ann@example.com", 0));
    let stopped = async |rule: Rule, ms: i64| {
        assert!(lease(store, ms).await.is_empty(), "{rule:?}");
        let row = newest(store).await;
        assert_eq!((row.status, row.rule), (DeliveryStatus::Suppressed, Some(rule)));
    };
    mail().await.unwrap();
    stopped(Rule::Expired, 30 * MINUTE_MS).await;
    mail().await.unwrap();
    store.change_password(change(&ann, "$old$", None, 1)).await.unwrap();
    stopped(Rule::Expired, 2).await;
    mail().await.unwrap();
    let changes = |email: &str| UserChanges {
        addresses: AddressChanges::email(email),
        ..UserChanges::default()
    };
    store.update_user(ann.id, changes("ann@elsewhere.example")).await.unwrap();
    stopped(Rule::NoAddress, 2).await;
    store.update_user(ann.id, changes("ann@example.com")).await.unwrap();
    mail().await.unwrap();
    // The same address, written in another way.
    store.update_user(ann.id, changes("Ann@Example.com")).await.unwrap();
    assert_eq!(lease(store, 2).await.len(), 1);
}

pub(crate) async fn another_address_must_be_confirmed_unless_an_issuer_vouches<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = registered(store, "ann").await;
    let new = NewLink { purpose: LinkPurpose::Email, to: LinkTo::User(ann.id), now: at(0) };
    assert!(store.mail_link(new.clone()).await.unwrap());
    let old = lease(store, 0).await[0].account_link.unwrap();
    let change = async |email: Option<&str>, vouches_for_email: bool| {
        let addresses = email.map(AddressChanges::email).unwrap_or_default();
        let changes = UserChanges { addresses, vouches_for_email, ..UserChanges::default() };
        store.update_user(ann.id, changes).await.unwrap().is_email_verified
    };
    assert!(!change(None, true).await, "no new address, nothing to vouch for");
    assert!(!change(Some("ann@second.example"), false).await);
    assert!(!store.confirm_email(old, at(1)).await.unwrap(), "it was for the one before");
    assert!(store.mail_link(new.clone()).await.unwrap());
    let link = lease(store, 2).await[0].account_link.unwrap();
    assert!(store.confirm_email(link, at(3)).await.unwrap());
    assert!(!store.confirm_email(link, at(3)).await.unwrap(), "once");
    assert!(store.user(ann.id).await.unwrap().unwrap().is_email_verified);
    assert!(!store.mail_link(new).await.unwrap(), "nothing is left to confirm");
    assert!(change(Some("ANN@second.example"), false).await, "the same one");
    assert!(!change(Some("ann@third.example"), false).await);
    assert!(change(Some("ann@fourth.example"), true).await);
}

pub(crate) async fn a_new_password_ends_all_logins_but_the_one_that_is_kept<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let (ann, bob) = (registered(store, "ann").await, registered(store, "bob").await);
    let begin = |user: &User, hash: &'static str, access_until: i64| {
        let (access, end) = (at(access_until), at(1_000));
        store.begin_login(user.id, Some(hash), at(0), access, end)
    };
    let kept = begin(&ann, "$old$", 500).await.unwrap();
    let lost = begin(&ann, "$old$", 500).await.unwrap();
    let quiet = begin(&ann, "$old$", 10).await.unwrap();
    let bobs = begin(&bob, "$old$", 500).await.unwrap();
    let late = store.change_password(change(&ann, "$another$", Some(kept), 20)).await;
    assert_eq!(late.unwrap_err(), StoreError::NotFound, "it was seen before it was changed");
    let changed = store.change_password(change(&ann, "$old$", Some(kept), 20)).await;
    let ended: Vec<LoginId> = changed.unwrap().iter().map(|login| login.id).collect();
    assert_eq!(ended, [lost], "of the third no access token is left");
    let uses = |login: LoginId| store.use_refresh(login, 0, at(30), at(500));
    assert_eq!(uses(kept).await.unwrap(), RefreshUse::Good(ann.id));
    assert_eq!(uses(bobs).await.unwrap(), RefreshUse::Good(bob.id));
    for login in [lost, quiet] {
        assert_eq!(uses(login).await.unwrap(), RefreshUse::Ended);
    }
    // Another process learns of it, by the store's clock whatever this one's is.
    let read_at = store.logins_revoked(None, at(21), 10).await.unwrap().read_at;
    let revoked = async |since_s: i64, now: i64| {
        let since = Some(read_at + SignedDuration::from_secs(since_s));
        let found = store.logins_revoked(since, at(now), 10).await.unwrap();
        assert!(found.read_at >= read_at);
        found.logins.iter().map(|login| (login.id, login.user)).collect::<Vec<_>>()
    };
    assert_eq!(revoked(-10, 21).await, [(lost, ann.id)]);
    assert_eq!(revoked(10, 21).await, []);
    assert_eq!(revoked(-10, 500).await, [], "its tokens have expired");
    assert!(store.logins_revoked(None, at(21), 10).await.unwrap().logins.is_empty());
    for (login, is_ended) in [(kept, false), (lost, true), (quiet, true), (LoginId(99), true)] {
        assert_eq!(store.is_login_ended(login).await.unwrap(), is_ended);
    }

    // A request that was verified against the old password is too late.
    assert_eq!(begin(&ann, "$old$", 500).await.unwrap_err(), StoreError::NotFound);
    assert!(begin(&ann, "$new$", 500).await.is_ok());
    let unknown = PasswordChange { user: UserId(99), ..change(&ann, "$new$", None, 20) };
    let unknown = store.change_password(unknown).await;
    assert_eq!(unknown.unwrap_err(), StoreError::NotFound);
}
