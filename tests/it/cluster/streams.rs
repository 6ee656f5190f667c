//! A project's stream of tickets: a watcher on one node is told of changes on the other, in order,
//! and begins anew when some may have been lost.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Nodes, ask, raise};
use crate::support::{Hub, Person};
use crate::ws::Socket;

/// A socket for one stream of the first project, past its greeting.
async fn watcher(hub: &Hub, who: &Person) -> Socket {
    let path = format!("/ws/projects/1/tickets/?token={}", who.token);
    let mut socket = Socket::open_at(hub.address(), &path).await;
    assert_eq!(socket.next().await["type"], "connection_established");
    socket
}

async fn step(at: SocketAddr, who: &Person, ticket: i64, action: &str, body: Value) {
    ask(at, who, Method::POST, &format!("/api/tickets/{ticket}/{action}/"), &body).await;
}

/// The ticket and its status in the next event.
async fn next_event(socket: &mut Socket) -> (i64, String) {
    let told = socket.next().await;
    assert_eq!(told["type"], "ticket_update", "{told}");
    let status = told["data"]["status"]["name"].as_str().unwrap();
    (told["data"]["ticket_id"].as_i64().unwrap(), status.to_owned())
}

/// Tickets are raised on a node, and go on by turns on both; each watcher is told of every change,
/// and in each ticket's order.
async fn events_cross(nodes: &Nodes, [ann, carl, dev]: [&Person; 3], sockets: &mut [&mut Socket]) {
    let (a, b) = (nodes.a.address(), nodes.b.address());
    for nth in 0..5 {
        let ticket = raise(a, carl, &format!("Ticket {nth}")).await;
        step(a, ann, ticket, "open", json!({})).await;
        step(b, ann, ticket, "assign", json!({"developers": [dev.id]})).await;
        step(a, dev, ticket, "start_work", json!({})).await;
        let wanted = ["New", "Opened", "Assigned", "In Progress"];
        for socket in &mut *sockets {
            for status in wanted {
                let (told, is) = next_event(socket).await;
                assert_eq!((told, is.as_str()), (ticket, status));
            }
        }
    }
}

async fn people(nodes: &Nodes) -> [Person; 3] {
    let a = &nodes.a;
    [a.user("ann", "admin").await, a.user("carl", "client").await, a.user("dev", "developer").await]
}

#[tokio::test]
async fn watchers_on_both_nodes_are_told_of_every_change_in_order() {
    let Some(nodes) = Nodes::joined().await else { return };
    let [ann, carl, dev] = people(&nodes).await;
    let mut on_a = watcher(&nodes.a, &ann).await;
    let mut on_b = watcher(&nodes.b, &ann).await;
    events_cross(&nodes, [&ann, &carl, &dev], &mut [&mut on_a, &mut on_b]).await;
    for socket in [&mut on_a, &mut on_b] {
        socket.expect_nothing().await;
    }
}

#[tokio::test]
async fn watchers_begin_anew_after_redis_was_away() {
    let Some(mut nodes) = Nodes::joined().await else { return };
    let [ann, carl, dev] = people(&nodes).await;
    let mut family = watcher(&nodes.b, &ann).await;
    let (mut one, _) = Socket::v1(&nodes.b, &ann, "").await;
    one.say(json!({"type": "subscribe", "id": "s", "stream": "project:1:tickets"}).to_string())
        .await;
    assert_eq!(one.next().await["ok"], true);
    nodes.lose_redis().await;
    // Its own node tells it as ever. The other's events are lost.
    let lost = raise(nodes.a.address(), &carl, "Lost").await;
    let told = raise(nodes.b.address(), &carl, "Seen").await;
    assert_eq!(next_event(&mut family).await, (told, "New".to_owned()));
    nodes.regain_redis().await;
    // Both may have missed some: each client reconnects and reads.
    assert_eq!(family.next_close().await.0, 1012);
    assert_eq!(one.next_close().await.0, 1012);
    let mut family = watcher(&nodes.b, &ann).await;
    let (status, read) = nodes.b.get(&ann, &format!("/api/tickets/{lost}/")).await;
    assert_eq!(status, 200, "{read}");
    events_cross(&nodes, [&ann, &carl, &dev], &mut [&mut family]).await;
}
