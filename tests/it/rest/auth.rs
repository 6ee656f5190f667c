//! Who is let in, and who is not.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::Team;
use crate::support::{Hub, Person, answer};

async fn post(hub: &Hub, path: &str, body: Value) -> (u16, Value) {
    answer(hub.request(Method::POST, path).json(&body)).await
}

fn jane() -> Value {
    json!({"username": "jane", "email": "jane@example.com", "password": "correct horse",
        "full_name": "Jane Doe", "role": "student"})
}

#[tokio::test]
async fn from_registration_to_logout() {
    let hub = Hub::start().await;
    let root = hub.user("root", "super_admin").await;
    let (status, user) = post(&hub, "/api/auth/register/", jane()).await;
    assert_eq!(status, 201, "{user}");
    assert_eq!((&user["username"], &user["role"]), (&json!("jane"), &json!("student")));
    assert!(user.get("password").is_none() && user.get("password_hash").is_none());
    let (_, told) = hub.get(&root, "/api/notifications/").await;
    assert_eq!(told["results"][0]["event"], "user_registration");

    let by_name = json!({"username": "jane", "password": "correct horse"});
    let by_email = json!({"email": "JANE@example.com", "password": "correct horse"});
    for body in [by_name, by_email] {
        let (status, answer) = post(&hub, "/api/auth/login/", body).await;
        assert_eq!(status, 200, "{answer}");
        for key in ["id", "username", "email", "full_name", "role"] {
            assert_eq!(answer["user"][key], user[key], "{key}");
        }
    }
    let body = json!({"username": "jane", "password": "correct horse"});
    let (_, login) = post(&hub, "/api/auth/login", body).await;
    let token = login["access"].as_str().unwrap().to_owned();
    let jane = Person { id: user["id"].as_i64().unwrap(), username: "jane".to_owned(), token };
    assert_eq!(hub.get(&jane, "/api/auth/me/").await.1["id"], user["id"]);
    let refresh = json!({"refresh": login["refresh"]});
    let (status, renewed) = post(&hub, "/api/auth/refresh/", refresh.clone()).await;
    assert_eq!(status, 200);
    let renewed = Person { token: renewed["access"].as_str().unwrap().to_owned(), ..jane };
    assert_eq!(hub.get(&renewed, "/api/auth/me/").await.0, 200);
    assert_eq!(hub.post(&renewed, "/api/auth/logout/", refresh.clone()).await.0, 200);
    let (status, answer) = post(&hub, "/api/auth/refresh/", refresh).await;
    assert_eq!((status, &answer["code"]), (401, &json!("token_not_valid")));
}

#[tokio::test]
async fn a_wrong_login_does_not_say_what_is_wrong() {
    let hub = Hub::start().await;
    post(&hub, "/api/auth/register/", jane()).await;
    for body in [
        json!({"username": "jane", "password": "wrong horse"}),
        json!({"username": "unknown", "password": "correct horse"}),
        json!({"email": "unknown@example.com", "password": "correct horse"}),
    ] {
        let (status, answer) = post(&hub, "/api/auth/login/", body).await;
        let detail = "No active account found with the given credentials";
        assert_eq!((status, &answer["detail"]), (401, &json!(detail)));
    }
    let (status, answer) = post(&hub, "/api/auth/login/", json!({})).await;
    let required = json!(["This field is required."]);
    assert_eq!(status, 400);
    assert_eq!((&answer["username"], &answer["password"]), (&required, &required));
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let hub = Hub::start().await;
    post(&hub, "/api/auth/register/", jane()).await;
    // An account and a name that no account has cannot be told apart.
    join_all(["jane", "unknown"].map(|name| guess_until_slowed_down(&hub, name))).await;
    let other = json!({"username": "john", "password": "a guess"});
    assert_eq!(post(&hub, "/api/auth/login/", other).await.0, 401, "others are not held up");
}

async fn guess_until_slowed_down(hub: &Hub, name: &str) {
    let body = json!({"username": name, "password": "a guess"});
    let guess = async || {
        let request = hub.request(Method::POST, "/api/auth/login/").json(&body);
        request.send().await.unwrap()
    };
    for _ in 0..10 {
        assert_eq!(guess().await.status().as_u16(), 401);
    }
    // Of those that come at once two have a turn within the time that an attempt may wait.
    let began = Instant::now();
    let answers = join_all((0..5).map(|_| guess())).await;
    let told = answers.iter().filter(|answer| answer.status().as_u16() == 401).count();
    assert!((1..=2).contains(&told), "{name}: {told}");
    assert!(began.elapsed() >= Duration::from_secs(3), "{name}");
    for throttled in answers.iter().filter(|answer| answer.status().as_u16() != 401) {
        assert_eq!(throttled.status().as_u16(), 429);
        let wait = throttled.headers()["retry-after"].to_str().unwrap();
        assert!((1..=60).contains(&wait.parse::<u32>().unwrap()), "{wait}");
    }
}

#[tokio::test]
async fn registrations_are_slowed_down_for_one_address_and_for_all() {
    let hub = Hub::start_with(|config| config.auth.registrations_per_min = 14).await;
    let named = |name: &str| json!({"username": name, "email": format!("{name}@example.com"), "password": "correct horse"});
    let mut bad = named("jane");
    bad["password"] = json!("short");
    for (body, wanted) in [(named("jane"), 201), (bad, 400), (named("jane"), 400)] {
        assert_eq!(post(&hub, "/api/auth/register/", body).await.0, wanted);
    }
    // A name that is taken has cost a hash, and counted; one that could not be has not.
    let request = hub.request(Method::POST, "/api/auth/register/").json(&named("john"));
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 429);
    let wait: u32 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["code"], "throttled", "{body}");
    let jane = json!({"username": "jane", "password": "correct horse"});
    assert_eq!(post(&hub, "/api/auth/login/", jane).await.0, 200, "who has an account goes on");
}

#[tokio::test]
async fn who_may_register_as_what() {
    let hub = Hub::start().await;
    for role in ["developer", "admin", "super_admin", "Not A Slug"] {
        let mut body = jane();
        body["role"] = json!(role);
        let (status, answer) = post(&hub, "/api/auth/register/", body).await;
        assert_eq!(status, 400, "{role}");
        assert!(answer["role"][0].is_string(), "{answer}");
    }
    assert_eq!(post(&hub, "/api/auth/register/", jane()).await.0, 201);
    let (status, answer) = post(&hub, "/api/auth/register/", jane()).await;
    assert_eq!(status, 400);
    assert!(answer["username"].is_array() || answer["email"].is_array(), "{answer}");
    for (field, value) in [
        ("username", json!("a b")),
        ("username", json!("")),
        ("email", json!("nowhere")),
        ("password", json!("short")),
    ] {
        let mut body = json!({"username": "john", "email": "john@example.com",
            "password": "correct horse"});
        body[field] = value.clone();
        let (status, answer) = post(&hub, "/api/auth/register/", body).await;
        assert_eq!(status, 400, "{field} {value}");
        assert!(answer[field][0].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn tokens_that_will_not_do() {
    let team = Team::gather().await;
    let (hub, good) = (&team.hub, &team.admin.token);
    for path in ["/api/tickets/", "/api/notifications/", "/api/auth/me/", "/api/users/"] {
        let response = hub.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 401, "{path}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        let body: Value = response.json().await.unwrap();
        let detail = "Authentication credentials were not provided.";
        assert_eq!(body, json!({"detail": detail, "code": "not_authenticated"}));
    }
    let mut tampered = good.clone();
    let last = tampered.pop().unwrap();
    // Of the last character some bits may not count, of the one before all do.
    let before = tampered.pop().unwrap();
    tampered.push(if before == 'A' { 'B' } else { 'A' });
    tampered.push(last);
    let none = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    let expired = hub.token_expiring_in(&team.admin, -3_600);
    for bad in ["", "x", "a.b.c", &tampered, &none, &expired, &"x".repeat(7_000)] {
        let request = hub.request(Method::GET, "/api/auth/me/");
        let (status, body) = answer(request.header("authorization", format!("Bearer {bad}"))).await;
        assert_eq!((status, &body["code"]), (401, &json!("token_not_valid")), "{bad}");
    }
    let basic = hub.request(Method::GET, "/api/auth/me/").basic_auth("admin", Some("x"));
    assert_eq!(answer(basic).await.1["code"], "not_authenticated");
}

#[tokio::test]
async fn a_socket_ticket_is_new_each_time_and_needs_a_user() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "client").await;
    let mut seen = std::collections::HashSet::new();
    for path in ["/api/auth/ws-ticket/", "/api/auth/ws-ticket"] {
        let request = hub.request(Method::POST, path).bearer_auth(&ada.token);
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["cache-control"], "no-store");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["expires_in"], 30);
        let ticket = body["ticket"].as_str().unwrap().to_owned();
        let is_url_safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(ticket.len() >= 22 && ticket.chars().all(is_url_safe), "{ticket}");
        assert!(seen.insert(ticket));
    }
    let (status, body) = answer(hub.request(Method::POST, "/api/auth/ws-ticket/")).await;
    assert_eq!((status, &body["code"]), (401, &json!("not_authenticated")));
    let service =
        json!({"user_id": 0, "token_type": "service", "exp": crate::support::now_s() + 50});
    let service = Person { token: crate::support::sign(&service), ..ada.clone() };
    let (status, body) = hub.post(&service, "/api/auth/ws-ticket/", json!({})).await;
    assert_eq!((status, &body["code"]), (403, &json!("disabled")), "{body}");
    // More than anybody opens sockets at once: one's own are held up, not another's.
    let throttled = async {
        loop {
            let request = hub.request(Method::POST, "/api/auth/ws-ticket/").bearer_auth(&ada.token);
            let response = request.send().await.unwrap();
            if response.status().as_u16() != 200 {
                return response;
            }
        }
    };
    let throttled = throttled.await;
    assert_eq!(throttled.status().as_u16(), 429);
    assert_eq!(throttled.headers()["retry-after"], "30");
    let bob = hub.user("bob", "client").await;
    assert_eq!(hub.post(&bob, "/api/auth/ws-ticket/", json!({})).await.0, 200);
}
