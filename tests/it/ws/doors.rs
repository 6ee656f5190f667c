//! The sockets' paths: who comes in where, in which dialect, and how a no is said there.

use serde_json::{Value, json};

use super::{Raw, Socket, closed_project, handshake};
use crate::support::{Hub, Person, now_s, sign};

/// Asks for a socket at a path; the query is behind it already.
async fn ask(hub: &Hub, path: &str, headers: &[(&str, &str)]) -> (Raw, super::Answer) {
    let mut raw = Raw::connect(hub.address()).await;
    let answer = raw.request(&handshake(path, headers)).await;
    (raw, answer)
}

/// The code and the reason with which a socket is closed before anything else is said on it.
async fn closed_at_once(mut raw: Raw) -> (u16, String) {
    let (first, payload) = raw.next_frame().await.expect("a frame");
    assert_eq!(first, 0x88, "{}", String::from_utf8_lossy(&payload));
    assert!(payload.len() <= 125);
    assert_eq!(raw.next_frame().await, None);
    let code = u16::from_be_bytes([payload[0], payload[1]]);
    (code, String::from_utf8(payload[2..].to_vec()).unwrap())
}

fn with(person: &Person, claims: Value) -> String {
    let mut all = json!({"user_id": person.id, "token_type": "access", "exp": now_s() + 600});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    sign(&all)
}

#[tokio::test]
async fn a_browser_can_tell_what_was_wrong_with_its_token() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "client").await;
    let (signed, signature) = ada.token.rsplit_once('.').unwrap();
    let tampered = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    let none = format!("eyJhbGciOiJub25lIn0.{}.", ada.token.split('.').nth(1).unwrap());
    let cases = [
        (None, 4401, "not provided"),
        (Some(String::new()), 4401, "well-formed"),
        (Some("a.b.c".to_owned()), 4401, "not valid"),
        (Some(tampered), 4401, "not valid"),
        (Some(none), 4401, "not valid"),
        (Some(with(&ada, json!({"exp": now_s() - 60}))), 4401, "expired"),
        (Some(with(&ada, json!({"nbf": now_s() + 90}))), 4401, "not yet valid"),
        (Some(with(&ada, json!({"token_type": "refresh"}))), 4401, "not an access token"),
        (Some(with(&ada, json!({"user_id": 999}))), 4401, "no such account"),
        (Some(with(&ada, json!({"user_id": "ada"}))), 4401, "not a number"),
        (Some(with(&ada, json!({"token_type": "service", "exp": now_s() + 50}))), 4403, "service"),
    ];
    for (token, code, part) in cases {
        let token = token.map(|token| format!("?token={token}")).unwrap_or_default();
        let (raw, answer) = ask(&hub, &format!("/ws/{token}"), &[]).await;
        assert_eq!(answer.status, 101, "{part}: {}", answer.head);
        let (found, reason) = closed_at_once(raw).await;
        assert_eq!(found, code, "{part}: {reason}");
        assert!(reason.contains(part), "{part}: {reason}");
        // The families are told over HTTP.
        let path = format!("/ws/notifications/{token}");
        assert_eq!(ask(&hub, &path, &[]).await.1.status, 403, "{part}");
    }
}

#[tokio::test]
async fn a_rejected_socket_is_no_session_and_leaves_nothing_behind() {
    let hub = Hub::start_with(|config| config.ws.max_connections = 4).await;
    let ada = hub.user("ada", "super_admin").await;
    let mut raws = Vec::new();
    for _ in 0..3 {
        let (raw, answer) = ask(&hub, "/ws/?token=x", &[]).await;
        assert_eq!(answer.status, 101);
        raws.push(raw);
    }
    // They count among the connections until they have left.
    let full = async {
        let mut idle = Vec::new();
        loop {
            let mut raw = Raw::connect(hub.address()).await;
            let answer = raw.request(&handshake("/ws/notifications/", &[])).await;
            if answer.status == 503 {
                return;
            }
            idle.push(raw); // kept alive by HTTP
        }
    };
    tokio::time::timeout(super::PATIENCE, full).await.expect("a refusal");
    drop(raws);
    let room = async {
        loop {
            let request = hub.request(reqwest::Method::GET, "/api/operator/tree/");
            match request.bearer_auth(&ada.token).send().await {
                Ok(response) if response.status() == 200 => return response.text().await.unwrap(),
                _ => {}
            }
        }
    };
    let tree = tokio::time::timeout(super::PATIENCE, room).await.expect("room again");
    assert!(tree.contains("users/") && !tree.contains("user/1"), "{tree}");
}

#[tokio::test]
async fn what_is_wrong_with_the_request_itself_stays_a_matter_of_http() {
    let hub = Hub::start_with(|config| config.ws.handshakes_per_s = 3).await;
    for (query, status) in [
        ("since=x", 400),
        ("replay=all", 400),
        ("dialect=unknown", 400),
        ("dialect=incident", 400),
        ("token=x&token=y", 400),
    ] {
        let (_, answer) = ask(&hub, &format!("/ws/?{query}"), &[]).await;
        assert_eq!(answer.status, status, "{query}");
    }
    let page = [("Origin", "https://evil.example.org")];
    assert_eq!(ask(&hub, "/ws/?token=x", &page).await.1.status, 403);
    let two = [("Authorization", "Bearer x"), ("Authorization", "Bearer y")];
    assert_eq!(ask(&hub, "/ws/", &two).await.1.status, 400);
    let two = [("Sec-WebSocket-Protocol", "bellpull.v1, bearer.x, bearer.y")];
    assert_eq!(ask(&hub, "/ws/", &two).await.1.status, 400);
    // A flood is told the cheapest way, whatever it says.
    let throttled = async {
        loop {
            let (_, answer) = ask(&hub, "/ws/?token=x", &[]).await;
            if answer.status != 101 {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(super::PATIENCE, throttled).await.expect("a refusal");
    assert_eq!((answer.status, &answer.body["code"]), (429, &json!("throttled")));
}

#[tokio::test]
async fn the_door_to_everything_speaks_one_dialect() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "client").await;
    let pair = format!("bellpull.v1, bearer.{}", ada.token);
    let bearer = format!("bearer.{}", ada.token);
    let family = format!("incident, bearer.{}", ada.token);
    for (query, offered, status, chosen) in [
        (format!("?token={}", ada.token), None, 101, None),
        (format!("?token={}&dialect=bellpull.v1", ada.token), None, 101, None),
        (String::new(), Some(&pair), 101, Some("bellpull.v1")),
        (String::new(), Some(&bearer), 101, Some(bearer.as_str())),
        (format!("?token={}&dialect=incident", ada.token), None, 400, None),
        ("?dialect=inbox".to_owned(), Some(&pair), 400, None),
        (String::new(), Some(&family), 400, None),
    ] {
        for path in ["/ws/", "/ws"] {
            let headers: Vec<_> =
                offered.iter().map(|names| ("Sec-WebSocket-Protocol", names.as_str())).collect();
            let (_, answer) = ask(&hub, &format!("{path}{query}"), &headers).await;
            assert_eq!(answer.status, status, "{path}{query} {offered:?}");
            assert_eq!(answer.header("sec-websocket-protocol"), chosen);
            if status == 400 {
                assert_eq!(answer.body["code"], "wrong_dialect");
                let detail = answer.body["detail"].as_str().unwrap();
                assert!(detail.contains("bellpull.v1"), "{detail}");
            }
        }
    }
    // A refusal is answered with the subprotocol too, or the browser would not listen.
    let offer = [("Sec-WebSocket-Protocol", "bellpull.v1, bearer.x")];
    let (raw, answer) = ask(&hub, "/ws/", &offer).await;
    assert_eq!(answer.header("sec-websocket-protocol"), Some("bellpull.v1"));
    assert_eq!(closed_at_once(raw).await.0, 4401);
}

#[tokio::test]
async fn a_method_that_no_handshake_has() {
    let hub = Hub::start().await;
    for path in ["/ws/", "/ws", "/ws/notifications/", "/ws/projects/1/tickets/"] {
        for method in ["POST", "DELETE"] {
            let request = handshake(path, &[]).replace("GET ", &format!("{method} "));
            let answer = Raw::connect(hub.address()).await.request(&request).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.body["code"], "method_not_allowed", "{method} {path}");
            assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")));
        }
        let request = handshake(path, &[]).replace("Upgrade: websocket", "X-Nothing: x");
        let answer = Raw::connect(hub.address()).await.request(&request).await;
        assert_eq!((answer.status, &answer.body["code"]), (426, &json!("upgrade_required")));
    }
}

#[tokio::test]
async fn a_project_is_watched_by_its_members_and_admins_only() {
    let hub = Hub::start().await;
    let (root, dev) = (hub.user("root", "admin").await, hub.user("dev", "developer").await);
    let (member, stranger) = (hub.user("mia", "client").await, hub.user("eve", "client").await);
    let closed = closed_project(&hub, &root, &[&member]).await;
    for stream in ["tickets", "presence"] {
        for (who, project, may) in [
            (&stranger, 1, true),
            (&member, closed, true),
            (&root, closed, true),
            (&stranger, closed, false),
            (&dev, closed, false),
            (&root, 999, false),
            (&stranger, 999, false),
        ] {
            for slash in ["/", ""] {
                let path = format!("/ws/projects/{project}/{stream}{slash}?token={}", who.token);
                let (mut raw, answer) = ask(&hub, &path, &[]).await;
                if may {
                    assert_eq!(answer.status, 101, "{path}");
                    assert_eq!(raw.next_text().await["type"], "connection_established");
                } else {
                    assert_eq!(answer.status, 403, "{path}");
                    assert_eq!(answer.body["code"], "permission_denied");
                    assert!(answer.body["detail"].as_str().unwrap().contains("project"));
                }
                let (mut raw, answer) =
                    ask(&hub, &format!("{path}&dialect=bellpull.v1"), &[]).await;
                assert_eq!(answer.status, 101, "{path}");
                if may {
                    assert_eq!(raw.next_text().await["type"], "connection_established");
                } else {
                    let (code, reason) = closed_at_once(raw).await;
                    assert_eq!(code, 4403, "{path}");
                    assert!(reason.contains("project"), "{reason}");
                }
            }
        }
    }
    // Authentication comes before existence.
    let (_, answer) = ask(&hub, "/ws/projects/999/tickets/?token=x", &[]).await;
    assert_eq!((answer.status, &answer.body["code"]), (403, &json!("token_not_valid")));
    for path in ["/ws/projects/x/tickets/", "/ws/projects/01/tickets/", "/ws/projects/1/other/"] {
        let (_, answer) = ask(&hub, &format!("{path}?token={}", root.token), &[]).await;
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!("not_found")), "{path}");
    }
}

#[tokio::test]
async fn a_removed_member_loses_the_project_and_nothing_else() {
    let hub = Hub::start().await;
    let (root, mia) = (hub.user("root", "admin").await, hub.user("mia", "client").await);
    let closed = closed_project(&hub, &root, &[&mia]).await;
    let at = |stream: &str| format!("/ws/projects/{closed}/{stream}/?token={}", mia.token);
    let mut tickets = Socket::open_at(hub.address(), &at("tickets")).await;
    assert_eq!(tickets.next().await["type"], "connection_established");
    let mut presence = Socket::open_at(hub.address(), &at("presence")).await;
    assert_eq!(presence.next().await["type"], "connection_established");
    assert_eq!(presence.next().await["type"], "presence_state");
    let (mut everything, _) = Socket::v1(&hub, &mia, "").await;
    let stream = format!("project:{closed}:tickets");
    let wish = json!({"type": "subscribe", "id": "r1", "stream": stream});
    everything.say(wish.to_string()).await;
    let reply = everything.next().await;
    assert_eq!((&reply["type"], &reply["ok"]), (&json!("reply"), &json!(true)), "{reply}");

    let member = format!("/api/projects/{closed}/members/{}/", mia.id);
    assert_eq!(hub.delete(&root, &member).await.0, 200);
    assert_eq!(tickets.next_close().await.0, 4403);
    assert_eq!(presence.next_close().await.0, 4403);
    let ended = everything.next().await;
    assert_eq!((&ended["stream"], &ended["code"]), (&json!(stream), &json!("right_withdrawn")));
    everything.say(json!({"type": "ping", "timestamp": 5}).to_string()).await;
    assert_eq!(everything.next().await, json!({"type": "pong", "timestamp": 5}));
    everything.say(wish.to_string()).await;
    assert_eq!(everything.next().await["ok"], false, "and it does not come back");
}

#[tokio::test]
async fn the_url_names_the_dialect_and_no_subprotocol_is_answered_that_is_not_spoken() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "client").await;
    let bearer = format!("bearer.{}", ada.token);
    for (offered, chosen) in [
        ("bellpull.v1".to_owned(), None),
        ("inbox, bellpull.v1".to_owned(), None),
        ("bellpull.v1, incident".to_owned(), Some("incident")),
        // The token's own is no dialect's: with it a browser goes on.
        (format!("bellpull.v1, {bearer}"), Some(bearer.as_str())),
    ] {
        let path = format!("/ws/notifications/?token={}&dialect=incident", ada.token);
        let headers = [("Sec-WebSocket-Protocol", offered.as_str())];
        let (mut raw, answer) = ask(&hub, &path, &headers).await;
        assert_eq!(answer.status, 101, "{offered}");
        assert_eq!(answer.header("sec-websocket-protocol"), chosen, "{offered}");
        assert_eq!(raw.next_text().await["type"], "connection_established", "{offered}");
    }
}
