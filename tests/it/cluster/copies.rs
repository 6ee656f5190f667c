//! A copy of the database beside the original, on the same Redis: its nodes are strangers.

use serde_json::json;

use super::{Shared, broker_is, observed, until};
use crate::support::postgres::Database;
use crate::support::process::command;
use crate::support::redis::Private;
use crate::support::{Hub, Person, SECRET};
use crate::ws::Socket;

async fn notify(hub: &Hub, from: &Person, to: &Person, title: &str) {
    let body = json!({"recipients": [to.id], "title": title, "message": "."});
    let (status, told) = hub.post(from, "/api/notifications/", body).await;
    assert!((200..300).contains(&status), "{told}");
}

/// The position that is stored for a user, and the last number.
pub(super) async fn positions(database: &Database, who: &Person) -> (i64, i64) {
    let mut connection = database.connect().await;
    let sql = "SELECT delivered_seq, last_seq FROM inboxes WHERE user_id = $1";
    sqlx::query_as(sql).bind(who.id).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn nothing_of_a_copy_is_shown_and_nothing_of_the_original_is_lost() {
    let Some(redis) = Private::start(&[]).await else { return };
    let Some(shared) = Shared::new(Some(redis)).await else { return };
    let [root, ann, carl] =
        shared.accounts([("root", "super_admin"), ("ann", "admin"), ("carl", "client")]).await;
    // It is in use before it is copied, so that both have the same epoch.
    shared.hub("first", |_| {}).await.stop().await;
    let copy = shared.database.copy().await;
    let (a, b) = (shared.hub("a", |_| {}).await, shared.hub("b", |_| {}).await);
    let url = copy.url();
    let staging = shared.hub("st", |config| config.database_url = url.into()).await;
    for hub in [&a, &b, &staging] {
        broker_is(hub.address(), "ok").await;
    }
    let mut socket = Socket::established(&b, &carl, "").await;
    notify(&staging, &ann, &carl, "STAGING 1").await;
    for nth in 1..=3 {
        let title = format!("REAL {nth}");
        notify(&a, &ann, &carl, &title).await;
        let frame = socket.next().await.to_string();
        assert!(frame.contains(&title), "{title} is missing: {frame}");
        notify(&staging, &ann, &carl, &format!("STAGING {}", nth + 1)).await;
    }
    let path = format!("/api/users/{}/", carl.id);
    assert_eq!(staging.patch(&root, &path, json!({"is_active": false})).await.0, 200);
    socket.expect_nothing().await;
    notify(&a, &ann, &carl, "REAL 4").await;
    assert!(socket.next().await.to_string().contains("REAL 4"), "it is still open");
    socket.close().await;
    // Until then the other node shows again what is behind the position.
    let saved = async || positions(&shared.database, &carl).await == (4, 4);
    until(saved, "the position is saved").await;
    Socket::established(&a, &carl, "").await.expect_nothing().await;
    assert_eq!(positions(&shared.database, &carl).await, (4, 4));
    let check = async |database: &Database| {
        let mut check = command(&shared.folder.path().join("none.db"));
        check.arg("check").env("BELLPULL_DATABASE_URL", database.url());
        check.env("BELLPULL_REDIS_URL", shared.redis.as_ref().unwrap().url());
        check.env("BELLPULL_JWT_SECRET", SECRET);
        // The nodes run on this test's own thread.
        let told = tokio::task::spawn_blocking(move || check.output().unwrap()).await.unwrap();
        String::from_utf8(told.stdout).unwrap()
    };
    for database in [&shared.database, &copy] {
        let told = check(database).await;
        assert!(told.contains("nodes on a copy of this database use it, too"), "{told}");
    }
    let told = observed(&b, &root, "hub").await["broker_refused"].to_string();
    assert!(told.contains("of another database"), "{told}");
    staging.stop().await;
    let told = check(&shared.database).await;
    assert!(told.contains("takes messages, 2 nodes of this database publish"), "{told}");
}
