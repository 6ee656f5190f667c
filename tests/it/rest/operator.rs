//! What operators see and do.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Team;
use crate::support::{Hub, answer, now_s, sign};

#[tokio::test]
async fn health_needs_no_token() {
    // What a process does before it serves.
    bellpull::telemetry::init_metrics();
    let hub = Hub::start().await;
    for path in ["/healthz", "/healthz/"] {
        let body = answer(hub.request(Method::GET, path)).await;
        assert_eq!(body, (200, json!({"status": "ok"})));
    }
    let (status, body) = answer(hub.request(Method::GET, "/readyz")).await;
    let checks = json!({"store": "ok", "broker": "off", "supervisors": "ok", "draining": "no"});
    assert_eq!((status, body), (200, json!({"ready": true, "status": "ok", "checks": checks})));
    let response = hub.request(Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let text = response.text().await.unwrap();
    assert!(text.contains("bellpull_http_requests_total"), "{text}");
    assert!(text.contains("route=\"/healthz/\""), "{text}");
}

#[tokio::test]
async fn the_tree_is_for_super_admins() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    let path = "/api/operator/tree/";
    assert_eq!(answer(team.hub.request(Method::GET, path)).await.0, 401);
    for who in [&team.admin, &team.ada, &team.carl] {
        assert_eq!(team.hub.get(who, path).await.0, 403, "{}", who.username);
        let restart = "/api/operator/actors/users/0/restart/";
        assert_eq!(team.hub.post(who, restart, json!({})).await.0, 403);
        assert_eq!(team.hub.get(who, "/api/operator/events/").await.0, 403);
    }
    let (status, tree) = team.hub.get(&team.root, path).await;
    assert_eq!((status, &tree["path"]), (200, &json!("hub")));
    assert!(tree.to_string().contains(&format!("\"ticket/{id}\"")), "{tree}");
    let (_, bare) = team.hub.get(&team.root, "/api/operator/tree?children=0").await;
    assert!(!bare.to_string().contains("\"ticket/"), "supervisors alone: {bare}");
    for bad in ["x", "-1"] {
        let (status, body) = team.hub.get(&team.root, &format!("{path}?children={bad}")).await;
        assert_eq!(status, 400);
        assert!(body["children"][0].is_string(), "{body}");
    }
    assert_eq!(team.hub.get(&super::service(), path).await.0, 200);
}

#[tokio::test]
async fn an_actor_starts_again_and_loses_nothing() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    for path in [format!("ticket/{id}/restart/"), "users/0/restart".to_owned()] {
        let path = format!("/api/operator/actors/{path}");
        let (status, body) = team.hub.post(&team.root, &path, json!({})).await;
        assert_eq!(status, 200, "{path}: {body}");
    }
    let (status, ticket) = team.act(&team.admin, id, "open").await;
    assert_eq!((status, &ticket["status"]), (200, &json!("OPENED")));
    for missing in ["unknown/7/restart/", "ticket/4711/restart/", "users/0/", "restart/"] {
        let path = format!("/api/operator/actors/{missing}");
        assert_eq!(team.hub.post(&team.root, &path, json!({})).await.0, 404, "{missing}");
    }
}

#[tokio::test]
async fn events_are_a_stream() {
    let team = Team::gather().await;
    let request = team.hub.request(Method::GET, "/api/operator/events/");
    let mut response = request.bearer_auth(&team.root.token).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    team.raise(&team.carl, "One").await;
    let mut text = String::new();
    while !text.contains("\n\n") {
        let chunk = response.chunk().await.unwrap().expect("an event");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(text.lines().any(|line| line.starts_with("id: ")), "{text}");
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
    let event: Value = serde_json::from_str(data).unwrap();
    assert!(event["path"].is_string() && event["what"].is_string(), "{event}");
}

#[tokio::test]
async fn a_stream_ends_with_the_right_to_read_it() {
    let team = Team::gather().await;
    let eve = team.hub.user("eve", "super_admin").await;
    let request = team.hub.request(Method::GET, "/api/operator/events/");
    let mut response = request.bearer_auth(&eve.token).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let path = format!("/api/users/{}/", eve.id);
    let (status, user) = team.hub.patch(&team.root, &path, json!({"role": "client"})).await;
    assert_eq!(status, 200, "{user}");
    let end = async { while response.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), end).await.expect("an end");
}

#[tokio::test]
async fn with_an_address_of_their_own_nothing_of_it_is_elsewhere() {
    let own = Some("127.0.0.1:0".parse().unwrap());
    let hub = Hub::start_with(|config| config.operator_listen = own).await;
    let root = hub.user("root", "super_admin").await;
    for path in ["/metrics", "/api/operator/tree/", "/api/operator/events/"] {
        assert_eq!(hub.get(&root, path).await.0, 404, "{path}");
    }
    assert_eq!(hub.get(&root, "/healthz").await.0, 200);
}

#[tokio::test]
async fn the_events_of_a_service_end_with_its_token() {
    let hub = Hub::start().await;
    let ask = async |lives_s: i64| {
        let (iat, exp) = (now_s(), now_s() + lives_s);
        let claims = json!({
            "user_id": 0, "token_type": "service", "iat": iat, "exp": exp, "jti": "short",
        });
        let request = hub.request(Method::GET, "/api/operator/events/").bearer_auth(sign(&claims));
        request.send().await.unwrap()
    };
    let mut response = ask(2).await;
    // A busy machine may take as long as the token lives.
    if response.status().as_u16() == 401 {
        response = ask(8).await;
    }
    assert_eq!(response.status().as_u16(), 200);
    let end = async { while response.chunk().await.unwrap().is_some() {} };
    timeout(Duration::from_secs(20), end).await.expect("it ends with the token");
    hub.stop().await;
}
