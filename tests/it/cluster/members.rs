//! A user who was removed from a project on one node watches it no more on the other.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Nodes, ask};
use crate::support::{Hub, Person};
use crate::ws::Socket;

/// A closed project with these members, made by an admin; its id.
async fn project(hub: &Hub, maker: &Person, members: [&Person; 2]) -> i64 {
    let body = json!({"key": "WEB", "name": "Main Website"});
    let made = ask(hub.address(), maker, Method::POST, "/api/projects/", &body).await;
    let id = made["id"].as_i64().unwrap();
    for member in members {
        add(hub, maker, id, member).await;
    }
    id
}

async fn add(hub: &Hub, maker: &Person, project: i64, member: &Person) {
    let path = format!("/api/projects/{project}/members/");
    ask(hub.address(), maker, Method::POST, &path, &json!({"user": member.id})).await;
}

async fn remove(hub: &Hub, maker: &Person, project: i64, member: &Person) {
    let path = format!("/api/projects/{project}/members/{}/", member.id);
    ask(hub.address(), maker, Method::DELETE, &path, &Value::Null).await;
}

/// A socket for the project's tickets.
async fn watcher(hub: &Hub, who: &Person, project: i64) -> Socket {
    let path = format!("/ws/projects/{project}/tickets/?token={}", who.token);
    let mut socket = Socket::open_at(hub.address(), &path).await;
    assert_eq!(socket.next().await["type"], "connection_established");
    socket
}

async fn who_is_removed_on_one_node_loses_the_streams_on_the_other(nodes: &Nodes) {
    let Nodes { a, b, .. } = nodes;
    let root = a.user("root", "admin").await;
    let (mia, nils) = (a.user("mia", "client").await, a.user("nils", "client").await);
    let id = project(a, &root, [&mia, &nils]).await;
    let stream = format!("project:{id}:tickets");
    let mut family = watcher(b, &mia, id).await;
    let (mut one, _) = Socket::v1(b, &mia, "").await;
    one.say(json!({"type": "subscribe", "id": "s", "stream": stream}).to_string()).await;
    assert_eq!(one.next().await["ok"], true);
    let mut other = watcher(b, &nils, id).await;
    let mut admins = watcher(b, &root, id).await;

    remove(a, &root, id, &mia).await;
    assert_eq!(family.next_close().await.0, 4403);
    let ended = one.next().await;
    assert_eq!(
        (&ended["type"], &ended["code"]),
        (&json!("stream_ended"), &json!("right_withdrawn"))
    );
    one.expect_nothing().await;
    other.expect_nothing().await;

    // A member again, who stays one although the store still names the removal.
    add(a, &root, id, &mia).await;
    let mut family = watcher(b, &mia, id).await;
    remove(a, &root, id, &nils).await;
    assert_eq!(other.next_close().await.0, 4403);
    family.expect_nothing().await;
    admins.expect_nothing().await;
}

#[tokio::test]
async fn who_is_removed_on_one_node_loses_the_streams_on_the_other_through_redis() {
    let Some(nodes) = Nodes::joined().await else { return };
    who_is_removed_on_one_node_loses_the_streams_on_the_other(&nodes).await;
}

#[tokio::test]
async fn who_is_removed_on_one_node_loses_the_streams_on_the_other_without_redis() {
    let Some(nodes) = Nodes::apart().await else { return };
    who_is_removed_on_one_node_loses_the_streams_on_the_other(&nodes).await;
}
