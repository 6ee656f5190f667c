//! `version`: of those who edit the same thing, one wins and the others are told.

use reqwest::Method;
use serde_json::{Value, json};

use super::deliveries::team;
use super::service;
use crate::support::answer;

/// Of templates and policies, which are made by their first version.
#[tokio::test]
async fn of_two_who_saw_the_same_version_one_wins() {
    let team = team().await;
    let put = async |path: &str, body: &Value| {
        let request = team.hub.request(Method::PUT, path).bearer_auth(&team.admin.token);
        answer(request.json(body)).await
    };
    let (policy, template) = ("/api/escalations/mentioned/", "/api/templates/mentioned/SMS/de-AT/");
    let texts = |text: &str| json!({ "text": text });
    let steps = |after_s: u32| json!({"steps": [{"channel": "SMS", "after_s": after_s}]});
    for (path, bodies) in
        [(policy, [0, 1, 2, 3].map(|n| steps(60 + n))), (template, ["a", "b", "c", "d"].map(texts))]
    {
        let [first, second, third, last] = bodies;
        let at = |body: &Value, version: &Value| {
            let mut body = body.clone();
            body["version"] = version.clone();
            body
        };
        // Neither has seen one: the second would replace what it does not know.
        let (status, one) = put(path, &at(&first, &json!(0))).await;
        assert!((200..300).contains(&status), "{one}");
        let (status, refused) = put(path, &at(&second, &json!(0))).await;
        assert_eq!((status, &refused["code"]), (409, &json!("conflict")), "{refused}");
        // Both have seen the first, and send it whole.
        let seen = one["version"].clone();
        let whole = |changed: &Value| {
            let mut whole = one.clone();
            whole.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
            whole
        };
        let (second, third) = (whole(&second), whole(&third));
        let both = tokio::join!(put(path, &second), put(path, &third));
        let mut statuses = [both.0.0, both.1.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{both:?}");
        let won = if both.0.0 == 200 { both.0.1 } else { both.1.1 };
        let (_, now) = team.hub.get(&team.admin, path).await;
        assert_eq!(now, won, "what the answer shows is what is stored");
        assert!(now["version"].as_i64() > seen.as_i64(), "{now}");
        // Who does not say what was seen replaces, and what is deleted has no version.
        assert_eq!(put(path, &last).await.0, 200);
        assert_eq!(put(path, &at(&first, &now["version"])).await.0, 409);
        assert_eq!(team.hub.delete(&team.admin, path).await.0, 204);
        assert_eq!(put(path, &at(&first, &now["version"])).await.0, 409);
        assert!((200..300).contains(&put(path, &at(&first, &json!(0))).await.0));
    }
}

/// Of what is changed in parts.
#[tokio::test]
async fn of_two_who_change_the_same_thing_one_wins() {
    let team = team().await;
    let hub = &team.hub;
    let address = json!({"url": "https://hooks.example/bellpull"});
    let (_, hook) = hub.post(&team.admin, "/api/webhooks/", address).await;
    for (path, [first, second, third]) in [
        (
            format!("/api/users/{}/", team.carl.id),
            ["Carl", "Carla", "Karl"].map(|name| json!({ "full_name": name })),
        ),
        ("/api/auth/me/".to_owned(), ["A", "B", "C"].map(|name| json!({ "full_name": name }))),
        (
            format!("/api/webhooks/{}/", hook["id"]),
            ["x", "y", "z"].map(|text| json!({ "description": text })),
        ),
        (
            "/api/preferences/".to_owned(),
            ["en", "de", "pt"].map(|locale| json!({ "locale": locale })),
        ),
    ] {
        let (_, opened) = hub.get(&team.admin, &path).await;
        let at = |change: &Value, of: &Value| {
            let mut change = change.clone();
            change["version"] = of["version"].clone();
            change
        };
        let both = tokio::join!(
            hub.patch(&team.admin, &path, at(&first, &opened)),
            hub.patch(&team.admin, &path, at(&second, &opened)),
        );
        let (won, lost) = if both.0.0 == 200 { both } else { (both.1, both.0) };
        assert_eq!((won.0, lost.0, &lost.1["code"]), (200, 409, &json!("conflict")), "{path}");
        let (_, now) = hub.get(&team.admin, &path).await;
        assert_eq!(now, won.1, "{path}");
        assert_ne!(now["version"], opened["version"], "{path}");
        assert_eq!(hub.patch(&team.admin, &path, at(&third, &opened)).await.0, 409, "{path}");
        assert_eq!(hub.patch(&team.admin, &path, at(&third, &now)).await.0, 200, "{path}");
        assert_eq!(hub.patch(&team.admin, &path, first).await.0, 200, "{path}: whatever is there");
    }
}

#[tokio::test]
async fn a_back_end_may_say_what_it_has_seen_of_an_account() {
    let team = team().await;
    let put = async |body: Value| {
        let request = team.hub.request(Method::PUT, "/api/users/901/");
        answer(request.bearer_auth(&service().token).json(&body)).await
    };
    let named = |name: &str, version: &Value| json!({"username": "ivy", "full_name": name, "version": version});
    assert_eq!(put(named("Ivy", &json!(7))).await.0, 409, "there is none");
    let (status, made) = put(named("Ivy", &json!(0))).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(put(named("Ivy Lee", &json!(0))).await.0, 409, "there is one");
    let (status, changed) = put(named("Ivy Lee", &made["version"])).await;
    assert_eq!((status, &changed["full_name"]), (200, &json!("Ivy Lee")), "{changed}");
    assert_eq!(put(named("Ivy Kay", &made["version"])).await.0, 409);
}
