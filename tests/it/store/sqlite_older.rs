//! SQLite: databases of older versions.

use std::path::Path;

use bellpull_domain::address::{AddressChanges, Addresses};
use bellpull_domain::channel::Channel;
use bellpull_domain::ids::UserId;
use bellpull_domain::user::Origin;
use bellpull_port::accounts::{LoginName, NewUser, UserChanges};
use bellpull_port::{AccountStore, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::people::{new_user, person};
use super::sqlite::{beside, file, hub, open};

/// A database as the migrations before `version` made it, with what these statements wrote.
async fn older(directory: &Path, version: i64, statements: &[&'static str]) {
    let path = directory.join("hub.db");
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut before = options.connect().await.unwrap();
    let all = sqlx::migrate!("migrations/sqlite");
    let older = all.migrations.iter().filter(|one| one.version < version);
    let older = older.cloned().collect::<Vec<_>>();
    let older = sqlx::migrate::Migrator { migrations: older.into(), ..all };
    older.run_direct(None, &mut before, false).await.unwrap();
    for sql in statements {
        sqlx::query(AssertSqlSafe(*sql)).execute(&mut before).await.unwrap();
    }
    before.close().await.unwrap();
}

#[tokio::test]
async fn the_addresses_of_accounts_that_were_there_before_count_as_verified() {
    let (directory, url) = file();
    let ann = "INSERT INTO users (id, username, email, full_name, role, whatsapp_number, phone, \
               created_at) VALUES (7, 'ann', 'ann@example.com', '', 'client', '', '', 0)";
    older(directory.path(), 20, &[ann]).await;
    let store = open(&url, hub()).await;
    assert!(store.user(UserId(7)).await.unwrap().unwrap().is_email_verified);
}

#[tokio::test]
async fn accounts_of_an_older_version_without_a_password_are_the_issuers() {
    let (directory, url) = file();
    let accounts = "INSERT INTO users (id, username, full_name, role, password_hash, created_at) \
        VALUES (1, 'root', '', 'super_admin', '$phc$', 0), (2, 'seen', '', 'client', NULL, 0)";
    older(directory.path(), 37, &[accounts]).await;
    let store = open(&url, hub()).await;
    let origin = async |id| store.user(UserId(id)).await.unwrap().unwrap().origin;
    assert_eq!((origin(1).await, origin(2).await), (Origin::Hub, Origin::ISSUER));
    assert_eq!(store.own_below_apart(9).await.unwrap(), [(UserId(1), "root".to_owned())]);
}

#[tokio::test]
async fn accounts_of_an_older_version_keep_every_address() {
    use Channel::{Email, Sms, WhatsApp};
    let (directory, url) = file();
    let accounts = "INSERT INTO users (id, username, email, full_name, role, whatsapp_number, \
        phone, created_at, email_verified) VALUES \
        (1, 'ann', 'Ann@example.com', '', 'client', '+4915100000001', '+4915100000002', 0, 1), \
        (2, 'bob', '', '', 'client', '', '+4915100000003', 0, 0), \
        (3, 'cem', 'cem@example.com', '', 'client', '', '', 0, 0), \
        (4, 'dee', '', '', 'client', '', '', 0, 1)";
    older(directory.path(), 26, &[accounts]).await;
    let store = open(&url, hub()).await;
    let wanted: [&[(Channel, &str)]; 4] = [
        &[(Email, "Ann@example.com"), (WhatsApp, "+4915100000001"), (Sms, "+4915100000002")],
        &[(Sms, "+4915100000003")],
        &[(Email, "cem@example.com")],
        &[],
    ];
    let mut verified = Vec::new();
    for (id, wanted) in (1..).zip(wanted) {
        let user = store.user(UserId(id)).await.unwrap().unwrap();
        assert_eq!(user.addresses, Addresses::of(wanted.iter().copied()), "{}", user.username);
        verified.push(user.is_email_verified);
    }
    assert_eq!(verified, [true, false, false, true]);
    // The address still logs in, without regard to case, and is still taken.
    let login = LoginName::Email("ann@EXAMPLE.com".to_owned());
    assert_eq!(store.credentials(&login).await.unwrap().unwrap().0.id, UserId(1));
    let none = LoginName::Email(String::new());
    assert!(store.credentials(&none).await.unwrap().is_none(), "an empty address identifies none");
    let new =
        NewUser { addresses: Addresses::email("CEM@example.com"), ..new_user("else", "client") };
    assert_eq!(store.create_user(new, None).await.unwrap_err(), StoreError::Taken("email"));
    store.close().await;
}

#[tokio::test]
async fn names_that_looked_alike_before_stay_and_no_further_one_comes() {
    let (_directory, url) = file();
    let store = open(&url, hub()).await;
    let ann = person(&store, "ann", "client").await;
    let mut before = beside(&store).await;
    // As a database was before it knew what names look like.
    for sql in [
        "INSERT INTO users (username, full_name, role, created_at) \
         SELECT 'Ann', '', role, created_at FROM users",
        "INSERT INTO addresses (user_id, channel, address) \
         SELECT max(id), 'EMAIL', '\u{430}nn@example.com' FROM users",
        "DELETE FROM name_keys",
        "DELETE FROM settings WHERE name = 'name_keys_version'",
    ] {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut before).await.unwrap();
    }
    before.close().await.unwrap();
    store.close().await;
    let store = open(&url, hub()).await;
    assert_eq!(store.user(ann.id).await.unwrap().unwrap(), ann);
    let other = store.user(UserId(ann.id.0 + 1)).await.unwrap().unwrap();
    assert_eq!(other.username, "Ann");
    for name in ["aNN", "\u{430}nn"] {
        let new = NewUser { addresses: Addresses::default(), ..new_user(name, "client") };
        let refused = store.create_user(new, None).await.unwrap_err();
        assert_eq!(refused, StoreError::TooSimilar("username"));
    }
    // The address that it has stays its own, also where a client sends it back.
    let same =
        UserChanges { addresses: AddressChanges::email(other.email()), ..UserChanges::default() };
    assert_eq!(store.update_user(other.id, same).await.unwrap().email(), other.email());
    store.close().await;
}
