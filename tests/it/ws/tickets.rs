//! Tickets that stand in a URL instead of a token.

use reqwest::Method;
use serde_json::json;

use super::{Raw, Socket, handshake};
use crate::support::{Hub, Person};

async fn ticket(hub: &Hub, person: &Person) -> String {
    let (status, body) = hub.post(person, "/api/auth/ws-ticket/", json!({})).await;
    assert_eq!((status, &body["expires_in"]), (200, &json!(30)), "{body}");
    body["ticket"].as_str().unwrap().to_owned()
}

/// The status of a handshake with this query.
async fn status(hub: &Hub, query: &str) -> u16 {
    let request = handshake(&format!("/ws/notifications/{query}"), &[]);
    Raw::connect(hub.address()).await.request(&request).await.status
}

/// A logged-in user with a password, and the refresh token.
async fn log_in(hub: &Hub, username: &str) -> Person {
    let body = json!({"username": username, "email": format!("{username}@example.com"),
        "password": "correct horse"});
    let request = hub.request(Method::POST, "/api/auth/register/").json(&body);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 201);
    let body = json!({"username": username, "password": "correct horse"});
    let request = hub.request(Method::POST, "/api/auth/login/").json(&body);
    let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    Person {
        id: answer["user"]["id"].as_i64().unwrap(),
        username: username.to_owned(),
        token: answer["access"].as_str().unwrap().to_owned(),
    }
}

#[tokio::test]
async fn a_socket_ticket_opens_one_socket_of_its_user() {
    let hub = Hub::start().await;
    let (ada, bob) = (hub.user("ada", "client").await, hub.user("bob", "client").await);
    let one = ticket(&hub, &ada).await;
    let mut raw = Raw::connect(hub.address()).await;
    // Beside a token it is the ticket that counts.
    let answer = raw.handshake(&format!("?ticket={one}&token={}", bob.token), &[]).await;
    assert_eq!(answer.status, 101, "{}", answer.head);
    assert_eq!(raw.next_text().await["user_id"], ada.id);
    let again = Raw::connect(hub.address()).await.handshake(&format!("?ticket={one}"), &[]).await;
    assert_eq!((again.status, &again.body["code"]), (403, &json!("token_not_valid")));
    assert!(again.body["detail"].as_str().unwrap().contains("ticket"), "{}", again.body);
    // A token does not replace an invalid ticket.
    assert_eq!(status(&hub, &format!("?ticket={one}&token={}", bob.token)).await, 403);
    for bad in ["", "x", &bob.token] {
        assert_eq!(status(&hub, &format!("?ticket={bad}")).await, 403, "{bad}");
    }
    // On the other doors too; a browser is told on the socket.
    let two = ticket(&hub, &ada).await;
    let mut raw = Raw::connect(hub.address()).await;
    let request = handshake(&format!("/ws/projects/1/presence/?ticket={two}"), &[]);
    assert_eq!(raw.request(&request).await.status, 101);
    assert_eq!(raw.next_text().await["user_id"], ada.id);
    let mut raw = Raw::connect(hub.address()).await;
    assert_eq!(raw.request(&handshake(&format!("/ws/?ticket={two}"), &[])).await.status, 101);
    assert_eq!(raw.next_close().await, 4401);
}

#[tokio::test]
async fn of_many_sockets_with_one_ticket_one_opens() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "client").await;
    for _ in 0..5 {
        let ticket = ticket(&hub, &ada).await;
        let query = format!("?ticket={ticket}");
        let tries = (0..12).map(|_| status(&hub, &query));
        let statuses = futures_util::future::join_all(tries).await;
        let opened = statuses.iter().filter(|status| **status == 101).count();
        assert_eq!(opened, 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 101 | 403)), "{statuses:?}");
    }
}

#[tokio::test]
async fn a_ticket_ends_with_its_login_and_with_the_account() {
    let hub = Hub::start().await;
    let root = hub.user("root", "super_admin").await;
    let jane = log_in(&hub, "jane").await;
    let before = ticket(&hub, &jane).await;
    assert_eq!(hub.post(&jane, "/api/auth/logout/", json!({})).await.0, 200);
    assert_eq!(status(&hub, &format!("?ticket={before}")).await, 403);

    let carl = hub.user("carl", "client").await;
    let before = ticket(&hub, &carl).await;
    let path = format!("/api/users/{}/", carl.id);
    assert_eq!(hub.patch(&root, &path, json!({"is_active": false})).await.0, 200);
    assert_eq!(status(&hub, &format!("?ticket={before}")).await, 403);
}

#[tokio::test]
async fn a_socket_that_a_ticket_opened_ends_with_the_token_behind_it_and_with_its_login() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "client").await;
    let brief = Person { token: hub.token_expiring_in(&ada, 2), ..ada.clone() };
    let ticket_of_brief = ticket(&hub, &brief).await;
    let by = |ticket: String| Person { token: format!("&ticket={ticket}"), ..ada.clone() };
    let mut socket = Socket::open(&hub, &by(ticket_of_brief), "").await;
    assert_eq!(socket.next_close().await.0, 4401);

    let jane = log_in(&hub, "jane").await;
    let ticket = ticket(&hub, &jane).await;
    let mut socket = Socket::open(&hub, &by(ticket), "").await;
    assert_eq!(socket.next().await["user_id"], jane.id);
    assert_eq!(hub.post(&jane, "/api/auth/logout/", json!({})).await.0, 200);
    let (code, reason) = socket.next_close().await;
    assert_eq!((code, reason.as_str()), (4401, "logged out"));
}
