//! `Idempotency-Key`: whatever a request creates, a repetition creates nothing more.

use bellpull::auth::issue::Issuer;
use bellpull::config::Secret;
use bellpull_port::Clock;
use bellpull_port::clock::SystemClock;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::Team;
use crate::support::{Hub, Person, SECRET, answer};

/// A request with a key: its status, its answer, and whether it says that it is a repetition.
async fn keyed(hub: &Hub, who: &Person, path: &str, key: &str, body: &Value) -> (u16, Value, bool) {
    let request = hub.request(Method::POST, path).bearer_auth(&who.token);
    let response = request.header("idempotency-key", key).json(body).send().await.unwrap();
    let is_replayed = response.headers().get("idempotency-replayed").is_some_and(|v| v == "true");
    let status = response.status().as_u16();
    (status, response.json().await.unwrap(), is_replayed)
}

/// Each operation that creates something, with two bodies for it.
fn creations(ticket: i64) -> Vec<(String, Value, Value)> {
    let comments = format!("/api/tickets/{ticket}/comments/");
    let webhook = |url: &str| json!({"url": format!("https://{url}.example/hook")});
    let user = |name: &str| json!({"username": name, "password": "correct horse 7"});
    [
        ("/api/tickets/", json!({"title": "Lamp"}), json!({"title": "Door"})),
        (&*comments, json!({"body": "@carl look"}), json!({"body": "@carl again"})),
        (
            "/api/projects/",
            json!({"key": "WEB", "name": "Web"}),
            json!({"key": "APP", "name": "A"}),
        ),
        ("/api/users/", user("eve"), user("eva")),
        ("/api/webhooks/", webhook("one"), webhook("two")),
    ]
    .map(|(path, body, other)| (path.to_owned(), body, other))
    .into()
}

#[tokio::test]
async fn of_many_repetitions_at_once_one_creates_and_all_are_answered() {
    let team = Team::gather().await;
    let ticket = team.raise(&team.carl, "Mine").await;
    for (nth, (path, body, other)) in creations(ticket).into_iter().enumerate() {
        let [one, two] = ["a", "b"].map(|key| format!("{key}{nth}"));
        let post = |key, body| keyed(&team.hub, &team.admin, &path, key, body);
        let all = join_all((0..12).map(|_| post(&one, &body))).await;
        let first = all.iter().find(|(_, _, is_replayed)| !is_replayed).unwrap();
        for (status, made, _) in &all {
            assert_eq!((status, &made["id"]), (&201, &first.1["id"]), "{path} {made}");
        }
        let fresh = all.iter().filter(|(_, _, is_replayed)| !is_replayed).count();
        assert_eq!(fresh, 1, "{path}: {all:?}");
        assert_eq!(all[0].1, all[11].1, "{path}");

        let (status, reused, _) = post(&one, &other).await;
        assert_eq!((status, &reused["code"]), (409, &json!("idempotency_key_reused")), "{path}");
        let (status, made, is_replayed) = post(&two, &other).await;
        assert_eq!((status, is_replayed), (201, false), "{path}: {made}");
        assert_ne!(made["id"], first.1["id"], "{path}");
        let request = team.hub.request(Method::POST, &path).bearer_auth(&team.admin.token);
        let (status, bad) = answer(request.header("idempotency-key", "a b").json(&body)).await;
        assert_eq!(status, 400, "{path}: {bad}");
    }
    // One round of notifications: of the tickets `Mine`, `Lamp` and `Door`, and of two comments.
    for (who, event, wanted) in [(&team.root, "ticket_created", 3), (&team.carl, "mentioned", 2)] {
        let path = format!("/api/notifications/?event={event}");
        let (_, inbox) = team.hub.get(who, &path).await;
        assert_eq!(inbox["count"], wanted, "{inbox}");
    }
    team.hub.stop().await;
}

#[tokio::test]
async fn a_key_is_its_owners_and_of_one_operation() {
    let team = Team::gather().await;
    let body = json!({"title": "Lamp"});
    let (_, first, _) = keyed(&team.hub, &team.carl, "/api/tickets/", "k", &body).await;
    let (status, others, is_replayed) =
        keyed(&team.hub, &team.dora, "/api/tickets/", "k", &body).await;
    assert_eq!((status, is_replayed), (201, false));
    assert_ne!(first["id"], others["id"]);
    let comment = json!({"body": "Hello"});
    let [one, two] = [team.raise(&team.admin, "One").await, team.raise(&team.admin, "Two").await];
    let on = |ticket: i64| format!("/api/tickets/{ticket}/comments/");
    let key = "of the admin's".replace(' ', "-");
    let send = json!({"recipients": [team.carl.id], "title": "t", "message": "m"});
    let (status, made, _) = keyed(&team.hub, &team.admin, &on(one), &key, &comment).await;
    assert_eq!(status, 201, "{made}");
    for (path, body) in [
        (on(two), &comment),
        ("/api/tickets/".to_owned(), &body),
        ("/api/notifications/".to_owned(), &send),
        ("/api/projects/".to_owned(), &json!({"key": "WEB", "name": "Web"})),
    ] {
        let (status, reused, _) = keyed(&team.hub, &team.admin, &path, &key, body).await;
        let wanted = (409, &json!("idempotency_key_reused"));
        assert_eq!((status, &reused["code"]), wanted, "{path} {reused}");
    }
    team.hub.stop().await;
}

#[tokio::test]
async fn a_refused_request_spends_no_key_and_a_deleted_ticket_does_not_come_back() {
    let team = Team::gather().await;
    let post = |body| keyed(&team.hub, &team.carl, "/api/tickets/", "k", body);
    let (wrong, right) = (json!({"title": "Lamp", "project": 99}), json!({"title": "Lamp"}));
    let blank = json!({"title": ""});
    assert_eq!(post(&blank).await.0, 400);
    assert_eq!(post(&wrong).await.0, 400);
    let (status, made, is_replayed) = post(&right).await;
    assert_eq!((status, is_replayed), (201, false), "{made}");
    let path = format!("/api/tickets/{}/", made["id"]);
    let (_, edited) = team.hub.patch(&team.carl, &path, json!({"priority": "HIGH"})).await;
    assert_eq!(post(&right).await, (201, edited, true), "as it is now");
    assert_eq!(team.hub.delete(&team.admin, &path).await.0, 204);
    assert_eq!(post(&right).await.0, 404);
    let (_, list) = team.hub.get(&team.carl, "/api/tickets/").await;
    assert_eq!(list["count"], 0);
    // The hash of a body says nothing of a password in it.
    let user = |password: &str| json!({"username": "eve", "password": password});
    for (password, is_repeated) in [("correct horse 7", false), ("correct horse 8", true)] {
        let made = keyed(&team.hub, &team.admin, "/api/users/", "u", &user(password)).await;
        assert_eq!((made.0, made.2), (201, is_repeated), "{made:?}");
    }
    team.hub.stop().await;
}

#[tokio::test]
async fn each_back_end_has_keys_of_its_own() {
    let team = Team::gather().await;
    let issuer = Issuer::new(&Secret::new(SECRET.to_owned()));
    let now = SystemClock.now();
    let until = now + std::time::Duration::from_secs(600);
    let send = async |name: Option<&str>, title: &str| {
        let token = match name {
            Some(name) => issuer.back_end(name, now, until).unwrap(),
            None => issuer.service(now).unwrap(),
        };
        let request = team.hub.request(Method::POST, "/api/notifications/").bearer_auth(token);
        let body = json!({"recipients": [team.carl.id], "title": title, "message": "m"});
        answer(request.header("idempotency-key", "same").json(&body)).await
    };
    let mut ids = Vec::new();
    for name in [Some("billing"), Some("shop"), None] {
        let title = name.unwrap_or("cli");
        let (status, first) = send(name, title).await;
        assert_eq!(status, 202, "{first}");
        assert_eq!(send(name, title).await, (202, first.clone()), "it is the same request");
        assert_eq!(send(name, "another body").await.0, 409);
        ids.push(first["id"].clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
}
