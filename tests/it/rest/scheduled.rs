//! `/api/scheduled/`: what waits, what is on its way, and how it is stopped.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Team, column, ids, service};

const PATH: &str = "/api/scheduled/";

/// Schedules it in so many milliseconds; its id.
async fn send_in(team: &Team, ms: i64) -> i64 {
    let send_at = Timestamp::now() + SignedDuration::from_millis(ms);
    let body = json!({"recipients": {"role": "client"}, "title": "Soon", "message": "At noon.",
        "channels": ["EMAIL"], "send_at": send_at});
    let (status, told) = team.hub.post(&team.admin, "/api/notifications/", body).await;
    assert_eq!((status, &told["scheduled"]), (202, &json!(true)), "{told}");
    told["id"].as_i64().unwrap()
}

async fn read(team: &Team, id: i64) -> Value {
    let (status, told) = team.hub.get(&team.admin, &format!("{PATH}{id}/")).await;
    assert_eq!(status, 200, "{told}");
    told
}

async fn inbox(team: &Team) -> Value {
    team.hub.get(&team.carl, "/api/notifications/").await.1["count"].clone()
}

#[tokio::test]
async fn what_waits_is_seen_and_cancelled() {
    let team = Team::gather().await;
    let later = send_in(&team, 7_200_000).await;
    let sooner = send_in(&team, 3_600_000).await;
    let (status, list) = team.hub.get(&team.root, PATH).await;
    assert_eq!((status, ids(&list)), (200, vec![sooner, later]));
    assert_eq!(column(&list, "status"), ["SCHEDULED", "SCHEDULED"]);
    let row = read(&team, later).await;
    for (key, value) in [
        ("title", json!("Soon")),
        ("message", json!("At noon.")),
        ("event", json!("general")),
        ("channels", json!(["SYSTEM", "EMAIL"])),
        ("critical", json!(false)),
        ("sender", json!(team.admin.id)),
        ("to", json!("role:client")),
        ("recipients", json!(2)),
        ("told", json!(0)),
    ] {
        assert_eq!(row[key], value, "{key} in {row}");
    }
    let path = format!("{PATH}{later}/");
    for who in [&team.ada, &team.carl] {
        assert_eq!(team.hub.get(who, PATH).await.0, 403);
        assert_eq!(team.hub.get(who, &path).await.0, 403);
        assert_eq!(team.hub.delete(who, &path).await.0, 403);
    }
    for _ in 0..2 {
        assert_eq!(team.hub.delete(&service(), &path).await, (204, Value::Null));
    }
    assert_eq!(read(&team, later).await["status"], "CANCELLED");
    assert_eq!(ids(&team.hub.get(&team.admin, PATH).await.1), [sooner]);
    assert_eq!(team.hub.delete(&team.admin, &format!("{PATH}99999/")).await.0, 404);
    assert_eq!(team.hub.get(&team.admin, &format!("{PATH}99999/")).await.0, 404);
}

#[tokio::test]
async fn what_was_sent_cannot_be_cancelled_and_what_was_cancelled_is_not_sent() {
    let team = Team::gather().await;
    let cancelled = send_in(&team, 1_000).await;
    let sent = send_in(&team, 1_000).await;
    assert_eq!(team.hub.delete(&team.admin, &format!("{PATH}{cancelled}/")).await.0, 204);
    let deadline = Instant::now() + Duration::from_secs(20);
    while read(&team, sent).await["status"] != "DONE" {
        assert!(Instant::now() < deadline, "it was never sent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(read(&team, sent).await["told"], 2);
    let (status, told) = team.hub.delete(&team.admin, &format!("{PATH}{sent}/")).await;
    assert_eq!((status, &told["code"]), (409, &json!("already_sent")), "{told}");
    // Both were due at once: the other one would be there by now.
    assert_eq!(inbox(&team).await, 1);
    assert_eq!(read(&team, cancelled).await["told"], 0);
}

#[tokio::test]
async fn what_is_on_its_way_stops_and_says_how_many_have_it() {
    use bellpull_domain::send::Recipients;
    use bellpull_port::sends::BeginSend;

    let team = Team::gather().await;
    let new =
        crate::store::sends::send(bellpull_domain::ids::UserId(team.admin.id), Recipients::All);
    // Straight into the store, so that the scheduler has not heard of its next chunk yet.
    let outcome = team.hub.store().begin_send(new, 2, Timestamp::now()).await.unwrap();
    let BeginSend::Begun { send, has_more: true, .. } = outcome else { panic!("{outcome:?}") };
    let (status, told) = team.hub.delete(&team.admin, &format!("{PATH}{}/", send.id)).await;
    assert_eq!((status, &told["status"]), (200, &json!("CANCELLED")), "{told}");
    assert_eq!((&told["told"], &told["recipients"]), (&json!(2), &json!(6)));
    let again = team.hub.delete(&team.admin, &format!("{PATH}{}/", send.id)).await;
    assert_eq!(again, (200, told));
}
