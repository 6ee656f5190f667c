//! Accounts: for admins, and admins only for super admins.

use reqwest::Method;
use serde_json::{Value, json};

use super::passwords::{log_in, register};
use super::{Team, column, service};
use crate::support::{Person, answer};
use crate::ws::Socket;

#[tokio::test]
async fn only_admins_see_accounts() {
    let team = Team::gather().await;
    for who in [&team.ada, &team.carl] {
        assert_eq!(team.hub.get(who, "/api/users/").await.0, 403);
        assert_eq!(team.hub.get(who, &format!("/api/users/{}/", who.id)).await.0, 403);
        let path = format!("/api/users/{}/", who.id);
        let body = json!({"role": "super_admin"});
        assert_eq!(team.hub.patch(who, &path, body).await.0, 403);
    }
    for (filter, wanted) in [
        ("", vec!["root", "admin", "ada", "bob", "carl", "dora"]),
        ("role=developer", vec!["ada", "bob"]),
        ("search=AD", vec!["admin", "ada"]),
        ("role=client&search=carl@", vec!["carl"]),
        ("role=student", vec![]),
    ] {
        let (status, list) = team.hub.get(&team.admin, &format!("/api/users/?{filter}")).await;
        assert_eq!(
            (status, column(&list, "username")),
            (200, wanted.iter().map(|&n| json!(n)).collect())
        );
    }
    assert_eq!(team.hub.get(&team.admin, "/api/users/?role=No").await.0, 400);
    let (status, user) = team.hub.get(&team.admin, &format!("/api/users/{}/", team.carl.id)).await;
    assert_eq!((status, &user["username"]), (200, &json!("carl")));
    assert!(user.get("password_hash").is_none());
    assert_eq!(team.hub.get(&team.admin, "/api/users/4711/").await.0, 404);
    assert_eq!(team.hub.get(&super::service(), "/api/users/").await.0, 200);
}

#[tokio::test]
async fn who_may_change_whom() {
    let team = Team::gather().await;
    for (who, whom, body, wanted) in [
        (&team.admin, &team.carl, json!({"full_name": "Carl Client"}), 200),
        (&team.admin, &team.carl, json!({"role": "developer"}), 200),
        (&team.admin, &team.carl, json!({"role": "admin"}), 403),
        (&team.admin, &team.carl, json!({"role": "super_admin"}), 403),
        (&team.admin, &team.root, json!({"full_name": "x"}), 403),
        (&team.admin, &team.admin, json!({"role": "super_admin"}), 403),
        (&team.admin, &team.admin, json!({"is_active": false}), 403),
        (&team.root, &team.root, json!({"role": "client"}), 403),
        (&team.root, &team.root, json!({"is_active": false}), 403),
        (&team.root, &team.root, json!({"full_name": "Root", "role": "super_admin"}), 200),
        (&team.root, &team.admin, json!({"full_name": "Ad Min"}), 200),
        (&team.root, &team.dora, json!({"role": "admin"}), 200),
        (&team.root, &team.dora, json!({"role": "client"}), 200),
    ] {
        let path = format!("/api/users/{}/", whom.id);
        let (status, answer) = team.hub.patch(who, &path, body.clone()).await;
        assert_eq!(status, wanted, "{} {body} by {}: {answer}", whom.username, who.username);
    }
    assert_eq!(team.hub.patch(&team.root, "/api/users/4711/", json!({})).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_super_admins_who_take_each_others_role_do_not_both_lose_it() {
    for body in [json!({"role": "client"}), json!({"is_active": false})] {
        let team = Team::gather().await;
        let rival = team.hub.user("rival", "super_admin").await;
        let change = async |who, whom: &Person| {
            team.hub.patch(who, &format!("/api/users/{}/", whom.id), body.clone()).await
        };
        let (one, other) = tokio::join!(change(&team.root, &rival), change(&rival, &team.root));
        let (winner, (status, answer)) = match (one.0, other.0) {
            (200, _) => (&team.root, other),
            (_, 200) => (&rival, one),
            _ => panic!("{one:?} {other:?}"),
        };
        // Refused in the store, or at the door because the first change was there already.
        assert!([401, 403].contains(&status), "{body}: {status} {answer}");
        assert_eq!(team.hub.get(winner, "/api/operator/tree/").await.0, 200, "{body}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_change() {
    let team = Team::gather().await;
    let path = format!("/api/users/{}/", team.carl.id);
    let body = json!({"email": "nowhere", "role": "No Slug", "is_active": "no", "phone": "call me",
        "whatsapp_number": 49_151, "full_name": "x".repeat(256)});
    let (status, answer) = team.hub.patch(&team.admin, &path, body).await;
    assert_eq!(status, 400);
    for field in ["email", "role", "is_active", "phone", "whatsapp_number", "full_name"] {
        assert!(answer[field][0].is_string(), "{field} in {answer}");
    }
    let taken = json!({"email": "DORA@example.com"});
    let (status, answer) = team.hub.patch(&team.admin, &path, taken).await;
    let text = "A user with that email address already exists.";
    assert_eq!((status, &answer["email"]), (400, &json!([text])));
    // As at registration.
    let nowhere = json!({"email": "dora@nowhere"});
    let (status, answer) = team.hub.patch(&team.admin, &path, nowhere).await;
    assert_eq!((status, &answer["email"]), (400, &json!(["Enter a valid email address."])));
    let good = json!({"email": "", "phone": "+4915112345678", "whatsapp_number": ""});
    let (status, user) = team.hub.patch(&team.admin, &path, good).await;
    assert_eq!(
        (status, &user["email"], &user["phone"]),
        (200, &json!(""), &json!("+4915112345678"))
    );
}

#[tokio::test]
async fn a_change_counts_at_once() {
    let team = Team::gather().await;
    assert_eq!(team.hub.get(&team.carl, "/api/users/").await.0, 403);
    let path = format!("/api/users/{}/", team.carl.id);
    for (body, wanted) in [
        (json!({"role": "admin"}), 200),
        (json!({"role": "client"}), 403),
        (json!({"is_active": false}), 401),
        // The tokens of before the deactivation have ended for good.
        (json!({"is_active": true}), 401),
    ] {
        assert_eq!(team.hub.patch(&team.root, &path, body.clone()).await.0, 200, "{body}");
        assert_eq!(team.hub.get(&team.carl, "/api/users/").await.0, wanted, "{body}");
    }
}

#[tokio::test]
async fn making_accounts() {
    let team = Team::gather().await;
    let new = |name: &str, role: &str| {
        json!({"username": name, "password": "correct horse", "role": role,
            "email": format!("{name}@example.org")})
    };
    for (who, name, role, wanted) in [
        (&team.admin, "eve", "developer", 201),
        (&team.admin, "eve", "developer", 400),
        (&team.admin, "mallory", "admin", 403),
        (&team.root, "second", "super_admin", 201),
        (&team.carl, "friend", "client", 403),
    ] {
        let (status, answer) = team.hub.post(who, "/api/users/", new(name, role)).await;
        assert_eq!(status, wanted, "{name}: {answer}");
    }
    let (status, answer) = team.hub.post(&team.admin, "/api/users/", json!({})).await;
    let required = json!(["This field is required."]);
    assert_eq!((status, &answer["username"], &answer["password"]), (400, &required, &required));
    let bad = json!({"username": "a b", "password": "short"});
    let (_, answer) = team.hub.post(&team.admin, "/api/users/", bad).await;
    assert!(answer["username"].is_array() && answer["password"].is_array(), "{answer}");
    let login = json!({"username": "eve", "password": "correct horse"});
    assert_eq!(team.hub.post(&team.carl, "/api/auth/login/", login).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_logs_a_user_out_everywhere() {
    let team = Team::gather().await;
    let jane = register(&team.hub, "jane").await;
    let mut logins = Vec::new();
    for _ in 0..2 {
        logins.push(log_in(&team.hub, "jane", "correct horse").await.unwrap());
    }
    let mut socket = Socket::established(&team.hub, &logins[0].0, "").await;
    let path = format!("/api/users/{jane}/logout/");
    assert_eq!(team.hub.post(&team.carl, &path, json!({})).await.0, 403);
    assert_eq!(team.hub.post(&logins[0].0, &path, json!({})).await.0, 403);
    assert_eq!(team.hub.post(&team.admin, &path, json!({"x": 1})).await.0, 400);
    assert_eq!(team.hub.get(&logins[0].0, "/api/auth/me/").await.0, 200);

    assert_eq!(team.hub.post(&team.admin, &path, json!({})).await.0, 204);
    assert_eq!(socket.next_close().await, (4401, "login revoked".to_owned()));
    for (who, refresh) in &logins {
        assert_eq!(team.hub.get(who, "/api/auth/me/").await.0, 401);
        let request = team.hub.request(Method::POST, "/api/auth/refresh/").json(refresh);
        assert_eq!(answer(request).await.0, 401);
    }
    assert!(log_in(&team.hub, "jane", "correct horse").await.is_ok(), "not locked out");
    assert_eq!(team.hub.post(&team.admin, &path, json!({})).await.0, 204, "twice");

    let root = format!("/api/users/{}/logout/", team.root.id);
    assert_eq!(team.hub.post(&team.admin, &root, json!({})).await.0, 403);
    assert_eq!(team.hub.post(&team.root, "/api/users/4711/logout/", json!({})).await.0, 404);
    let (_, log) = team.hub.get(&team.root, "/api/audit/").await;
    assert!(column(&log, "path").contains(&json!(path)), "{log}");
}

#[tokio::test]
async fn a_back_end_numbers_its_users() {
    let team = Team::gather().await;
    let put = async |who: &Person, id: i64, body: Value| {
        let request = team.hub.request(Method::PUT, &format!("/api/users/{id}/"));
        answer(request.bearer_auth(&who.token).json(&body)).await
    };
    let service = service();
    let body = json!({"username": "site.user", "email": "site@example.com", "full_name": "Site",
        "role": "developer"});
    let (status, made) = put(&service, 4_711, body.clone()).await;
    assert_eq!((status, &made["id"], &made["role"]), (201, &json!(4_711), &json!("developer")));
    let (status, again) = put(&service, 4_711, body.clone()).await;
    assert_eq!((status, &again), (200, &made), "the same state again");
    let changed = json!({"username": "renamed", "role": "client", "is_active": false});
    let (status, now) = put(&team.admin, 4_711, changed).await;
    assert_eq!(
        (status, &now["username"], &now["role"]),
        (200, &json!("renamed"), &json!("client"))
    );
    assert_eq!((&now["is_active"], &now["email"]), (&json!(false), &json!("site@example.com")));
    // The hub's own numbers begin above every one that came from outside.
    let new = json!({"username": "later", "password": "correct horse"});
    let (status, later) = team.hub.post(&team.root, "/api/users/", new).await;
    assert_eq!((status, later["id"].as_i64() > Some(4_711)), (201, true), "{later}");
    // What is another's, or the hub's.
    for (id, body, code) in [
        (9_000, json!({"username": "renamed"}), "conflict"),
        (9_000, json!({"username": "Renamed"}), "conflict"),
        (9_000, json!({"username": "x", "email": "SITE@example.com"}), "conflict"),
        (team.carl.id, json!({"username": "carl"}), "account_is_the_hubs"),
    ] {
        let (status, told) = put(&service, id, body.clone()).await;
        assert_eq!((status, &told["code"]), (409, &json!(code)), "{body} {told}");
    }
    // No role above the caller's own.
    let chief = json!({"username": "chief", "role": "super_admin"});
    assert_eq!(put(&team.admin, 5_000, chief.clone()).await.0, 403);
    assert_eq!(put(&service, 5_000, chief).await.0, 201);
    assert_eq!(put(&team.admin, 5_000, json!({"username": "chief"})).await.0, 403);
    for who in [&team.ada, &team.carl] {
        assert_eq!(put(who, 6_000, json!({"username": "x"})).await.0, 403);
    }
    for body in
        [json!({}), json!({"username": ""}), json!({"username": "a b"}), json!({"usrname": "x"})]
    {
        assert_eq!(put(&service, 6_000, body.clone()).await.0, 400, "{body}");
    }
}
