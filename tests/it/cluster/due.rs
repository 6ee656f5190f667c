//! Scheduled sends and digests: one of the live nodes carries a due one out, and another continues
//! it when that one is gone. Each recipient is told once.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection};

use super::post_office::PostOffice;
use super::{Nodes, Shared, ask, observed, raise, until};
use crate::support::postgres::Database;
use crate::support::process::Process;
use crate::support::{Person, account};
use crate::ws::Socket;

/// Some chunks.
const STUDENTS: i64 = 1_500;

/// Makes so many accounts of one role.
async fn students(database: &Database) {
    let sql = format!(
        "INSERT INTO users (username, full_name, role, created_at) \
         SELECT 'student' || n, '', 'student', 0 FROM generate_series(1, {STUDENTS}) n"
    );
    database.execute(&sql).await;
}

/// Schedules a message for that audience; its id.
async fn send_soon(at: SocketAddr, who: &Person, recipients: Value) -> i64 {
    let send_at = Timestamp::now() + SignedDuration::from_millis(300);
    let body = json!({"recipients": recipients, "title": "Soon", "message": "At noon.",
        "send_at": send_at});
    let told = ask(at, who, Method::POST, "/api/notifications/", &body).await;
    told["id"].as_i64().unwrap()
}

/// Waits until a send is done.
async fn until_done(at: SocketAddr, who: &Person, send: i64) {
    let path = format!("/api/scheduled/{send}/");
    let is_done = async || ask(at, who, Method::GET, &path, &Value::Null).await["status"] == "DONE";
    until(is_done, "the send is done").await;
}

/// How many have how many notifications, among the students.
async fn counts(database: &Database) -> BTreeMap<i64, i64> {
    let sql = "SELECT i.last_seq, count(*) FROM inboxes i JOIN users u ON u.id = i.user_id \
               WHERE u.role = 'student' GROUP BY i.last_seq";
    let mut connection = database.connect().await;
    let rows: Vec<(i64, i64)> = sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
    rows.into_iter().collect()
}

/// The owner of a send's claim, and whether the send has begun and has recipients left.
async fn claim(database: &Database, send: i64) -> (Option<String>, bool) {
    let sql = "SELECT claim_owner, told > 0 AND status = 'ACTIVE' FROM sends WHERE id = $1";
    let mut connection = database.connect().await;
    sqlx::query_as(sql).bind(send).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_due_send_goes_out_once_while_two_nodes_live() {
    let Some(nodes) = Nodes::joined().await else { return };
    let Nodes { a, b, database, .. } = &nodes;
    students(database).await;
    let root = a.user("root", "super_admin").await;
    let last = account(&**b.store(), "last", "student").await;
    let mut sockets =
        [Socket::established(a, &last, "").await, Socket::established(b, &last, "").await];
    let mut sends = Vec::new();
    for hub in [a, b, a] {
        sends.push(send_soon(hub.address(), &root, json!({"role": "student"})).await);
    }
    for send in sends {
        until_done(a.address(), &root, send).await;
        assert_eq!(claim(database, send).await, (None, false), "a send that is done has no owner");
    }
    assert_eq!(counts(database).await, BTreeMap::from([(3, STUDENTS + 1)]));
    let mut told = [0; 2];
    let all_told = async || {
        for (count, hub) in told.iter_mut().zip([a, b]) {
            *count = observed(hub, &root, "scheduler").await["recipients"].as_i64().unwrap();
        }
        told.iter().sum::<i64>() == 3 * (STUDENTS + 1)
    };
    until(all_told, "the nodes have told all").await;
    assert_eq!(told[0] % (STUDENTS + 1), 0, "one node carries a send out: {told:?}");
    for socket in &mut sockets {
        for seq in 1..=3 {
            assert_eq!(socket.next().await["seq"], seq);
        }
        socket.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_send_whose_node_is_killed_is_finished_by_the_other() {
    let Some(shared) = Shared::new(None).await else { return };
    let [root, last] = shared.accounts([("root", "super_admin"), ("first", "student")]).await;
    students(&shared.database).await;
    let mut nodes: BTreeMap<&str, Process> =
        ["a", "b"].into_iter().map(|name| (name, shared.process(name, &[]))).collect();

    // The node that carries it out waits in the middle of a chunk, for one inbox.
    let mut holder = shared.database.connect().await;
    let mut held = holder.begin().await.unwrap();
    let sql =
        format!("SELECT 1 FROM inboxes WHERE user_id = {} FOR UPDATE", last.id + STUDENTS - 9);
    sqlx::query(AssertSqlSafe(sql)).execute(&mut *held).await.unwrap();
    let send = send_soon(nodes["a"].address, &root, json!({"role": "student"})).await;
    until(async || claim(&shared.database, send).await.1, "it has begun").await;
    let owner = claim(&shared.database, send).await.0.unwrap();
    let name = owner.split('/').next().unwrap();
    nodes.remove(name).unwrap().kill();
    held.rollback().await.unwrap();

    // Its claim ends sooner in this test; the other node notices it with a send of its own.
    let sql = "UPDATE sends SET claim_until = due_at WHERE claim_owner IS NOT NULL";
    shared.database.execute(sql).await;
    let (_, other) = nodes.pop_first().unwrap();
    let own = send_soon(other.address, &root, json!([root.id])).await;
    until_done(other.address, &root, own).await;
    until_done(other.address, &root, send).await;
    assert_eq!(counts(&shared.database).await, BTreeMap::from([(1, STUDENTS + 1)]));
}

#[tokio::test]
async fn a_digest_goes_out_once_with_what_both_nodes_have_for_it() {
    let Some(shared) = Shared::new(None).await else { return };
    let office = PostOffice::start().await;
    office.answer(true);
    let [daily, each, carl] =
        shared.accounts([("daily", "super_admin"), ("each", "admin"), ("carl", "client")]).await;
    let a = shared.hub("a", |config| office.configure(config, 16)).await;
    let b = shared.hub("b", |config| office.configure(config, 16)).await;
    let body = json!({"email_digest": "daily"});
    ask(a.address(), &daily, Method::PUT, "/api/preferences/", &body).await;
    for (nth, hub) in [&a, &b, &a, &b].into_iter().enumerate() {
        raise(hub.address(), &carl, &format!("Before {nth}")).await;
    }
    let mails_to = |who: &Person| {
        let to = format!("{}@example.com", who.username);
        let mails = office.mails().into_iter();
        mails.filter(|mail| mail.text.contains(&to)).collect::<Vec<_>>()
    };
    until(async || mails_to(&each).len() == 4, "those without a digest").await;
    assert!(mails_to(&daily).is_empty());

    // Its time comes sooner in this test; both nodes notice it with an e-mail of their own.
    let sql = "UPDATE deliveries SET due_at = 0 WHERE status = 'QUEUED' AND rule = 'digest'";
    shared.database.execute(sql).await;
    let raised = [&a, &b].map(|hub| raise(hub.address(), &carl, "After"));
    futures_util::future::join_all(raised).await;
    until(async || mails_to(&each).len() == 6, "an e-mail of each node").await;
    let path = "/api/deliveries/?channel=EMAIL&status=SENT&page_size=1";
    until(async || a.get(&daily, path).await.1["count"] == 10, "all but the next digest").await;
    let digests = mails_to(&daily);
    assert_eq!(digests.len(), 1, "{digests:?}");
    for nth in 0..4 {
        assert!(digests[0].text.contains(&format!("Before {nth}")), "{digests:?}");
    }
}
