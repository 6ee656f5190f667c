//! What one node commits reaches the sockets of the other: through Redis, or by comparison with the
//! database while Redis is away.

use serde_json::{Value, json};

use super::{Nodes, raise};
use crate::support::{Hub, Person};
use crate::ws::Socket;

/// A text longer than what travels with a hint.
fn long_text() -> String {
    "Große Panne. ".repeat(700)
}

/// Each node's ticket arrives once, at sockets on both.
async fn tickets_cross(nodes: &Nodes, admins: [&Person; 2], carl: &Person, name: &str) {
    let Nodes { a, b, .. } = nodes;
    let mut sockets =
        [Socket::established(a, admins[0], "").await, Socket::established(b, admins[1], "").await];
    let hubs: [&Hub; 2] = [b, a];
    for (nth, hub) in hubs.into_iter().enumerate() {
        let title = format!("{name} {nth}");
        raise(hub.address(), carl, &title).await;
        for socket in &mut sockets {
            let frame = socket.next().await.to_string();
            assert!(frame.contains(&title), "{frame}");
        }
    }
    for socket in &mut sockets {
        socket.expect_nothing().await;
    }
}

/// A long message of one node arrives whole at a socket on the other.
async fn a_long_text_crosses(nodes: &Nodes, admin: &Person, carl: &Person, to_all: bool) {
    let mut socket = Socket::established(&nodes.b, carl, "").await;
    let recipients = match to_all {
        true => json!({"role": "client"}),
        false => json!([carl.id]),
    };
    let text = long_text();
    let body = json!({"recipients": recipients, "title": "Long", "message": text});
    let (status, told) = nodes.a.post(admin, "/api/notifications/", body).await;
    assert!((200..300).contains(&status), "{told}");
    let frame = socket.next().await;
    assert!(contains(&frame, text.trim()), "{}", frame.to_string().len());
    socket.expect_nothing().await;
}

/// Whether a frame has that text, wherever.
fn contains(frame: &Value, text: &str) -> bool {
    match frame {
        Value::String(known) => known.trim() == text,
        Value::Array(all) => all.iter().any(|one| contains(one, text)),
        Value::Object(all) => all.values().any(|one| contains(one, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[tokio::test]
async fn what_is_committed_on_one_node_reaches_the_other_with_redis_and_while_it_is_away() {
    let Some(mut nodes) = Nodes::joined().await else { return };
    let ann = nodes.a.user("ann", "admin").await;
    let bob = nodes.b.user("bob", "admin").await;
    let carl = nodes.a.user("carl", "client").await;
    tickets_cross(&nodes, [&ann, &bob], &carl, "joined").await;
    a_long_text_crosses(&nodes, &ann, &carl, false).await;
    a_long_text_crosses(&nodes, &ann, &carl, true).await;
    nodes.lose_redis().await;
    tickets_cross(&nodes, [&ann, &bob], &carl, "degraded").await;
    a_long_text_crosses(&nodes, &ann, &carl, true).await;
    nodes.regain_redis().await;
    tickets_cross(&nodes, [&ann, &bob], &carl, "again").await;
}
