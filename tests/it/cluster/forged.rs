//! Messages on the nodes' topic that no node has sent: they show nothing, and real notifications
//! arrive all the same.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::copies::positions;
use super::{Nodes, until};
use crate::support::redis::Client;
use crate::support::{Hub, Person, sign};
use crate::ws::Socket;

async fn notify(hub: &Hub, from: &Person, to: &Person, title: &str) {
    let body = json!({"recipients": [to.id], "title": title, "message": "."});
    let (status, told) = hub.post(from, "/api/notifications/", body).await;
    assert!((200..300).contains(&status), "{told}");
}

async fn topic(nodes: &Nodes) -> String {
    let mut connection = nodes.database.connect().await;
    let sql = "SELECT value FROM settings WHERE name = 'epoch'";
    let epoch: String = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
    format!("bellpull:{epoch}")
}

/// Three notifications of the other node are shown, and nothing else, now and to the next socket.
async fn three_arrive(nodes: &Nodes, ann: &Person, carl: &Person, socket: Socket) {
    let mut socket = socket;
    let before = positions(&nodes.database, carl).await.1;
    for nth in 1..=3 {
        let title = format!("REAL {nth}");
        notify(&nodes.a, ann, carl, &title).await;
        let frame = socket.next().await.to_string();
        assert!(frame.contains(&title), "{title} is missing: {frame}");
    }
    socket.expect_nothing().await;
    socket.close().await;
    let saved = async || positions(&nodes.database, carl).await == (before + 3, before + 3);
    until(saved, "the position is saved").await;
    Socket::established(&nodes.a, carl, "").await.expect_nothing().await;
}

#[tokio::test]
async fn forged_messages_move_no_position_and_show_no_text() {
    let Some(nodes) = Nodes::joined().await else { return };
    let ann = nodes.a.user("ann", "admin").await;
    let topic = topic(&nodes).await;
    let mut client = Client::connect(nodes.redis.as_ref().unwrap()).await;
    let user = |id: i64| id.to_string();
    let bodies = [
        r#"{"kind":"marked","user":U,"mark":"read","ids":[],"first":1,"last":1001,"unread_count":0}"#,
        r#"{"kind":"marked","user":U,"mark":"read","ids":[],"first":1,"last":9223372036854775807,"unread_count":0}"#,
        r#"{"kind":"announced","entries":[[U,77,1,1]],"content":{"event":"x","type":"INFO","title":"FORGED","body":"","action_url":"http://evil","priority":"HIGH","created_at_ms":1}}"#,
        r#"{"kind":"moved","heads":[[U,9223372036854775807]]}"#,
        r#"{"kind":"sessions_ended","user":U,"why":"right"}"#,
    ];
    for (nth, body) in bodies.iter().enumerate() {
        let carl = nodes.a.user(&format!("carl{nth}"), "client").await;
        let socket = Socket::established(&nodes.b, &carl, "").await;
        let json = body.replace('U', &user(carl.id));
        for sender in ["x", "a/1"] {
            client.publish(&topic, format!("1\n{sender}\n{json}").as_bytes()).await;
        }
        three_arrive(&nodes, &ann, &carl, socket).await;
    }
}

#[tokio::test]
async fn genuine_messages_that_are_repeated_do_nothing() {
    let Some(nodes) = Nodes::joined().await else { return };
    let ann = nodes.a.user("ann", "admin").await;
    let root = nodes.a.user("root", "super_admin").await;
    let mut carl = nodes.a.user("carl", "client").await;
    let topic = topic(&nodes).await;
    let redis = nodes.redis.as_ref().unwrap();
    let (mut client, mut recorder) = (Client::connect(redis).await, Client::connect(redis).await);
    recorder.subscribe(&topic).await;
    let mut socket = Socket::established(&nodes.b, &carl, "").await;
    notify(&nodes.a, &ann, &carl, "ONE").await;
    assert!(socket.next().await.to_string().contains("ONE"));
    let path = format!("/api/users/{}/", carl.id);
    assert_eq!(nodes.a.patch(&root, &path, json!({"is_active": false})).await.0, 200);
    assert_eq!(socket.next_close().await.0, 4403);
    assert_eq!(nodes.a.patch(&root, &path, json!({"is_active": true})).await.0, 200);
    let recorded = recorder.received().await;
    assert!(recorded.iter().any(|message| String::from_utf8_lossy(message).contains("ONE")));
    // A deactivation ends all tokens of before it, and of its second.
    while nodes.b.get(&carl, "/api/auth/me/").await.0 != 200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (user, now) = (carl.id, Timestamp::now().as_second());
        let claims = json!({"user_id": user, "token_type": "access", "iat": now, "exp": now + 600});
        carl.token = sign(&claims);
    }
    let socket = Socket::established(&nodes.b, &carl, "").await;
    for message in &recorded {
        client.publish(&topic, message).await;
    }
    three_arrive(&nodes, &ann, &carl, socket).await;
}
