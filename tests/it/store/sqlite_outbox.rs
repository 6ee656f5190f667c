//! SQLite's outbox: what a lease may visit, and what it must not.

use std::time::Instant;

use bellpull::storage::StoreOptions;
use bellpull::storage::sqlite::SqliteStore;
use bellpull_domain::address::AddressChanges;
use bellpull_domain::delivery::Rule;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::accounts::UserChanges;
use bellpull_port::delivery_log::DeliveryFilter;
use bellpull_port::{AccountStore, DeliveryLog, DeliveryStore};
use sqlx::AssertSqlSafe;

use super::people::{at, fill, first, person};
use super::sqlite::{beside, expect_plans, file, hub, open};
use crate::support::owner;

#[tokio::test]
async fn the_outboxs_statements_find_their_rows_by_index() {
    let (_directory, url) = file();
    let store = open(&url, hub()).await;
    expect_plans(&store, &[
        (
            "SELECT id, due_at FROM deliveries WHERE status = 'QUEUED' AND leased_until IS NULL \
             AND channel = ?1 AND lane = ?4 AND due_at <= ?2 ORDER BY due_at, id LIMIT ?3",
            "INDEX deliveries_due (channel=? AND lane=? AND due_at<?)",
        ),
        (
            "SELECT id, due_at FROM deliveries WHERE leased_until IS NOT NULL AND channel = ?1 \
             AND leased_until <= ?2",
            "INDEX deliveries_leased (channel=? AND leased_until>? AND leased_until<?)",
        ),
        (
            "SELECT min(due_at) FROM deliveries WHERE status = 'QUEUED' AND leased_until IS NULL \
             AND channel = ?1 AND lane = ?2",
            "INDEX deliveries_due (channel=? AND lane=?)",
        ),
        (
            "SELECT min(lane) FROM deliveries WHERE status = 'QUEUED' AND leased_until IS NULL \
             AND channel = ?1 AND lane > ?2",
            "INDEX deliveries_due (channel=? AND lane>?)",
        ),
        (
            "SELECT w.id FROM webhooks w WHERE w.user_id = ?1 AND w.is_active = 1",
            "INDEX webhooks_user (user_id=?)",
        ),
        (
            "SELECT w.id FROM webhooks w WHERE w.project_id IN (SELECT value FROM json_each('[]')) \
             AND w.is_active = 1",
            "INDEX webhooks_project (project_id=?)",
        ),
        (
            "SELECT channel, count(*), min(due_at) FROM deliveries INDEXED BY deliveries_due \
             WHERE status = 'QUEUED' AND leased_until IS NULL GROUP BY channel",
            "USING INDEX deliveries_due",
        ),
        (
            "UPDATE deliveries SET status = v.column3 FROM (VALUES (1,2,3),(4,5,6)) AS v \
             WHERE id = v.column1 AND ((status = 'QUEUED' AND leases = v.column2) \
             OR (v.column3 = 'SENT' AND status IN ('QUEUED', 'FAILED'))) \
             AND NOT EXISTS (SELECT 1 FROM delivery_attempts a \
             WHERE a.delivery_id = v.column1 AND a.number = v.column2)",
            "SEARCH deliveries USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            "SELECT d.id FROM json_each(?1) u CROSS JOIN deliveries d \
             INDEXED BY deliveries_until_seen ON d.recipient_id = u.value \
             WHERE d.until_seen IS NOT NULL AND d.status = 'QUEUED' AND d.leased_until IS NULL \
             AND d.digest_id IS NULL AND +d.notification_id IN (SELECT value FROM json_each(?2))",
            "SEARCH d USING INDEX deliveries_until_seen (recipient_id=?)",
        ),
        (
            "SELECT d.id FROM json_each(?1) w CROSS JOIN deliveries d \
             INDEXED BY deliveries_until_moved ON d.until_seen = w.value ->> 0 \
             AND d.id <= w.value ->> 1 WHERE d.status = 'QUEUED' AND d.digest_id IS NULL",
            "SEARCH d USING INDEX deliveries_until_moved (until_seen=? AND id<?)",
        ),
        (
            "SELECT u.id, EXISTS (SELECT 1 FROM deliveries d INDEXED BY deliveries_until_seen \
             WHERE d.recipient_id = u.id AND d.until_seen IS NOT NULL AND d.status = 'QUEUED' \
             AND d.leased_until IS NULL) FROM users u",
            "INDEX deliveries_until_seen (recipient_id=?)",
        ),
        (
            "SELECT t.id, EXISTS (SELECT 1 FROM deliveries d INDEXED BY deliveries_until_moved \
             WHERE d.until_seen = t.id AND d.status = 'QUEUED') FROM tickets t",
            "INDEX deliveries_until_moved (until_seen=?)",
        ),
        (
            "SELECT id FROM deliveries WHERE id > ?1 ORDER BY id LIMIT ?3",
            "SEARCH deliveries USING INTEGER PRIMARY KEY (rowid>?)",
        ),
        (
            "SELECT n.id, EXISTS (SELECT 1 FROM deliveries d WHERE d.notification_id = n.id) \
             FROM notifications n INDEXED BY notifications_deleted \
             WHERE n.deleted_at IS NOT NULL AND n.deleted_at < ?4 \
             AND (n.deleted_at, n.recipient_id, n.seq) > (?1, ?2, ?3) \
             ORDER BY n.deleted_at, n.recipient_id, n.seq LIMIT ?5",
            "SEARCH n USING INDEX notifications_deleted (",
        ),
        (
            "SELECT m.id, EXISTS (SELECT 1 FROM sends s WHERE s.message_id = m.id \
             AND (s.status = 'ACTIVE' OR EXISTS (SELECT 1 FROM idempotency_keys k \
             WHERE k.send_id = s.id))) FROM messages m INDEXED BY messages_free \
             WHERE m.copies = 0 AND m.created_at < ?3 AND (m.created_at, m.id) > (?1, ?2) \
             ORDER BY m.created_at, m.id LIMIT ?4",
            "SEARCH m USING COVERING INDEX messages_free (",
        ),
        (
            "UPDATE deliveries SET leased_until = NULL WHERE leased_until IS NOT NULL \
             AND channel = ?",
            "INDEX deliveries_leased (channel=?",
        ),
        (
            "UPDATE deliveries SET provider_status = v.column3 FROM (VALUES (1,2,3)) AS v \
             WHERE channel = v.column1 AND provider_id = v.column2",
            "INDEX deliveries_provider (channel=? AND provider_id=?)",
        ),
        (
            "SELECT e.id FROM json_each(?1) n CROSS JOIN early_reports e \
             ON e.provider_id = n.value WHERE EXISTS (SELECT 1 FROM deliveries d \
             WHERE d.channel = e.channel AND d.provider_id = e.provider_id)",
            "SEARCH e USING INDEX early_reports_name (provider_id=?)",
        ),
        (
            "SELECT id FROM deliveries WHERE status = ? AND channel = ? ORDER BY id DESC LIMIT ?",
            "USING COVERING INDEX deliveries_status (status=? AND channel=?)",
        ),
        (
            "SELECT id FROM deliveries INDEXED BY deliveries_digest WHERE recipient_id = ? \
             AND status = 'QUEUED' AND rule = 'digest' AND leased_until IS NULL \
             AND due_at <= ? AND digest_id IS ? ORDER BY due_at LIMIT ?",
            "INDEX deliveries_digest (recipient_id=? AND due_at<?)",
        ),
        (
            "SELECT user_id FROM addresses WHERE channel = 'EMAIL' AND address = ?",
            "SEARCH addresses USING COVERING INDEX addresses_email (address=?)",
        ),
        (
            "SELECT u.id, (SELECT group_concat(a.channel) FROM addresses a \
             WHERE a.user_id = u.id) FROM users u WHERE u.id = ?",
            "SEARCH a USING PRIMARY KEY (user_id=?)",
        ),
        (
            "SELECT u.id, json(p.body) FROM users u LEFT JOIN inboxes i ON i.user_id = u.id \
             LEFT JOIN preferences p ON p.user_id = u.id \
             WHERE u.id IN (SELECT value FROM json_each('[]'))",
            "SEARCH p USING INTEGER PRIMARY KEY (rowid=?)",
        ),
    ]).await;
}

/// A queue is looked at by what is due in it, however much was sent before.
#[tokio::test]
async fn millions_of_old_deliveries_do_not_slow_a_lease() {
    let (_directory, url) = file();
    let store =
        open(&url, StoreOptions { channels: Channels::of(&[Channel::Email]), ..hub() }).await;
    let client = person(&store, "client", "client").await;
    let id = fill(&store, &client, 1).await[0];
    // One row was visited a step: so many are what a lease may visit.
    let mut connection = beside(&store).await;
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) \
         INSERT INTO deliveries (id, notification_id, recipient_id, channel, target_id, status, \
         leases, due_at) SELECT 1000 + i, {id}, {client}, 'EMAIL', i, \
         CASE i % 10 WHEN 0 THEN 'FAILED' WHEN 1 THEN 'SUPPRESSED' ELSE 'SENT' END, 1, i FROM n",
        client = client.id,
    );
    sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    let begun = Instant::now();
    for n in 0..100 {
        let leased =
            store.lease(&owner(), Channel::Email, 64.into(), at(10 + n), at(11 + n)).await.unwrap();
        assert_eq!(leased.len(), 1);
        assert_eq!(
            store.next_due(&owner(), Channel::Email, u32::MAX).await.unwrap(),
            Some(at(11 + n))
        );
        store.give_back(&owner(), vec![(leased[0].id, leased[0].attempt)]).await.unwrap();
    }
    // Visiting them all takes 10 ms and more each time; all hundred together stay far below.
    let took = begun.elapsed();
    assert!(took.as_millis() < 3_000, "{took:?}");
}

/// Also what was queued before its recipient's address became another.
#[tokio::test]
async fn a_mail_that_waited_does_not_leave_for_an_address_that_is_not_confirmed() {
    for verify_email in [true, false] {
        let (_directory, url) = file();
        let channels = Channels::of(&[Channel::Email]);
        let store = open(&url, StoreOptions { channels, verify_email, ..hub() }).await;
        let client = person(&store, "client", "client").await;
        fill(&store, &client, 1).await;
        let addresses = AddressChanges::email("client@elsewhere.example");
        let changes = UserChanges { addresses, ..UserChanges::default() };
        store.update_user(client.id, changes).await.unwrap();
        let leased =
            store.lease(&owner(), Channel::Email, 64.into(), at(2_000), at(3_000)).await.unwrap();
        assert_eq!(leased.len(), usize::from(!verify_email));
        fill(&store, &client, 1).await;
        let filter = DeliveryFilter { status: None, channel: Some(Channel::Email) };
        let page = store.deliveries(filter, first(10)).await.unwrap();
        let rules: Vec<_> = page.rows.iter().map(|row| row.rule).collect();
        assert_eq!(rules, [verify_email.then_some(Rule::Unverified); 2], "{:?}", page.rows);
    }
}

#[tokio::test]
async fn only_the_process_that_has_the_file_for_itself_ends_earlier_leases() {
    let (_directory, url) = file();
    let channels = Channels::of(&[Channel::Email]);
    let options = || StoreOptions { channels, ..StoreOptions::default() };
    let store = open(&url, options()).await;
    let ann = person(&store, "ann", "client").await;
    fill(&store, &ann, 3).await;
    let due = async |store: &SqliteStore, now| {
        store.lease(&owner(), Channel::Email, 9.into(), at(now), at(now + 1_000)).await.unwrap()
    };
    assert_eq!(due(&store, 50).await.len(), 3);
    store.close().await;
    // A command beside the hub: it cannot know whether the owner lives.
    let store = open(&url, options()).await;
    assert!(due(&store, 51).await.is_empty());
    store.close().await;
    let store = open(&url, StoreOptions { channels, ..hub() }).await;
    assert_eq!(due(&store, 52).await.iter().map(|one| one.attempt).collect::<Vec<_>>(), [2; 3]);
}
