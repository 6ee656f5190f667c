//! Rights of each message: what a socket says about resources of others is answered as if they did
//! not exist, in every family.

use serde_json::{Value, json};

use super::{Raw, Socket, closed_project, handshake, raise};
use crate::support::{Hub, Person};

/// No row has it.
const NEVER: i64 = 471_100;

/// `carl` is a client with a notification; `eve` is on no project. And the ids of `carl`'s ticket,
/// a closed project and its ticket, and of `carl`'s notification.
struct World {
    hub: Hub,
    carl: Person,
    eve: Person,
    project: i64,
    ticket: i64,
    notification: i64,
}

impl World {
    async fn gather() -> Self {
        let hub = Hub::start().await;
        let admin = hub.user("admin", "admin").await;
        let (carl, eve) = (hub.user("carl", "client").await, hub.user("eve", "client").await);
        let project = closed_project(&hub, &admin, &[]).await;
        let ticket = raise(&hub, &carl, "Carl's").await;
        let note = json!({"recipients": [carl.id], "title": "Private", "message": "M"});
        let (status, sent) = hub.post(&admin, "/api/notifications/", note).await;
        assert_eq!(status, 202, "{sent}");
        let notification = sent["notification"]["id"].as_i64().unwrap();
        Self { hub, carl, eve, project, ticket, notification }
    }

    /// The inbox that is not to change.
    async fn inbox(&self) -> Value {
        let (status, inbox) = self.hub.get(&self.carl, "/api/notifications/").await;
        assert_eq!((status, &inbox["count"]), (200, &json!(1)), "{inbox}");
        inbox["results"][0]["is_read"].clone()
    }
}

/// The answers to a command about another's and about what was never made, without the ids.
async fn both(socket: &mut Socket, command: impl Fn(i64) -> Value, foreign: i64) -> [String; 2] {
    let mut answers = [String::new(), String::new()];
    for (answer, id) in answers.iter_mut().zip([foreign, NEVER]) {
        socket.say(command(id).to_string()).await;
        *answer = socket.next().await.to_string().replace(&id.to_string(), "ID");
    }
    answers
}

#[tokio::test]
async fn another_user_s_notification_is_marked_over_no_socket() {
    let world = World::gather().await;
    let id = world.notification;
    let mut inbox = Socket::established(&world.hub, &world.eve, "&dialect=inbox").await;
    for kind in ["mark_read", "delete_notification"] {
        let command = |id| json!({"type": kind, "notification_id": id});
        let [foreign, never] = both(&mut inbox, command, id).await;
        assert_eq!(foreign, never, "{kind}");
        assert!(foreign.contains("\"success\":false"), "{kind}: {foreign}");
    }
    let (mut one, _) = Socket::v1(&world.hub, &world.eve, "").await;
    for kind in ["read", "unread", "delete"] {
        let command = |id| json!({"type": kind, "id": "r", "ids": [id]});
        let [foreign, never] = both(&mut one, command, id).await;
        assert_eq!(foreign, never, "{kind}");
    }
    assert_eq!(world.inbox().await, false, "it has not been read");
}

#[tokio::test]
async fn another_user_s_project_is_not_there_over_any_socket() {
    let world = World::gather().await;
    let (mut one, _) = Socket::v1(&world.hub, &world.eve, "").await;
    for stream in ["tickets", "presence"] {
        for kind in ["subscribe", "unsubscribe"] {
            let name = |id| format!("project:{id}:{stream}");
            let command = |id| json!({"type": kind, "id": "s", "stream": name(id)});
            let [foreign, never] = both(&mut one, command, world.project).await;
            assert_eq!(foreign, never, "{kind} {stream}");
        }
        // Nor is anything said on a stream that it is not subscribed to.
        let say = |id| {
            let stream = format!("project:{id}:presence");
            json!({"type": "ticket_viewing", "stream": stream, "ticket_id": world.ticket})
        };
        for id in [world.project, NEVER] {
            one.say(say(id).to_string()).await;
        }
        let mut said = Vec::new();
        one.say(r#"{"type":"ping","timestamp":"end"}"#).await;
        loop {
            let frame = one.next().await;
            if frame["type"] == "pong" {
                break;
            }
            said.push(frame.to_string());
        }
        assert!(said.is_empty() || said.len() == 2 && said[0] == said[1], "{said:?}");
        for dialect in ["incident", "project", "inbox", "academy"] {
            let mut answers = Vec::new();
            for id in [world.project, NEVER] {
                let token = &world.eve.token;
                let path = format!("/ws/projects/{id}/{stream}/?token={token}&dialect={dialect}");
                let mut raw = Raw::connect(world.hub.address()).await;
                let answer = raw.request(&handshake(&path, &[])).await;
                assert_eq!(answer.status, 403, "{dialect} {stream}: {}", answer.head);
                let head = answer.head.lines().filter(|line| !line.starts_with("date"));
                answers.push((head.collect::<Vec<_>>().join("\n"), answer.body));
            }
            assert_eq!(answers[0], answers[1], "{dialect} {stream}");
        }
    }
}

#[tokio::test]
async fn another_client_s_ticket_is_shown_to_no_stream() {
    let world = World::gather().await;
    let path = |who: &Person| format!("/ws/projects/1/presence/?token={}", who.token);
    let mut eve = Socket::open_at(world.hub.address(), &path(&world.eve)).await;
    let mut state = eve.next().await;
    while state["type"] != "presence_state" {
        state = eve.next().await;
    }
    // What it says about a ticket that it may not see is answered as if there were none.
    for kind in ["ticket_viewing", "user_typing"] {
        let command = |id: i64| json!({"type": kind, "ticket_id": id, "is_typing": true});
        for id in [world.ticket, NEVER] {
            eve.say(command(id).to_string()).await;
            eve.expect_nothing().await;
        }
    }
    // The stream of an open project's tickets tells a client of its own tickets alone.
    let path = format!("/ws/projects/1/tickets/?token={}", world.eve.token);
    let mut eve = Socket::open_at(world.hub.address(), &path).await;
    assert_eq!(eve.next().await["type"], "connection_established");
    let comment = format!("/api/tickets/{}/comments/", world.ticket);
    let (status, told) = world.hub.post(&world.carl, &comment, json!({"body": "Any news?"})).await;
    assert_eq!(status, 201, "{told}");
    let own = raise(&world.hub, &world.eve, "Eve's").await;
    let told = eve.next().await;
    assert_eq!(told["data"]["ticket_id"], own, "{told}");
}

/// An offer of compression is not taken: neither by the first request of a connection nor by a
/// later one. What is compressed is a broken frame.
#[tokio::test]
async fn compression_is_never_negotiated() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "client").await;
    let path = format!("/ws/notifications/?token={}", ada.token);
    for offer in ["permessage-deflate", "permessage-deflate; client_max_window_bits, x-webkit"] {
        let request = handshake(&path, &[("Sec-WebSocket-Extensions", offer)]);
        let fresh = Raw::connect(hub.address()).await;
        let mut kept = Raw::connect(hub.address()).await;
        let first = "GET /healthz HTTP/1.1\r\nHost: hub.example.com\r\n\r\n";
        assert_eq!(kept.request(first).await.status, 200);
        for mut raw in [fresh, kept] {
            let answer = raw.request(&request).await;
            assert_eq!(answer.status, 101, "{}", answer.head);
            assert_eq!(answer.header("sec-websocket-extensions"), None);
            raw.next_text().await;
            raw.send(&super::frame(0xc1, b"\x00")).await;
            assert_eq!(raw.next_close().await, 1002);
        }
    }
}

/// An error frame repeats at most 64 characters of what was sent, as a JSON string.
#[tokio::test]
async fn error_frames_repeat_little_of_what_was_sent() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "client").await;
    let long = "<script>alert(1)</script>".repeat(400);
    for dialect in ["incident", "project", "inbox", "academy"] {
        let mut socket = Socket::established(&hub, &ada, &format!("&dialect={dialect}")).await;
        for bad in [
            long.clone(),
            json!({ "type": long }).to_string(),
            json!({"type": "mark_read", "notification_id": long}).to_string(),
            json!({"type": "send_notification", "user_id": long, "title": "T"}).to_string(),
            json!({"type": "ping", long.clone(): 1}).to_string(),
        ] {
            socket.say(bad).await;
            let told = socket.next().await.to_string();
            assert!(told.len() < 300 && told.matches("<script>").count() <= 3, "{told}");
        }
    }
    let (mut socket, _) = Socket::v1(&hub, &ada, "").await;
    for bad in [
        json!({ "type": long }),
        json!({"type": "subscribe", "id": "s", "stream": long}),
        json!({"type": "subscribe", "id": long, "stream": "project:1:tickets"}),
        json!({"type": "read", "id": "r", "ids": [long]}),
        json!({"type": "refresh", "id": "r", "token": long}),
    ] {
        socket.say(bad.to_string()).await;
        let told = socket.next().await.to_string();
        assert!(told.len() < 300 && told.matches("<script>").count() <= 3, "{told}");
    }
}
