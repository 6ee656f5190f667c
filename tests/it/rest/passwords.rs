//! A password that its owner changes, and what is refused around it.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::service;
use crate::support::{Hub, Person, answer};

const PATH: &str = "/api/auth/password/";

async fn post(hub: &Hub, path: &str, body: Value) -> (u16, Value) {
    answer(hub.request(Method::POST, path).json(&body)).await
}

/// Registers an account with the password `correct horse`; its id.
pub(super) async fn register(hub: &Hub, name: &str) -> i64 {
    let body = json!({"username": name, "email": format!("{name}@example.com"),
        "password": "correct horse"});
    let (status, user) = post(hub, "/api/auth/register/", body).await;
    assert_eq!(status, 201, "{user}");
    user["id"].as_i64().unwrap()
}

/// A login, and the body for its refresh.
pub(super) async fn log_in(hub: &Hub, name: &str, password: &str) -> Result<(Person, Value), u16> {
    let body = json!({"username": name, "password": password});
    let (status, login) = post(hub, "/api/auth/login/", body).await;
    if status != 200 {
        return Err(status);
    }
    let id = login["user"]["id"].as_i64().unwrap();
    let token = login["access"].as_str().unwrap().to_owned();
    let person = Person { id, username: name.to_owned(), token };
    Ok((person, json!({"refresh": login["refresh"]})))
}

fn change(from: &str, to: &str) -> Value {
    json!({"current_password": from, "new_password": to})
}

#[tokio::test]
async fn a_changed_password_ends_all_other_logins() {
    let hub = Hub::start().await;
    register(&hub, "jane").await;
    let (here, here_refresh) = log_in(&hub, "jane", "correct horse").await.unwrap();
    let (there, there_refresh) = log_in(&hub, "jane", "correct horse").await.unwrap();
    let (status, body) = hub.post(&here, PATH, change("correct horse", "battery staple")).await;
    assert_eq!((status, body), (204, Value::Null));
    assert_eq!(hub.get(&here, "/api/auth/me/").await.0, 200, "the caller's own goes on");
    assert_eq!(post(&hub, "/api/auth/refresh/", here_refresh).await.0, 200);
    let (status, told) = hub.get(&there, "/api/auth/me/").await;
    assert_eq!((status, &told["code"]), (401, &json!("token_not_valid")));
    assert_eq!(post(&hub, "/api/auth/refresh/", there_refresh).await.0, 401);
    assert_eq!(log_in(&hub, "jane", "correct horse").await.unwrap_err(), 401);
    assert!(log_in(&hub, "jane", "battery staple").await.is_ok());
}

#[tokio::test]
async fn what_will_not_do_is_named_and_changes_nothing() {
    let hub = Hub::start().await;
    register(&hub, "jane").await;
    let (jane, _) = log_in(&hub, "jane", "correct horse").await.unwrap();
    for (body, field) in [
        (change("wrong horse", "battery staple"), "current_password"),
        (change("correct horse", "short"), "new_password"),
        (change("correct horse", &"x".repeat(1_025)), "new_password"),
        (change("", "battery staple"), "current_password"),
        (json!({"new_password": "battery staple"}), "current_password"),
        (json!({"current_password": "correct horse"}), "new_password"),
    ] {
        let (status, told) = hub.post(&jane, PATH, body.clone()).await;
        assert_eq!(status, 400, "{body}");
        assert!(told[field][0].is_string(), "{body}: {told}");
    }
    let good = change("correct horse", "battery staple");
    assert_eq!(post(&hub, PATH, good.clone()).await.0, 401, "without a token");
    let (status, told) = hub.post(&service(), PATH, good).await;
    assert_eq!((status, &told["code"]), (403, &json!("disabled")));
    assert!(log_in(&hub, "jane", "correct horse").await.is_ok());
}

#[tokio::test]
async fn guessing_the_current_password_is_slowed_down() {
    let hub = Hub::start().await;
    register(&hub, "jane").await;
    let (jane, _) = log_in(&hub, "jane", "correct horse").await.unwrap();
    let guess = || hub.post(&jane, PATH, change("wrong horse", "battery staple"));
    for _ in 0..10 {
        assert_eq!(guess().await.0, 400);
    }
    // Of those that come at once a few have a turn within the time that an attempt may wait.
    let answers = join_all((0..5).map(|_| guess())).await;
    let told = answers.iter().filter(|(status, _)| *status == 400).count();
    assert!((1..=2).contains(&told), "{answers:?}");
    assert!(answers.iter().all(|(status, _)| [400, 429].contains(status)), "{answers:?}");
}

#[tokio::test]
async fn where_no_mail_is_sent_a_reset_says_what_is_missing() {
    let hub = Hub::start().await;
    let body = json!({"email": "jane@example.com"});
    let (status, told) = post(&hub, "/api/auth/password/reset/", body).await;
    assert_eq!((status, &told["code"]), (403, &json!("disabled")), "{told}");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("smtp.url") && detail.contains("bellpull user password"), "{detail}");
}

#[tokio::test]
async fn an_account_says_whether_its_address_is_confirmed() {
    let hub = Hub::start().await;
    let root = hub.user("root", "super_admin").await;
    assert_eq!(hub.get(&root, "/api/auth/me/").await.1["email_verified"], true);
    let id = register(&hub, "jane").await;
    let (status, jane) = hub.get(&root, &format!("/api/users/{id}/")).await;
    assert_eq!((status, &jane["email_verified"]), (200, &json!(false)), "{jane}");
    let change = json!({"email": "jane@elsewhere.example"});
    let (_, jane) = hub.patch(&root, &format!("/api/users/{id}/"), change).await;
    assert_eq!(jane["email_verified"], true, "an admin vouches for it");
}

#[tokio::test]
async fn the_pages_behind_a_mails_links_run_only_their_own_script_and_tell_no_other_page() {
    let hub = Hub::start().await;
    for (path, says) in [("/account/password/", "new password"), ("/account/email/", "address")] {
        let response = hub.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-type").starts_with("text/html"), "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-content-type-options"), "nosniff");
        let policy = header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'sha256-", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        let page = response.text().await.unwrap();
        assert!(page.contains(says), "{page}");
    }
}
