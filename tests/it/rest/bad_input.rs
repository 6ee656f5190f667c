//! Bodies that are broken, ambiguous, too deep, too large, or of another kind.

use reqwest::Method;
use serde_json::json;

use super::Team;
use crate::support::{Hub, answer};

async fn send(team: &Team, kind: Option<&str>, body: impl Into<reqwest::Body>) -> (u16, String) {
    let request = team.hub.request(Method::POST, "/api/tickets/").bearer_auth(&team.carl.token);
    let request = kind.into_iter().fold(request, |r, kind| r.header("content-type", kind));
    let (status, body) = answer(request.body(body)).await;
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn what_is_no_json_or_more_than_one_thing() {
    let team = Team::gather().await;
    let deep = format!("{{\"title\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let deep_objects = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    for bad in [
        "{",
        "{'title': 'x'}",
        "{\"title\": \"x\"} x",
        "{\"title\": \"x\",}",
        "{\"title\": NaN}",
        "{\"title\": \"x\", \"title\": \"y\"}",
        "{\"title\": \"x\", \"titl\\u0065\": \"y\"}",
        "{\"title\": \"x\", \"more\": {\"a\": 1, \"a\": 2}}",
        "{\"title\": \"\\ud800\"}",
        &deep,
        &deep_objects,
    ] {
        let found = send(&team, Some("application/json"), bad.to_owned()).await;
        assert_eq!(found, is(400, "parse_error"), "{:.60}", bad);
    }
    let broken = b"{\"title\": \"\xff\xfe\"}".to_vec();
    assert_eq!(send(&team, Some("application/json"), broken).await, is(400, "parse_error"));
    for other in ["[]", "[{\"title\": \"x\"}]", "\"x\"", "1", "null", "true"] {
        let found = send(&team, Some("application/json"), other).await;
        assert_eq!(found, is(400, "invalid"), "{other}");
    }
    let (_, list) = team.hub.get(&team.root, "/api/tickets/").await;
    assert_eq!(list["count"], 0);
}

#[tokio::test]
async fn what_is_of_another_kind() {
    let team = Team::gather().await;
    let body = "{\"title\": \"x\"}";
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"] {
        let found = send(&team, Some(kind), body).await;
        assert_eq!(found, is(415, "unsupported_media_type"), "{kind}");
    }
    assert_eq!(send(&team, None, body).await, is(415, "unsupported_media_type"));
    for kind in ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"] {
        assert_eq!(send(&team, Some(kind), body).await.0, 201, "{kind}");
    }
}

#[tokio::test]
async fn no_body_will_do_for_an_action() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    let request = team.hub.request(Method::POST, &format!("/api/tickets/{id}/open/"));
    assert_eq!(answer(request.bearer_auth(&team.admin.token)).await.0, 200);
    assert_eq!(send(&team, None, "").await, is(400, "invalid"), "but a title is needed");
}

#[tokio::test]
async fn what_is_too_large() {
    let team = Team::gather().await;
    let large = format!("{{\"title\": \"x\", \"more\": \"{}\"}}", "x".repeat(2 << 20));
    let found = send(&team, Some("application/json"), large).await;
    assert_eq!(found, is(413, "too_large"));
    let hub = Hub::start_with(|config| config.http.max_body_bytes = 100).await;
    let carl = hub.user("carl", "client").await;
    let long = json!({"title": "x".repeat(90)});
    let (status, body) = hub.post(&carl, "/api/tickets/", long).await;
    assert_eq!((status, &body["code"]), (413, &json!("too_large")));
    assert_eq!(hub.post(&carl, "/api/tickets/", json!({"title": "x"})).await.0, 201);
}

#[tokio::test]
async fn a_stranger_hears_only_that() {
    let team = Team::gather().await;
    let request = team.hub.request(Method::POST, "/api/tickets/").body("{");
    assert_eq!(answer(request).await.0, 401, "before anything is read");
}

#[tokio::test]
async fn browsers_of_allowed_origins_may_ask() {
    let app = "https://app.example.com";
    let hub = Hub::start_with(|config| config.http.allowed_origins = vec![app.to_owned()]).await;
    for (origin, is_allowed) in [(app, true), ("https://evil.example", false)] {
        let request = hub
            .request(Method::OPTIONS, "/api/tickets/")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let response = request.send().await.unwrap();
        let allowed = response.headers().get("access-control-allow-origin");
        assert_eq!(allowed.is_some(), is_allowed, "{origin}");
    }
    let request = hub.request(Method::GET, "/api/tickets/").header("origin", app);
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
    assert_eq!(response.headers()["access-control-allow-origin"], app);
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
}

/// No database of text stores it.
#[tokio::test]
async fn a_null_character_is_refused_wherever_a_text_is_stored_or_searched() {
    let team = Team::gather().await;
    let (status, ticket) =
        team.hub.post(&team.carl, "/api/tickets/", json!({"title": "a", "description": "b"})).await;
    assert_eq!(status, 201, "{ticket}");
    let comments = format!("/api/tickets/{}/comments/", ticket["id"]);
    let told = json!(["Null characters are not allowed."]);
    for (who, path, field, body) in [
        (&team.carl, "/api/tickets/", "title", json!({"title": "a\0b"})),
        (&team.carl, "/api/tickets/", "description", json!({"title": "a", "description": "\0"})),
        (&team.carl, &*comments, "body", json!({"body": "a\0b"})),
        (&team.carl, "/api/auth/login/", "username", json!({"username": "a\0b", "password": "x"})),
        (&team.admin, "/api/projects/", "name", json!({"key": "WEB", "name": "a\0b"})),
    ] {
        let (status, answer) = team.hub.post(who, path, body).await;
        assert_eq!((status, &answer[field]), (400, &told), "{path} {answer}");
    }
    let (status, answer) = team.hub.get(&team.root, "/api/tickets/?search=a%00b").await;
    assert_eq!((status, &answer["search"]), (400, &told), "{answer}");
    let (status, _) = team.hub.get(&team.root, "/api/escalations/a%00b/").await;
    assert_eq!(status, 404);
}
