//! The outbox of several nodes on one PostgreSQL database.

use std::collections::BTreeSet;
use std::sync::Arc;

use bellpull::storage::StoreOptions;
use bellpull::storage::postgres::PostgresStore;
use bellpull_domain::delivery::{Attempt, Leased, Outcome, ProviderReport, ProviderStatus, Rule};
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::analytics::ReportFilter;
use bellpull_port::delivery_log::DeliveryFilter;
use bellpull_port::retention::{Old, Position};
use bellpull_port::{
    DeliveryLog, DeliveryStore, LeaseLimit, LeaseOwner, ReportStore, RetentionStore,
};
use futures_util::future::join_all;

use super::people::{at, first};
use crate::support::postgres::{Database, server};
use crate::support::skip::skipped;

const NO_SERVER: &str = "TEST_POSTGRES names no PostgreSQL server";

/// Two nodes, and the database.
async fn nodes() -> ([(Arc<PostgresStore>, LeaseOwner); 2], Database) {
    let database = Database::create().await;
    let node = async |name| {
        let channels = Channels::of(&[Channel::Email, Channel::Webhook]);
        let options = StoreOptions { channels, connections: 6, ..StoreOptions::default() };
        let store = PostgresStore::open(&database.url(), options).await.unwrap();
        (Arc::new(store), LeaseOwner::new(name, at(0)))
    };
    let both = [node("a").await, node("b").await];
    (both, database)
}

/// So many queued e-mails to one user, each due a millisecond after the one before, from 1 on.
async fn emails(database: &Database, count: i64) {
    let begin = at(0).as_millisecond();
    let sql = format!(
        "INSERT INTO users (id, username, full_name, role, created_at) \
         VALUES (7, 'ann', '', 'client', 0);
         INSERT INTO addresses (user_id, channel, address) VALUES (7, 'EMAIL', 'ann@example.com');
         INSERT INTO messages (id, event, kind, title, body, action_url, metadata, priority, \
         created_at, copies) SELECT n, 'news', 'INFO', 'A title', 'A text', '', '{{}}', 'LOW', \
         {begin} + n, 1 FROM generate_series(1, {count}) n;
         INSERT INTO notifications (recipient_id, seq, id, changed_seq, message_id) \
         SELECT 7, n, n, n, n FROM generate_series(1, {count}) n;
         INSERT INTO deliveries (id, notification_id, recipient_id, channel, status, due_at) \
         SELECT n, n, 7, 'EMAIL', 'QUEUED', {begin} + n FROM generate_series(1, {count}) n;"
    );
    database.execute(&sql).await;
}

async fn lease(
    (store, owner): &(Arc<PostgresStore>, LeaseOwner),
    most: u32,
    now: i64,
) -> Vec<Leased> {
    let until = at(now + 1_000);
    store.lease(owner, Channel::Email, most.into(), at(now), until).await.unwrap()
}

fn tried(leased: &Leased, outcome: Outcome) -> Attempt {
    let (delivery, number) = (leased.id, leased.attempt);
    Attempt { delivery, number, started_at: at(5_000), took_ms: 7, outcome, due_at: None }
}

fn sent(name: &str) -> Outcome {
    Outcome::Sent { provider_id: Some(name.to_owned()) }
}

#[tokio::test]
async fn each_delivery_is_leased_once_by_one_of_two_nodes() {
    if server().is_none() {
        return skipped(NO_SERVER);
    }
    const ALL: usize = 1_000;
    let (nodes, database) = nodes().await;
    emails(&database, 1_000).await;
    let work = |n: usize| {
        let node = nodes[n % 2].clone();
        async move {
            let mut leased = Vec::new();
            for _ in 0..=ALL {
                let some = lease(&node, 7, 5_000).await;
                if some.is_empty() {
                    break;
                }
                leased.extend(some);
            }
            leased
        }
    };
    let leased: Vec<Leased> = join_all((0..16).map(work)).await.into_iter().flatten().collect();
    let ids: BTreeSet<DeliveryId> = leased.iter().map(|one| one.id).collect();
    assert_eq!((leased.len(), ids.len()), (ALL, ALL));
    assert!(leased.iter().all(|one| one.attempt == 1));
    // What each has tried is recorded by both at once, in any order.
    let record = |(n, some): (usize, &[Leased])| {
        let store = Arc::clone(&nodes[n % 2].0);
        let mut attempts: Vec<Attempt> = some.iter().map(|one| tried(one, sent("m"))).collect();
        if n % 3 == 0 {
            attempts.reverse();
        }
        async move { store.record(attempts).await.unwrap() }
    };
    join_all(leased.chunks(40).enumerate().map(record)).await;
    let filter = DeliveryFilter { status: Some(DeliveryStatus::Sent), channel: None };
    assert_eq!(nodes[0].0.deliveries(filter, first(1)).await.unwrap().count, 1_000);
}

#[tokio::test]
async fn the_leases_of_a_killed_node_come_back_after_their_time() {
    if server().is_none() {
        return skipped(NO_SERVER);
    }
    let ([a, b], database) = nodes().await;
    emails(&database, 100).await;
    let first = lease(&a, 60, 5_000).await;
    assert_eq!(first.len(), 60);
    // Dropped without a release, as when the process is killed.
    drop(a);
    assert_eq!(lease(&b, 100, 5_000).await.len(), 40, "those that were free");
    assert!(lease(&b, 100, 5_999).await.is_empty(), "not before their time");
    assert_eq!(b.0.next_due(&b.1, Channel::Email, u32::MAX).await.unwrap(), Some(at(6_000)));
    let again = lease(&b, 60, 6_000).await;
    let ids = |leased: &[Leased]| leased.iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&first), "the longest due first");
    assert!(again.iter().all(|one| one.attempt == 2));
}

#[tokio::test]
async fn each_node_leases_no_more_of_a_lane_than_its_share() {
    if server().is_none() {
        return skipped(NO_SERVER);
    }
    let (nodes, database) = nodes().await;
    emails(&database, 40).await;
    database
        .execute(
            "INSERT INTO webhooks (id, user_id, url, lane, events, description, secret, \
             created_at, updated_at) VALUES (1, 7, 'https://slow.example', 'slow', '[]', '', \
             'secret', 0, 0);
             INSERT INTO hung_lanes (channel, lane, at) VALUES ('WEBHOOK', 'hung', 1);
             INSERT INTO deliveries (id, notification_id, recipient_id, channel, target_id, lane, \
             status, due_at) SELECT 100 + id, notification_id, 7, 'WEBHOOK', 1, \
             CASE WHEN id % 2 = 0 THEN 'slow' ELSE 'hung' END, 'QUEUED', due_at FROM deliveries;",
        )
        .await;
    let limit = LeaseLimit { most: 20, lane_max: 3 };
    let lease = |n: usize| {
        let (store, owner) = nodes[n % 2].clone();
        let (now, until) = (at(50), at(1_050));
        async move { store.lease(&owner, Channel::Webhook, limit, now, until).await.unwrap() }
    };
    let leased: Vec<Leased> = join_all((0..8).map(lease)).await.into_iter().flatten().collect();
    // Each has three of the slow lane, and one of the lane that hangs.
    let slow = leased.iter().filter(|one| one.id.0 % 2 == 0).count();
    assert_eq!((slow, leased.len()), (6, 8));
}

#[tokio::test]
async fn a_record_and_an_early_report_never_miss_each_other() {
    if server().is_none() {
        return skipped(NO_SERVER);
    }
    const ALL: i64 = 60;
    let ([a, b], database) = nodes().await;
    // One more stays leased, so that any report may be early.
    emails(&database, ALL + 1).await;
    let leased = lease(&a, 100, 5_000).await;
    for one in &leased[..60] {
        let name = format!("m-{}", one.id);
        let status = ProviderStatus::Delivered;
        let report = ProviderReport { provider_id: name.clone(), status, error: None, at: at(9) };
        let (recorded, reported) = tokio::join!(
            a.0.record(vec![tried(one, sent(&name))]),
            b.0.reported(Channel::Email, report, at(5_001))
        );
        recorded.unwrap();
        reported.unwrap();
        let row = b.0.delivery(one.id).await.unwrap().unwrap();
        assert_eq!(row.provider_status, Some(status), "{name}");
    }
}

#[tokio::test]
async fn what_a_provider_says_is_recorded_whatever_it_contains() {
    if server().is_none() {
        return skipped(NO_SERVER);
    }
    let ([a, _], database) = nodes().await;
    emails(&database, 2).await;
    let leased = lease(&a, 2, 5_000).await;
    let refused = Outcome::Refused { error: "550 \0 no".to_owned() };
    a.0.record(vec![tried(&leased[0], refused), tried(&leased[1], sent("m\0"))]).await.unwrap();
    let row = a.0.delivery(leased[0].id).await.unwrap().unwrap();
    assert_eq!(row.error.as_deref(), Some("550 \u{fffd} no"));
    let (status, error) = (ProviderStatus::Failed, Some("\0".to_owned()));
    let report = ProviderReport { provider_id: "m\0".to_owned(), status, error, at: at(9) };
    assert!(a.0.reported(Channel::Email, report, at(5_001)).await.unwrap());
    let row = a.0.delivery(leased[1].id).await.unwrap().unwrap();
    assert_eq!((row.status, row.error.as_deref()), (DeliveryStatus::Failed, Some("\u{fffd}")));
}

#[tokio::test]
async fn two_nodes_remove_each_old_row_once() {
    if server().is_none() {
        return skipped(NO_SERVER);
    }
    let (nodes, database) = nodes().await;
    emails(&database, 300).await;
    database
        .execute(
            "UPDATE deliveries SET status = 'FAILED';
             UPDATE notifications SET deleted_at = 5, changed_seq = seq + 300;
             INSERT INTO delivery_attempts SELECT id, 1, 0, 0, 'refused', NULL FROM deliveries;
             INSERT INTO logins (user_id, created_at, expires_at)
             SELECT 7, 0, n FROM generate_series(1, 300) n;
             INSERT INTO audit_log (at, user_id, username, role, action, path, address, node)
             SELECT n, 1, 'ada', 'admin', 'PATCH /', '/', '::1', 'a' FROM generate_series(1, 300) n;",
        )
        .await;
    for what in Old::ALL {
        let walk = |n: usize| {
            let store = Arc::clone(&nodes[n % 2].0);
            async move {
                let (mut removed, mut from) = (0, Some(Position::START));
                while let Some(position) = from {
                    let step = store.forget(what, at(5_000), position, 20).await.unwrap();
                    (removed, from) = (removed + step.removed, step.next);
                }
                removed
            }
        };
        let removed: u64 = join_all((0..4).map(walk)).await.into_iter().sum();
        assert_eq!(removed, 300, "{what:?}");
    }
    // Each message has lost its one row, and no more; the inbox knows its last change.
    let sql = "DO $$ BEGIN ASSERT (SELECT forgotten_seq FROM inboxes WHERE user_id = 7) = 600; \
               ASSERT NOT EXISTS (SELECT 1 FROM delivery_attempts); END $$";
    database.execute(sql).await;
}

#[tokio::test]
async fn a_report_finds_messages_whose_ids_are_far_apart() {
    if server().is_none() {
        return skipped(NO_SERVER);
    }
    let ([a, _], database) = nodes().await;
    emails(&database, 40).await;
    // Half of them have ids of another node's blocks; rows of other times lie between.
    database
        .execute(
            "UPDATE messages SET id = id * 1000000 WHERE id % 2 = 0;
             UPDATE notifications SET message_id = message_id * 1000000 WHERE message_id % 2 = 0;
             INSERT INTO messages SELECT 500000 + id, event, kind, title, body, action_url, \
             metadata, ticket_id, ticket, sender_id, priority, 5, copies FROM messages \
             WHERE id < 100;
             UPDATE deliveries SET status = 'SUPPRESSED', rule = 'seen' WHERE id <= 10;",
        )
        .await;
    let filter = ReportFilter { from: at(0), to: at(10_000), event: None, channel: None };
    let rows = a.0.report(filter).await.unwrap().unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row.channel, row.sent, row.queued, row.suppressed.clone()))
        .collect();
    let wanted =
        [(Channel::System, 40, 0, Vec::new()), (Channel::Email, 0, 30, vec![(Rule::Seen, 10)])];
    assert_eq!(found, wanted);
}
