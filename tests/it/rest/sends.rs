//! `POST /api/notifications/`: who may send what to whom, when, and once.

use std::time::{Duration, Instant};

use bellpull_domain::ids::UserId;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Team, column, service};
use crate::support::{Person, answer, now_s, sign};

const PATH: &str = "/api/notifications/";

/// A send that says something, to whom and how else.
fn to(recipients: Value, more: Value) -> Value {
    let mut body = json!({"recipients": recipients, "title": "Maintenance", "message": "At noon."});
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    body
}

async fn inbox(team: &Team, who: &Person) -> Vec<Value> {
    let (status, list) = team.hub.get(who, "/api/notifications/?page_size=100").await;
    assert_eq!(status, 200, "{list}");
    list["results"].as_array().unwrap().clone()
}

/// How many notifications each of the team has: root, admin, ada, bob, carl, dora.
async fn counts(team: &Team) -> Vec<usize> {
    let mut counts = Vec::new();
    for who in [&team.root, &team.admin, &team.ada, &team.bob, &team.carl, &team.dora] {
        counts.push(inbox(team, who).await.len());
    }
    counts
}

/// A send with a key: its status, body, and whether it says that it is a repetition.
async fn keyed(team: &Team, who: &Person, key: &str, body: &str) -> (u16, Value, bool) {
    let request = team
        .hub
        .request(Method::POST, PATH)
        .bearer_auth(&who.token)
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(body.to_owned());
    let response = request.send().await.unwrap();
    let is_replayed = response.headers().get("idempotency-replayed").is_some_and(|v| v == "true");
    let status = response.status().as_u16();
    (status, response.json().await.unwrap(), is_replayed)
}

#[tokio::test]
async fn one_recipient_is_answered_with_its_notification() {
    let team = Team::gather().await;
    let more = json!({
        "type": "WARNING", "event": "maintenance", "action_url": "/status/",
        "metadata": {"ticket": [1, "ü", null]}, "priority": "HIGH", "critical": true,
    });
    let body = to(json!([team.carl.id]), more);
    let (status, told) = team.hub.post(&team.admin, PATH, body).await;
    assert_eq!(status, 202, "{told}");
    assert_eq!((&told["recipients"], &told["scheduled"]), (&json!(1), &json!(false)));
    let row = &inbox(&team, &team.carl).await[0];
    assert_eq!(&told["notification"], row);
    for (key, value) in [
        ("event", json!("maintenance")),
        ("type", json!("WARNING")),
        ("title", json!("Maintenance")),
        ("body", json!("At noon.")),
        ("action_url", json!("/status/")),
        ("metadata", json!({"ticket": [1, "ü", null]})),
        ("priority", json!("HIGH")),
        ("sender", json!(team.admin.id)),
        ("ticket", json!(null)),
    ] {
        assert_eq!(row[key], value, "{key}");
    }

    let (status, told) =
        team.hub.post(&service(), PATH, to(json!([team.carl.id]), json!({}))).await;
    assert_eq!(status, 202, "{told}");
    let row = &told["notification"];
    assert_eq!((&row["event"], &row["type"]), (&json!("general"), &json!("INFO")));
    assert_eq!((&row["sender"], &row["priority"]), (&json!(null), &json!("MEDIUM")));
}

#[tokio::test]
async fn every_recipient_has_it_once_and_no_other_user() {
    let team = Team::gather().await;
    let (store, admin) = (team.hub.store(), UserId(team.admin.id));
    let (key, name) = ("WEB".to_owned(), "Web".to_owned());
    let web = store.create_project(key, name, admin, Timestamp::now()).await.unwrap().id;
    for user in [team.ada.id, team.carl.id] {
        assert!(store.add_member(web, UserId(user)).await.unwrap());
    }
    for (recipients, wanted) in [
        (json!([team.ada.id, team.bob.id, team.ada.id]), [0, 0, 1, 1, 0, 0]),
        (json!({"role": "client"}), [0, 0, 0, 0, 1, 1]),
        (json!({"role": "admin"}), [1, 1, 0, 0, 0, 0]),
        (json!({"role": "super_admin"}), [1, 0, 0, 0, 0, 0]),
        (json!({"role": "student"}), [0; 6]),
        (json!({ "project": web }), [0, 1, 1, 0, 1, 0]),
        (json!({"project": 1}), [1; 6]),
        (json!("all"), [1; 6]),
    ] {
        let before = counts(&team).await;
        let body = to(recipients.clone(), json!({}));
        let (status, told) = team.hub.post(&team.root, PATH, body).await;
        assert_eq!((status, &told["scheduled"]), (202, &json!(false)), "{told}");
        assert_eq!(told["recipients"], wanted.iter().sum::<usize>(), "{recipients}");
        assert!(told.get("notification").is_none(), "{told}");
        let after = counts(&team).await;
        let new: Vec<usize> = before.iter().zip(&after).map(|(old, new)| new - old).collect();
        assert_eq!(new, wanted, "{recipients}");
    }
}

#[tokio::test]
async fn it_is_for_admins_and_service_tokens() {
    let team = Team::gather().await;
    let body = to(json!([team.carl.id]), json!({}));
    for who in [&team.ada, &team.carl] {
        let (status, told) = team.hub.post(who, PATH, body.clone()).await;
        assert_eq!((status, &told["code"]), (403, &json!("permission_denied")));
    }
    let request = team.hub.request(Method::POST, PATH).json(&body);
    assert_eq!(answer(request).await.0, 401);
    // A caller without permission does not learn what is wrong with the body.
    assert_eq!(team.hub.post(&team.ada, PATH, json!({})).await.0, 403);
    assert_eq!(counts(&team).await, [0; 6]);
}

#[tokio::test]
async fn all_that_is_wrong_is_told_by_its_field() {
    let team = Team::gather().await;
    let (status, told) = team.hub.post(&team.admin, PATH, json!({})).await;
    assert_eq!(status, 400);
    for field in ["recipients", "title", "message"] {
        assert_eq!(told[field], json!(["This field is required."]), "{field}");
    }
    let far = (Timestamp::now() + SignedDuration::from_hours(24 * 400)).to_string();
    for (field, bad) in [
        ("recipients", json!(null)),
        ("recipients", json!([])),
        ("recipients", json!([4_711])),
        ("recipients", json!({"project": 4_711})),
        ("recipients", json!({"role": "NO ROLE"})),
        ("recipients", json!("all-users")),
        ("title", json!("x".repeat(256))),
        ("title", json!("two\nlines")),
        ("message", json!(" \n ")),
        ("message", json!("x".repeat(10_001))),
        ("type", json!("info")),
        ("event", json!("")),
        ("event", json!("x".repeat(65))),
        ("action_url", json!("javascript:alert(1)")),
        ("action_url", json!("java\tscript:alert(1)")),
        ("action_url", json!("x".repeat(2_001))),
        ("metadata", json!([1])),
        ("metadata", json!({"a": "x".repeat(16 * 1024)})),
        ("channels", json!(["PIGEON"])),
        ("channels", json!("EMAIL")),
        ("priority", json!("URGENT")),
        ("send_at", json!("2026-01-01T00:00:00")),
        ("send_at", json!(far)),
        ("critical", json!("yes")),
    ] {
        let mut body = to(json!([team.carl.id]), json!({}));
        body[field] = bad.clone();
        let (status, told) = team.hub.post(&team.admin, PATH, body).await;
        assert_eq!((status, &told["code"]), (400, &json!("invalid")), "{field} {bad}: {told}");
        assert!(told[field][0].is_string(), "{field} in {told}");
    }
    let unknown = to(json!([team.carl.id, 4_711, 4_712]), json!({}));
    let (_, told) = team.hub.post(&team.admin, PATH, unknown).await;
    assert_eq!(told["recipients"].as_array().unwrap().len(), 2, "{told}");
    assert_eq!(counts(&team).await, [0; 6], "nothing was sent");
}

#[tokio::test]
async fn a_key_makes_a_retry_the_same_send() {
    let team = Team::gather().await;
    let body = to(json!([team.carl.id]), json!({})).to_string();
    let first = keyed(&team, &team.admin, "k-1", &body).await;
    assert_eq!((first.0, first.2), (202, false), "{first:?}");
    let again = keyed(&team, &team.admin, "k-1", &body).await;
    assert_eq!(again, (202, first.1.clone(), true));
    // The hash is of the bytes: what means the same is another body all the same.
    let (status, told, is_replayed) = keyed(&team, &team.admin, "k-1", &format!("{body} ")).await;
    assert_eq!((status, is_replayed), (409, false));
    assert_eq!(told["code"], "idempotency_key_reused");
    assert!(told["detail"].is_string());
    // Another's key of the same name is another key; so is a service token's.
    for (nth, who) in [team.root.clone(), service()].iter().enumerate() {
        let (status, told, is_replayed) = keyed(&team, who, "k-1", &body).await;
        assert_eq!((status, is_replayed), (202, false), "{nth}: {told}");
        assert_eq!(keyed(&team, who, "k-1", &body).await, (202, told, true));
    }
    assert_eq!(inbox(&team, &team.carl).await.len(), 3);
    for bad in ["a b", "ü", &"x".repeat(256), ""] {
        let (status, told, _) = keyed(&team, &team.admin, bad, &body).await;
        assert_eq!((status, told["Idempotency-Key"][0].is_string()), (400, true), "{bad}: {told}");
    }
    // A request that was refused has not used its key.
    let refused = to(json!([4_711]), json!({})).to_string();
    assert_eq!(keyed(&team, &team.admin, "k-2", &refused).await.0, 400);
    assert_eq!(keyed(&team, &team.admin, "k-2", &body).await.0, 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_retries_at_once_are_one_send() {
    let team = Team::gather().await;
    let body = to(json!("all"), json!({})).to_string();
    let asks = (0..30).map(|_| keyed(&team, &team.admin, "crowd", &body));
    let answers = futures_util::future::join_all(asks).await;
    assert!(answers.iter().all(|(status, told, _)| (*status, told) == (202, &answers[0].1)));
    assert_eq!(answers.iter().filter(|(_, _, is_replayed)| !is_replayed).count(), 1);
    assert_eq!(counts(&team).await, [1; 6]);
}

#[tokio::test]
async fn what_is_for_later_comes_then() {
    let team = Team::gather().await;
    let soon = Timestamp::now() + SignedDuration::from_millis(1_500);
    let body = to(json!([team.carl.id]), json!({"send_at": soon.to_string()}));
    let (status, told) = team.hub.post(&team.admin, PATH, body.clone()).await;
    assert_eq!((status, &told["scheduled"]), (202, &json!(true)), "{told}");
    assert_eq!((&told["recipients"], told.get("notification")), (&json!(1), None));
    assert_eq!(counts(&team).await, [0; 6]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while inbox(&team, &team.carl).await.is_empty() {
        assert!(Instant::now() < deadline, "it never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let late = Timestamp::now().duration_since(soon);
    assert!(late >= SignedDuration::ZERO && late < SignedDuration::from_secs(5), "{late:?}");
    let row = &inbox(&team, &team.carl).await[0];
    let created: Timestamp = row["created_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(created.as_millisecond(), soon.as_millisecond());

    let past = to(json!([team.carl.id]), json!({"send_at": "2020-01-01T00:00:00+01:00"}));
    let (status, told) = team.hub.post(&team.admin, PATH, past).await;
    assert_eq!((status, &told["scheduled"]), (202, &json!(false)));
    assert_eq!(inbox(&team, &team.carl).await.len(), 2);
}

#[tokio::test]
async fn a_registration_notifies_every_super_admin_and_no_other() {
    let team = Team::gather().await;
    let other = team.hub.user("other_root", "super_admin").await;
    let new = json!({"username": "john", "email": "john@example.com", "password": "correct horse",
        "full_name": "John Doe", "role": "student"});
    let request = team.hub.request(Method::POST, "/api/auth/register/").json(&new);
    let (status, user) = answer(request).await;
    assert_eq!(status, 201, "{user}");
    let id = user["id"].as_i64().unwrap();
    for who in [&team.root, &other] {
        let rows = inbox(&team, who).await;
        assert_eq!(rows.len(), 1);
        let metadata = json!({"user_id": id, "user_email": "john@example.com",
            "user_full_name": "John Doe", "user_role": "student"});
        for (key, value) in [
            ("event", json!("user_registration")),
            ("type", json!("USER_REGISTRATION")),
            ("title", json!("New User Registration")),
            ("body", json!("A new Student has registered: John Doe (john@example.com)")),
            ("action_url", json!(format!("/admin/accounts/customuser/{id}/change/"))),
            ("metadata", metadata),
        ] {
            assert_eq!(rows[0][key], value, "{key}");
        }
    }
    assert_eq!(counts(&team).await, [1, 0, 0, 0, 0, 0]);
    let own = json!({"user_id": id, "token_type": "access", "exp": now_s() + 60});
    let john = Person { id, username: "john".to_owned(), token: sign(&own) };
    let (_, list) = team.hub.get(&john, PATH).await;
    assert!(column(&list, "id").is_empty(), "the acting user is not notified");
}
