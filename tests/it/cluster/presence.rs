//! People on several nodes, as a watcher on one of them sees them come and go: over nodes that are
//! killed, and that are frozen and wake again.

use std::net::SocketAddr;

use serde_json::json;

use super::{Shared, broker_is, raise};
use crate::support::Person;
use crate::support::redis::Private;
use crate::ws::Socket;

/// A socket for the first project's presence, past its list of people; their names.
async fn join(at: SocketAddr, who: &Person) -> (Socket, Vec<String>) {
    let path = format!("/ws/projects/1/presence/?token={}", who.token);
    let mut socket = Socket::open_at(at, &path).await;
    assert_eq!(socket.next().await["type"], "connection_established");
    let state = socket.next().await;
    assert_eq!(state["type"], "presence_state", "{state}");
    let users = state["users"].as_array().unwrap();
    let mut names: Vec<_> =
        users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    (socket, names)
}

/// Who has come or gone next, as a watcher is told.
async fn next(socket: &mut Socket) -> (String, String) {
    let told = socket.next().await;
    assert_eq!(told["type"], "user_status", "{told}");
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    (text("action"), text("username"))
}

fn told(action: &str, who: &str) -> (String, String) {
    (action.to_owned(), who.to_owned())
}

#[tokio::test]
async fn people_of_killed_and_frozen_nodes_leave_once_and_come_back_once() {
    let Some(redis) = Private::start(&[]).await else { return };
    let Some(shared) = Shared::new(Some(redis)).await else { return };
    let [wen, ann, bob, eva, dan] = shared
        .accounts([
            ("wen", "admin"),
            ("ann", "client"),
            ("bob", "client"),
            ("eva", "client"),
            ("dan", "client"),
        ])
        .await;
    let living = shared.hub("living", |_| {}).await;
    let (killed, frozen) = (shared.process("killed", &[]), shared.process("frozen", &[]));
    for at in [living.address(), killed.address, frozen.address] {
        broker_is(at, "ok").await;
    }
    let ticket = raise(living.address(), &ann, "Viewed").await;
    let (mut watcher, names) = join(living.address(), &wen).await;
    assert_eq!(names, ["wen"]);

    // One member, on whichever nodes her sessions are.
    let (anns, _) = join(killed.address, &ann).await;
    assert_eq!(next(&mut watcher).await, told("joined", "ann"));
    let (anns_here, names) = join(living.address(), &ann).await;
    assert_eq!(names, ["ann", "wen"]);
    watcher.expect_nothing().await;
    anns.close().await;
    let (mut anns, _) = join(killed.address, &ann).await;
    // Seen here by what she does there.
    let viewing = json!({"type": "ticket_viewing", "ticket_id": ticket});
    anns.say(viewing.to_string()).await;
    let seen = watcher.next().await;
    assert_eq!((&seen["type"], &seen["ticket_id"]), (&json!("ticket_viewing"), &json!(ticket)));
    anns_here.close().await;
    watcher.expect_nothing().await;

    let (_bobs, _) = join(frozen.address, &bob).await;
    assert_eq!(next(&mut watcher).await, told("joined", "bob"));
    let (_evas, _) = join(frozen.address, &eva).await;
    assert_eq!(next(&mut watcher).await, told("joined", "eva"));
    // Eva is here as well, so the end of a node is not hers.
    let (_evas_here, names) = join(living.address(), &eva).await;
    assert_eq!(names, ["ann", "bob", "eva", "wen"]);

    killed.kill();
    frozen.signal("-STOP");
    let mut left = [next(&mut watcher).await, next(&mut watcher).await];
    left.sort();
    assert_eq!(left, [told("left", "ann"), told("left", "bob")]);
    let (_, names) = join(living.address(), &wen).await;
    assert_eq!(names, ["eva", "wen"], "those two are gone");

    frozen.signal("-CONT");
    assert_eq!(next(&mut watcher).await, told("joined", "bob"));
    // What that node reports next is news, and all that was reported before was told once.
    let (_dans, _) = join(frozen.address, &dan).await;
    assert_eq!(next(&mut watcher).await, told("joined", "dan"));
    watcher.expect_nothing().await;
    let (_, names) = join(living.address(), &wen).await;
    assert_eq!(names, ["bob", "dan", "eva", "wen"]);
}
