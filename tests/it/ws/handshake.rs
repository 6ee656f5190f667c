//! Who is let in: tokens, origins, dialects, and what a refusal says.

use serde_json::json;

use super::{Raw, handshake};
use crate::support::{Hub, Person};

async fn answer(hub: &Hub, query: &str, headers: &[(&str, &str)]) -> super::Answer {
    Raw::connect(hub.address()).await.handshake(query, headers).await
}

fn token(person: &Person) -> String {
    format!("?token={}", person.token)
}

#[tokio::test]
async fn a_token_may_stand_in_each_of_three_places() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let bearer = format!("Bearer {}", ada.token);
    let pair = format!("incident, bearer.{}", ada.token);
    type Headers<'a> = Vec<(&'a str, &'a str)>;
    let cases: [(&str, Headers<'_>, Option<&str>); 3] = [
        (&token(&ada), vec![], None),
        ("", vec![("Authorization", &bearer)], None),
        ("", vec![("Sec-WebSocket-Protocol", &pair)], Some("incident")),
    ];
    for (query, headers, subprotocol) in cases {
        let mut raw = Raw::connect(hub.address()).await;
        let answer = raw.handshake(query, &headers).await;
        assert_eq!(answer.status, 101, "{}", answer.head);
        // What the RFC shows for this key.
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(answer.header("sec-websocket-protocol"), subprotocol);
        let wanted = json!({
            "type": "connection_established",
            "message": "Connected successfully as ada",
            "user_id": ada.id,
        });
        assert_eq!(raw.next_text().await, wanted);
    }
}

#[tokio::test]
async fn a_bad_token_is_refused_before_the_socket_is_open() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let (signed, signature) = ada.token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let tampered = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    let stripped = format!("{header}.{claims}.");
    for bad in ["", "x", "a.b.c", &tampered, &unsigned, &stripped] {
        let answer = answer(&hub, &format!("?token={bad}"), &[]).await;
        assert_eq!(answer.status, 403, "{bad}: {}", answer.head);
        assert_eq!(answer.body["code"], "token_not_valid", "{bad}");
        assert!(answer.body["detail"].is_string(), "{bad}");
    }
    let answer = answer(&hub, "", &[]).await;
    assert_eq!((answer.status, &answer.body["code"]), (403, &json!("not_authenticated")));
}

#[tokio::test]
async fn a_token_that_has_expired_is_refused() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let short = hub.token_expiring_in(&ada, 1);
    let expired =
        async { while answer(&hub, &format!("?token={short}"), &[]).await.status == 101 {} };
    tokio::time::timeout(super::PATIENCE, expired).await.expect("an end of the token");
    assert_eq!(answer(&hub, &format!("?token={short}"), &[]).await.status, 403);
}

#[tokio::test]
async fn without_a_list_an_origin_must_be_the_same_host() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    for (origin, status) in [
        ("http://hub.example.com", 101),
        ("https://hub.example.com", 101),
        ("http://hub.example.com:3000", 403),
        ("https://evil.example.org", 403),
        ("null", 403),
    ] {
        let answer = answer(&hub, &token(&ada), &[("Origin", origin)]).await;
        assert_eq!(answer.status, status, "{origin}");
        if status == 403 {
            assert_eq!(answer.body["code"], "origin_not_allowed");
        }
    }
}

#[tokio::test]
async fn with_a_list_an_origin_must_be_on_it_exactly() {
    let hub = Hub::start_with(|config| {
        config.http.allowed_origins = vec!["https://app.example.com".to_owned()];
    })
    .await;
    let ada = hub.user("ada", "admin").await;
    for (origin, status) in [
        ("https://app.example.com", 101),
        ("http://app.example.com", 403),
        ("https://app.example.com:8443", 403),
        ("https://app.example.com.evil.org", 403),
        // Its own host is always among them.
        ("http://hub.example.com", 101),
        ("http://hub.example.com.evil.org", 403),
    ] {
        let answer = answer(&hub, &token(&ada), &[("Origin", origin)]).await;
        assert_eq!(answer.status, status, "{origin}");
    }
    assert_eq!(answer(&hub, &token(&ada), &[]).await.status, 101, "no browser");

    let open = Hub::start_with(|config| config.http.allowed_origins = vec!["*".to_owned()]).await;
    let bob = open.user("bob", "admin").await;
    let answer = answer(&open, &token(&bob), &[("Origin", "https://any.example.org")]).await;
    assert_eq!(answer.status, 101);
}

#[tokio::test]
async fn a_dialect_is_named_in_the_url_or_offered() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let token = token(&ada);
    for (dialect, offered, status, chosen) in [
        ("", None, 101, None),
        ("&dialect=incident", None, 101, None),
        ("&dialect=incident", Some("incident"), 101, Some("incident")),
        ("", Some("incident"), 101, Some("incident")),
        ("", Some("chat, incident"), 101, Some("incident")),
        ("&dialect=unknown", None, 400, None),
        ("", Some("unknown"), 101, None),
        ("", Some("access_token, JWT"), 101, None),
        ("&dialect=&since=", None, 101, None),
    ] {
        let headers: Vec<_> =
            offered.iter().map(|names| ("Sec-WebSocket-Protocol", *names)).collect();
        let answer = answer(&hub, &format!("{token}{dialect}"), &headers).await;
        assert_eq!(answer.status, status, "{dialect} {offered:?}");
        assert_eq!(answer.header("sec-websocket-protocol"), chosen, "{dialect} {offered:?}");
        if status == 400 {
            assert_eq!(answer.body["code"], "unknown_dialect");
            assert!(answer.body["detail"].as_str().unwrap().contains("unknown"));
        }
    }
}

#[tokio::test]
async fn what_is_no_handshake() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let path = format!("/ws/notifications/{}", token(&ada));
    let good = handshake(&path, &[]);
    let without_slash = good.replace("/ws/notifications/", "/ws/notifications");
    for (request, status) in [
        (good.clone(), 101),
        (without_slash, 101),
        (good.replace("Upgrade: websocket", "X-Nothing: x"), 426),
        (good.replace("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"), 400),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), 400),
        (good.replace("Sec-WebSocket-Key", "X-Key"), 400),
        (good.replace("Upgrade: websocket", "Upgrade: websocket\r\nContent-Length: 5"), 400),
        (good.replace("GET ", "POST "), 405),
    ] {
        let answer = Raw::connect(hub.address()).await.request(&request).await;
        assert_eq!(answer.status, status, "{request}");
        if status == 400 {
            assert_eq!(answer.header("sec-websocket-version"), Some("13"));
        }
    }
}

#[tokio::test]
async fn parameters_that_will_not_do() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    for since in ["-1", "x", "1.5"] {
        let answer = answer(&hub, &format!("{}&since={since}", token(&ada)), &[]).await;
        assert_eq!(answer.status, 400, "{since}");
        assert_eq!(
            answer.body,
            json!({"since": ["A whole number, 0 or more."], "code": "invalid"})
        );
    }
    assert_eq!(answer(&hub, &format!("{}&replay=all", token(&ada)), &[]).await.status, 400);
    assert_eq!(answer(&hub, &format!("{0}&since=1&since=2", token(&ada)), &[]).await.status, 400);
}

#[tokio::test]
async fn an_address_that_comes_too_often_is_told_when_to_come_back() {
    let hub = Hub::start_with(|config| config.ws.handshakes_per_s = 1).await;
    let ada = hub.user("ada", "admin").await;
    let refused = async {
        loop {
            let answer = answer(&hub, &token(&ada), &[]).await;
            if answer.status != 101 {
                return answer;
            }
        }
    };
    let refused = tokio::time::timeout(super::PATIENCE, refused).await.expect("a refusal");
    assert_eq!((refused.status, &refused.body["code"]), (429, &json!("throttled")));
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_have_a_limit_each() {
    let hub = Hub::start_with(|config| {
        config.ws.handshakes_per_s = 1;
        config.http.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let ada = hub.user("ada", "admin").await;
    let from = async |client: &str| {
        answer(&hub, &token(&ada), &[("X-Forwarded-For", client)]).await.status
    };
    let refused = async { while from("192.0.2.1").await == 101 {} };
    tokio::time::timeout(super::PATIENCE, refused).await.expect("a refusal");
    assert_eq!(from("192.0.2.2").await, 101);
}

#[tokio::test]
async fn beyond_the_limit_of_connections_the_answer_is_503() {
    let hub = Hub::start_with(|config| config.ws.max_connections = 3).await;
    let ada = hub.user("ada", "admin").await;
    let mut sockets = Vec::new();
    let refused = async {
        loop {
            let mut raw = Raw::connect(hub.address()).await;
            let answer = raw.handshake(&token(&ada), &[]).await;
            if answer.status != 101 {
                return answer;
            }
            sockets.push(raw);
        }
    };
    let refused = tokio::time::timeout(super::PATIENCE, refused).await.expect("a refusal");
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert!(sockets.len() <= 3, "{}", sockets.len());
    // A socket that is gone makes room.
    drop(sockets);
    let room = async { while answer(&hub, &token(&ada), &[]).await.status != 101 {} };
    tokio::time::timeout(super::PATIENCE, room).await.expect("room again");
}
