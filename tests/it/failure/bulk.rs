//! `kill -9` while a large inbox is marked and deleted.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use crate::support::many;
use crate::support::process::{Process, UNLIMITED, folder, person};

const ROWS: i64 = 60_000;

/// A call of many; its count, or nothing if the hub was killed before the answer.
async fn call(http: &Client, hub: &Process, token: &str, which: (&Method, &str)) -> Option<i64> {
    let url = format!("http://{}/api/notifications/{}/", hub.address, which.1);
    let answer = http.request(which.0.clone(), url).bearer_auth(token).send().await.ok()?;
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.ok()?;
    Some(answer["count"].as_i64().unwrap())
}

/// The rows that are not deleted, the unread ones among them, and what the head says of these. Each
/// number is given once.
async fn inbox(database: &mut SqliteConnection, user: i64) -> (i64, i64, i64) {
    let sql = "SELECT count(*) FILTER (WHERE deleted_at IS NULL), \
               count(*) FILTER (WHERE deleted_at IS NULL AND read_at IS NULL), \
               (SELECT unread_count FROM inboxes WHERE user_id = ?1), \
               max(changed_seq) = (SELECT last_seq FROM inboxes WHERE user_id = ?1), \
               count(DISTINCT changed_seq) = count(*) \
               FROM notifications WHERE recipient_id = ?1";
    let query = sqlx::query_as(sql).bind(user);
    let (rows, unread, head, is_last, is_each_once): (i64, i64, i64, bool, bool) =
        query.fetch_one(database).await.unwrap();
    assert!(is_last && is_each_once);
    (rows, unread, head)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_of_many_that_is_cut_off_leaves_a_whole_inbox_and_is_done_by_the_next() {
    let http = bellpull::tls::client().build().unwrap();
    let (_folder, database) = folder();
    let (user, token) = person(&database, "ann", "client");
    let options = SqliteConnectOptions::new().filename(&database);
    let mut beside = options.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(many::inbox(user, ROWS))).execute(&mut beside).await.unwrap();
    let calls = [(Method::POST, "mark_all_as_read"), (Method::DELETE, "delete-all")];
    for (method, path) in &calls {
        let mut cut_off = 0;
        let (mut left, mut delay_ms) = (ROWS, 40);
        loop {
            let hub = Process::serve(&database, &[UNLIMITED]);
            let kill = async {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            };
            let answered = tokio::select! {
                count = call(&http, &hub, &token, (method, path)) => count,
                () = kill => None,
            };
            hub.kill();
            let (rows, unread, head) = inbox(&mut beside, user).await;
            assert_eq!(unread, head);
            let now = if *path == "delete-all" { rows } else { unread };
            match answered {
                // What was acknowledged is on the disk, and the count is what this call changed.
                Some(count) => {
                    assert_eq!((now, count), (0, left));
                    break;
                }
                None => cut_off += usize::from(now > 0 && now < left),
            }
            (left, delay_ms) = (now, delay_ms * 3 / 2);
        }
        println!("{path}: cut off {cut_off} times");
    }
    beside.close().await.unwrap();
}
