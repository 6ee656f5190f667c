//! Ended logins and withdrawn rights: sockets on the other node close, and tokens are refused
//! there.

use serde_json::json;

use super::{Nodes, log_in, until};
use crate::support::{Hub, Person};
use crate::ws::Socket;

async fn change(hub: &Hub, root: &Person, who: &Person, change: serde_json::Value) {
    let (status, told) = hub.patch(root, &format!("/api/users/{}/", who.id), change).await;
    assert_eq!(status, 200, "{told}");
}

/// One node ends a login, withdraws a role and deactivates an account; the other has their sockets.
async fn what_ends_on_one_node_ends_on_the_other(nodes: &Nodes) {
    let Nodes { a, b, .. } = nodes;
    let root = a.user("root", "super_admin").await;
    let ann = log_in(a, "ann").await;
    let bob = a.user("bob", "developer").await;
    let carl = a.user("carl", "client").await;
    let mut anns = Socket::established(b, &ann, "").await;
    let mut bobs = Socket::established(b, &bob, "").await;
    let mut carls = Socket::established(b, &carl, "").await;
    let dave = a.user("dave", "client").await;
    let mut daves = Socket::established(b, &dave, "").await;

    assert_eq!(a.post(&ann, "/api/auth/logout/", json!({})).await.0, 200);
    change(a, &root, &bob, json!({"role": "client"})).await;
    change(a, &root, &carl, json!({"is_active": false})).await;
    assert_eq!(anns.next_close().await.0, 4401);
    assert_eq!(bobs.next_close().await.0, 1012, "another role: come back");
    assert_eq!(carls.next_close().await.0, 4403);

    assert_eq!(b.get(&ann, "/api/auth/me/").await.0, 401);
    let is_refused = async || b.get(&carl, "/api/auth/me/").await.0 == 401;
    until(is_refused, "an account that is not active").await;
    let has_changed = async || b.get(&bob, "/api/auth/me/").await.1["role"] == "client";
    until(has_changed, "the new role").await;
    daves.expect_nothing().await;
}

#[tokio::test]
async fn what_ends_on_one_node_ends_on_the_other_through_redis() {
    let Some(nodes) = Nodes::joined().await else { return };
    what_ends_on_one_node_ends_on_the_other(&nodes).await;
}

#[tokio::test]
async fn what_ends_on_one_node_ends_on_the_other_without_redis() {
    let Some(nodes) = Nodes::apart().await else { return };
    what_ends_on_one_node_ends_on_the_other(&nodes).await;
}

#[tokio::test]
async fn what_ends_on_one_node_ends_on_the_other_while_redis_is_away() {
    let Some(mut nodes) = Nodes::joined().await else { return };
    nodes.redis.as_mut().unwrap().kill();
    nodes.both_say("degraded").await;
    what_ends_on_one_node_ends_on_the_other(&nodes).await;
}

/// A change of which a node was told before is read from the store too, when the user may have
/// connected again with what rights are left.
#[tokio::test]
async fn who_connects_again_after_a_change_stays_connected() {
    let Some(nodes) = Nodes::joined().await else { return };
    let Nodes { a, b, .. } = &nodes;
    let root = a.user("root", "super_admin").await;
    let bob = a.user("bob", "developer").await;
    let carl = a.user("carl", "client").await;
    for (nth, hub) in [a, b].into_iter().enumerate() {
        let mut first = Socket::established(hub, &bob, "").await;
        let mut carls = Socket::established(hub, &carl, "").await;
        let role = ["client", "developer"][nth];
        change(a, &root, &bob, json!({"role": role})).await;
        assert_eq!(first.next_close().await.0, 1012);
        let mut second = Socket::established(hub, &bob, "").await;
        // A statement is read from the store only, at the same time as the change before it.
        let sql = "UPDATE users SET role = role || '2' WHERE username = 'carl'";
        nodes.database.execute(sql).await;
        assert_eq!(carls.next_close().await.0, 1012);
        second.expect_nothing().await;
    }
}
