//! PostgreSQL's plans for the writers' statements. They are made once for a connection, while
//! tables may be empty, and must not read whole tables when these have grown.

use std::sync::Arc;
use std::time::Duration;

use bellpull::storage::StoreOptions;
use bellpull::storage::postgres::PostgresStore;
use bellpull_domain::search::Search;
use bellpull_domain::send::Recipients;
use bellpull_domain::user::Role;
use bellpull_port::sends::BeginSend;
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{SendStore, Store, TicketStore};

use super::people::{at, first, person, raise};
use super::sends::send;
use crate::support::postgres::{Database, server};
use crate::support::skip::skipped;
use crate::support::{PATIENCE, owner};

/// How many rows of a table the server read to find those that were wanted.
async fn rows_read(database: &Database, table: &str) -> i64 {
    let sql = "SELECT seq_tup_read + (SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes i \
               WHERE i.relid = t.relid) FROM pg_stat_user_tables t WHERE relname = $1";
    let mut connection = database.connect().await;
    sqlx::query_scalar(sql).bind(table).fetch_one(&mut connection).await.unwrap()
}

/// Waits until the server has counted that many new rows: it counts when a connection has ended.
async fn are_counted(database: &Database, table: &str, rows: i64) {
    let sql = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = $1";
    let counted = async {
        loop {
            let mut connection = database.connect().await;
            let query = sqlx::query_scalar::<_, i64>(sql).bind(table);
            if query.fetch_one(&mut connection).await.unwrap() >= rows {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.expect("the statistics of the server");
}

async fn open(database: &Database) -> Arc<PostgresStore> {
    // One connection for all statements: each has one plan.
    let options = StoreOptions { exclusive: true, connections: 1, ..StoreOptions::default() };
    Arc::new(PostgresStore::open(&database.url(), options).await.unwrap())
}

#[tokio::test]
async fn tickets_are_found_by_their_keys_however_many_there_are() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let database = Database::create().await;
    let store = open(&database).await;
    let client = person(&*store, "client", "client").await;
    for nth in 0..200 {
        raise(&*store, &format!("Ticket {nth}"), &client).await;
    }
    store.close().await;
    drop(store);
    are_counted(&database, "tickets", 200).await;
    let read = rows_read(&database, "tickets").await;
    assert!(read < 2_000, "{read} rows were read for 200 tickets");
}

/// A developer of a project with one ticket, beside one with many.
#[tokio::test]
async fn a_search_reads_the_tickets_that_its_caller_sees() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let database = Database::create().await;
    let store = open(&database).await;
    let client = person(&*store, "client", "client").await;
    let dev = person(&*store, "dev", "developer").await;
    for nth in 0..300 {
        raise(&*store, &format!("Ticket {nth}"), &client).await;
    }
    raise(&*store, "Ticket of my own", &dev).await;
    for sql in [
        "UPDATE projects SET is_open = FALSE",
        "INSERT INTO projects (id, key, name, is_open, created_at) VALUES (7, 'WEB', 'W', TRUE, 0)",
        "UPDATE tickets SET project_id = 7, number = 1 WHERE id IN (SELECT min(id) FROM tickets)",
        "ANALYZE",
    ] {
        database.execute(sql).await;
    }
    let search = Some(Search::of("ticket").unwrap());
    let visible_to = Some((dev.id, dev.role.clone()));
    let filter = TicketFilter { search, visible_to, ..TicketFilter::default() };
    for _ in 0..50 {
        assert_eq!(store.tickets(&filter, first(20)).await.unwrap().count, 2);
    }
    store.close().await;
    drop(store);
    are_counted(&database, "tickets", 301).await;
    let read = rows_read(&database, "tickets").await;
    assert!(read < 4_000, "{read} rows were read for 301 tickets and 50 searches");
}

#[tokio::test]
async fn a_chunk_of_a_send_reads_its_own_accounts_only() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let database = Database::create().await;
    let store = open(&database).await;
    let admin = person(&*store, "admin", "admin").await;
    database
        .execute(
            "INSERT INTO users (id, username, full_name, role, created_at) \
             SELECT 1000 + n, 'client' || n, '', 'client', 0 FROM generate_series(1, 3000) n",
        )
        .await;
    let news = send(admin.id, Recipients::Role(Role::Client));
    let begun = store.begin_send(news, 100, at(10)).await.unwrap();
    let BeginSend::Begun { send, has_more: true, .. } = begun else { panic!("{begun:?}") };
    let (node, mut chunks) = (owner(), 1);
    loop {
        let step = store.continue_sends(&node, &[send.id], 100, at(20)).await.unwrap();
        chunks += 1;
        if !step.chunks[0].as_ref().unwrap().has_more {
            break;
        }
    }
    assert_eq!(chunks, 30);
    store.close().await;
    drop(store);
    are_counted(&database, "notifications", 3_000).await;
    let read = rows_read(&database, "users").await;
    // Each is counted, walked and found by its id: a few times, however many chunks there are.
    assert!(read < 30_000, "{read} accounts were read for 3,000 recipients");
}

/// An index that goes by a locale is out of order when the server's C library changes.
#[tokio::test]
async fn every_index_on_text_compares_bytes() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let database = Database::create().await;
    let sql = "SELECT i.indexrelid::regclass::text FROM pg_index i \
               JOIN pg_class t ON t.oid = i.indrelid AND t.relnamespace = 'public'::regnamespace \
               CROSS JOIN unnest(i.indcollation::oid[]) AS used (id) \
               JOIN pg_collation c ON c.oid = used.id WHERE c.collname <> 'C'";
    let mut connection = database.connect().await;
    let others: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
    assert_eq!(others, <[String; 0]>::default());
}
