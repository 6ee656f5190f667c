//! Tickets for sockets that nodes share: good once at any node, for a while, and so many a user.

use std::time::Duration;

use bellpull::storage::StoreOptions;
use bellpull::storage::postgres::PostgresStore;
use bellpull_domain::ids::{LoginId, UserId};
use bellpull_port::shared_tickets::TicketHolder;
use bellpull_port::{SharedTickets, Store};
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::support::postgres::{Database, server};
use crate::support::skip::skipped;

const TTL: Duration = Duration::from_secs(30);

fn holder(user: i64) -> TicketHolder {
    let expires_at = Timestamp::from_millisecond(1_900_000_000_123).unwrap();
    TicketHolder { user: UserId(user), login: Some(LoginId(7)), expires_at }
}

async fn open(database: &Database) -> PostgresStore {
    let options = StoreOptions { connections: 4, ..StoreOptions::default() };
    PostgresStore::open(&database.url(), options).await.unwrap()
}

#[tokio::test]
async fn of_many_who_use_one_ticket_at_two_nodes_one_gets_it() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let database = Database::create().await;
    let nodes = [open(&database).await, open(&database).await];
    for n in 0..10 {
        let hash = [n; 32];
        assert!(nodes[0].keep_ticket(hash, holder(1), TTL, 64).await.unwrap());
        let takes = (0..8).map(|take| nodes[take % 2].take_ticket(hash, TTL));
        let taken: Vec<_> = join_all(takes).await.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(taken, [holder(1)]);
    }
    let no_login = TicketHolder { login: None, ..holder(2) };
    assert!(nodes[1].keep_ticket([99; 32], no_login, TTL, 64).await.unwrap());
    assert_eq!(nodes[0].take_ticket([99; 32], TTL).await.unwrap(), Some(no_login));
    assert_eq!(nodes[0].take_ticket([98; 32], TTL).await.unwrap(), None, "never issued");
    for node in nodes {
        node.close().await;
    }
}

#[tokio::test]
async fn expired_tickets_are_refused_make_room_and_are_removed() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let database = Database::create().await;
    let store = open(&database).await;
    for n in 0..3 {
        assert!(store.keep_ticket([n; 32], holder(1), TTL, 3).await.unwrap());
    }
    assert!(!store.keep_ticket([9; 32], holder(1), TTL, 3).await.unwrap(), "so many a user");
    assert!(store.keep_ticket([10; 32], holder(2), TTL, 3).await.unwrap(), "each of them");
    database.execute("UPDATE connect_tickets SET made_at = made_at - 30000").await;
    assert_eq!(store.take_ticket([0; 32], TTL).await.unwrap(), None);
    assert!(store.keep_ticket([9; 32], holder(1), TTL, 3).await.unwrap(), "there is room again");
    let mut connection = database.connect().await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM connect_tickets")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(left, 1, "only the new one");
    store.close().await;
}
