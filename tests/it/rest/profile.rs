//! The caller's own account, and what its owner may change of it.

use reqwest::Method;
use serde_json::{Value, json};

use super::passwords::{log_in, register};
use super::service;
use crate::support::{Hub, Person, answer};

const ME: &str = "/api/auth/me/";

/// A registered account with a password, logged in.
async fn join(hub: &Hub, name: &str) -> Person {
    register(hub, name).await;
    log_in(hub, name, "correct horse").await.unwrap().0
}

#[tokio::test]
async fn an_owner_changes_the_name() {
    let hub = Hub::start().await;
    let jane = join(&hub, "jane").await;
    let (status, after) = hub.patch(&jane, ME, json!({"full_name": "Jane Doe"})).await;
    assert_eq!((status, &after["full_name"]), (200, &json!("Jane Doe")), "{after}");
    assert_eq!(hub.get(&jane, ME).await.1, after);
    assert_eq!(hub.patch(&jane, ME, json!({})).await, (200, after.clone()));
    assert_eq!(hub.patch(&jane, ME, after.clone()).await, (200, after), "all of it, unchanged");
    let (status, told) = hub.patch(&jane, ME, json!({"full_name": "x".repeat(256)})).await;
    assert_eq!((status, told["full_name"][0].is_string()), (400, true), "{told}");
}

#[tokio::test]
async fn a_new_address_needs_the_password_and_is_unconfirmed() {
    let hub = Hub::start().await;
    let (jane, root) = (join(&hub, "jane").await, hub.user("root", "super_admin").await);
    let _ = join(&hub, "carl").await;
    let confirmed = json!({"email": "first@example.com"});
    hub.patch(&root, &format!("/api/users/{}/", jane.id), confirmed).await;
    let to = |email: &str, password: Value| json!({"email": email, "current_password": password});
    for (body, field) in [
        (json!({"email": "new@example.com"}), "current_password"),
        (to("new@example.com", Value::Null), "current_password"),
        (to("new@example.com", json!("")), "current_password"),
        (to("new@example.com", json!("wrong horse")), "current_password"),
        (to("no address", json!("correct horse")), "email"),
        (to("carl@example.com", json!("correct horse")), "email"),
    ] {
        let (status, told) = hub.patch(&jane, ME, body.clone()).await;
        assert_eq!(status, 400, "{body}: {told}");
        assert!(told[field][0].is_string(), "{body}: {told}");
    }
    let (_, me) = hub.get(&jane, ME).await;
    assert_eq!((&me["email"], &me["email_verified"]), (&json!("first@example.com"), &json!(true)));

    let (status, me) = hub.patch(&jane, ME, json!({"email": "First@Example.com"})).await;
    assert_eq!((status, &me["email_verified"]), (200, &json!(true)), "the same address: {me}");
    let (status, me) = hub.patch(&jane, ME, to("new@example.com", json!("correct horse"))).await;
    assert_eq!((status, &me["email"]), (200, &json!("new@example.com")), "{me}");
    assert_eq!(me["email_verified"], false, "the owner does not vouch for it");
    let (status, me) = hub.patch(&jane, ME, to("", json!("correct horse"))).await;
    assert_eq!((status, &me["email"]), (200, &json!("")), "{me}");
}

#[tokio::test]
async fn what_admins_change_is_not_the_owners_to_change() {
    let hub = Hub::start().await;
    let jane = join(&hub, "jane").await;
    for field in ["phone", "whatsapp_number"] {
        let body = json!({field: "+491701234567", "current_password": "correct horse"});
        let (status, told) = hub.patch(&jane, ME, body).await;
        assert_eq!(status, 400, "{told}");
        assert!(told[field][0].as_str().unwrap().contains("admin"), "{told}");
    }
    let (_, before) = hub.get(&jane, ME).await;
    let more = json!({"role": "super_admin", "is_active": false, "email_verified": true,
        "username": "root", "id": 1, "password": "battery staple"});
    assert_eq!(hub.patch(&jane, ME, more).await, (200, before), "ignored, as all unknown fields");
    let (status, told) = hub.patch(&service(), ME, json!({"full_name": "x"})).await;
    assert_eq!(status, 403, "{told}");
    let request = hub.request(Method::PATCH, ME).json(&json!({"full_name": "x"}));
    assert_eq!(answer(request).await.0, 401);
}
