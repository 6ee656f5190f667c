//! What a user may not see does not exist for that user, whichever way it is requested.

use reqwest::Method;
use serde_json::json;

use super::{Team, ids};
use crate::support::answer;

#[tokio::test]
async fn another_client_s_ticket_is_not_there() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    for path in ["", "history/", "assignees/"].map(|part| format!("/api/tickets/{id}/{part}")) {
        for (who, wanted) in [
            (&team.carl, 200),
            (&team.ada, 200),
            (&team.admin, 200),
            (&team.root, 200),
            (&team.dora, 404),
        ] {
            let (status, body) = team.hub.get(who, &path).await;
            assert_eq!(status, wanted, "{path} by {}: {body}", who.username);
        }
        // The same words as for what never was.
        let (_, hidden) = team.hub.get(&team.dora, &path).await;
        let (_, missing) = team.hub.get(&team.dora, "/api/tickets/4711/").await;
        assert_eq!(hidden, missing);
    }
    let (_, list) = team.hub.get(&team.dora, "/api/tickets/?search=One").await;
    assert_eq!(list["count"], 0);
    for who in [&team.carl, &team.ada, &team.admin] {
        let (_, list) = team.hub.get(who, "/api/tickets/").await;
        assert_eq!(ids(&list), [id], "{}", who.username);
    }
}

#[tokio::test]
async fn ids_that_are_none_name_nothing() {
    let team = Team::gather().await;
    team.raise(&team.carl, "One").await;
    for id in ["0", "-1", "+1", "x", "1.0", "99999999999999999999", "%00", "1%2f", "%ff"] {
        let prefixes = ["tickets", "notifications", "projects"];
        for path in prefixes.map(|prefix| format!("/api/{prefix}/{id}/")) {
            let (status, body) = team.hub.get(&team.root, &path).await;
            assert_eq!((status, &body["code"]), (404, &json!("not_found")), "{path}");
        }
    }
}

#[tokio::test]
async fn both_spellings_of_every_path() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    for path in [
        "/api/tickets",
        &format!("/api/tickets/{id}"),
        &format!("/api/tickets/{id}/history"),
        &format!("/api/tickets/{id}/comments"),
        "/api/projects",
        "/api/projects/1",
        "/api/projects/1/members",
        "/api/notifications",
        "/api/notifications/unread",
        "/api/notifications/unread_count",
        "/api/notifications/unread-count",
        "/api/auth/me",
        "/api/users",
        "/api/operator/tree",
    ] {
        let (slashed, bare) = (
            team.hub.get(&team.root, &format!("{path}/")).await,
            team.hub.get(&team.root, path).await,
        );
        assert_eq!((slashed.0, bare.0), (200, 200), "{path}");
    }
    for path in ["open", "start-work/", "start_work", "finish-work", "finish_work/"] {
        let path = format!("/api/tickets/{id}/{path}");
        let status = team.hub.post(&team.carl, &path, json!({})).await.0;
        assert_eq!(status, 403, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_done() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    for path in ["/", "/api/", "/api/nothing/", &format!("/api/tickets/{id}/explode/")] {
        let (status, body) = answer(team.hub.request(Method::GET, path)).await;
        assert_eq!((status, &body["code"]), (404, &json!("not_found")), "{path}");
    }
    for (method, path, allowed) in [
        (Method::PUT, "/api/tickets/1/".to_owned(), ["DELETE", "GET", "PATCH"].as_slice()),
        (Method::GET, format!("/api/tickets/{id}/open/"), &["POST"]),
        (Method::DELETE, "/api/tickets/".to_owned(), &["GET", "POST"]),
        (Method::POST, "/api/auth/me/".to_owned(), &["GET", "PATCH"]),
    ] {
        let response = team.hub.request(method.clone(), &path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 405, "{path}");
        let allow = response.headers()["allow"].to_str().unwrap().to_owned();
        for name in allowed {
            assert!(allow.contains(name), "{name} in {allow} of {path}");
        }
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["detail"], format!("Method \"{method}\" not allowed."));
    }
}
