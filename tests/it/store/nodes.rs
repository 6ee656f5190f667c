//! Which nodes run on the store.

use bellpull_domain::node::{Node, NodeName, NodeState};
use bellpull_port::nodes::{Heartbeat, NewNode};
use bellpull_port::{NodeStore, StoreError};

use super::Fixture;

fn new(name: &str, port: u16) -> NewNode {
    NewNode {
        name: NodeName::parse(name).unwrap(),
        url: format!("http://127.0.0.1:{port}"),
        operator_url: format!("http://127.0.0.1:{}", port + 1),
        version: "1.2.3".to_owned(),
    }
}

fn said(node: &Node, state: NodeState, sessions: u32) -> Heartbeat {
    Heartbeat { name: node.name.clone(), started_at: node.started_at, state, sessions }
}

/// As time passes for the node, without a heartbeat.
async fn is_silent_for<F: Fixture>(fixture: &F, name: &str, ms: i64) {
    let sql = format!("UPDATE nodes SET last_seen_at = last_seen_at - {ms} WHERE name = '{name}'");
    fixture.execute(&sql).await;
}

async fn listed(store: &impl NodeStore) -> Vec<(String, NodeState, u32)> {
    let nodes = store.nodes().await.unwrap();
    let short = |node: Node| (node.name.to_string(), node.state, node.sessions);
    nodes.into_iter().map(short).collect()
}

pub(crate) async fn a_node_is_listed_as_it_registered<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    assert_eq!(store.nodes().await.unwrap(), []);
    let b = store.register_node(new("b", 20)).await.unwrap();
    let a = store.register_node(new("a", 10)).await.unwrap();
    assert_eq!(
        (a.url.as_str(), a.operator_url.as_str()),
        ("http://127.0.0.1:10", "http://127.0.0.1:11")
    );
    assert_eq!((a.version.as_str(), a.state, a.sessions), ("1.2.3", NodeState::Up, 0));
    assert_eq!(a.started_at, a.last_seen_at);
    assert_eq!(store.nodes().await.unwrap(), [a, b], "by name");
}

pub(crate) async fn a_heartbeat_says_how_a_node_is<F: Fixture>() {
    use NodeState::{Draining, Left, Up};
    let fixture = F::make().await;
    let store = &**fixture.store();
    let a = store.register_node(new("a", 10)).await.unwrap();
    let b = store.register_node(new("b", 20)).await.unwrap();
    is_silent_for(&fixture, "a", 10_000).await;
    assert!(store.heartbeat(said(&a, Up, 7)).await.unwrap());
    assert!(store.heartbeat(said(&b, Draining, 3)).await.unwrap());
    assert_eq!(listed(store).await, [("a".to_owned(), Up, 7), ("b".to_owned(), Draining, 3)]);
    assert!(store.nodes().await.unwrap()[0].last_seen_at >= a.started_at);
    assert!(store.heartbeat(said(&b, Left, 0)).await.unwrap());
    assert_eq!(listed(store).await, [("a".to_owned(), Up, 7), ("b".to_owned(), Left, 0)]);
}

pub(crate) async fn a_silent_node_has_left_and_comes_back<F: Fixture>() {
    use NodeState::{Left, Up};
    let fixture = F::make().await;
    let store = &**fixture.store();
    let a = store.register_node(new("a", 10)).await.unwrap();
    is_silent_for(&fixture, "a", 15_000).await;
    assert_eq!(listed(store).await, [("a".to_owned(), Left, 0)]);
    // It was frozen, and nothing has taken its name.
    assert!(store.heartbeat(said(&a, Up, 2)).await.unwrap());
    assert_eq!(listed(store).await, [("a".to_owned(), Up, 2)]);
}

pub(crate) async fn a_live_name_is_taken<F: Fixture>() {
    use NodeState::{Draining, Left, Up};
    let fixture = F::make().await;
    let store = &**fixture.store();
    let taken = Err(StoreError::Taken("node"));
    let rivals = [10, 20, 30].map(|port| store.register_node(new("a", port)));
    let outcomes = futures_util::future::join_all(rivals).await;
    let first = outcomes.iter().find_map(|outcome| outcome.clone().ok()).expect("one has it");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == taken).count(), 2, "{outcomes:?}");
    assert!(store.heartbeat(said(&first, Draining, 0)).await.unwrap());
    assert_eq!(store.register_node(new("a", 40)).await, taken, "it still runs");
    // One that is gone gives its name up: after it said so, or by its silence.
    assert!(store.heartbeat(said(&first, Left, 0)).await.unwrap());
    let second = store.register_node(new("a", 50)).await.unwrap();
    assert_eq!(second.url, "http://127.0.0.1:50");
    is_silent_for(&fixture, "a", 15_000).await;
    let third = store.register_node(new("a", 60)).await.unwrap();
    // Another process of the same name is another node, also if it was only frozen.
    fixture.execute("UPDATE nodes SET started_at = started_at + 1 WHERE name = 'a'").await;
    assert!(!store.heartbeat(said(&third, Left, 9)).await.unwrap());
    assert_eq!(listed(store).await, [("a".to_owned(), Up, 0)]);
}

pub(crate) async fn a_node_that_left_is_listed_for_an_hour<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    store.register_node(new("a", 10)).await.unwrap();
    is_silent_for(&fixture, "a", 3_590_000).await;
    assert_eq!(listed(store).await, [("a".to_owned(), NodeState::Left, 0)]);
    is_silent_for(&fixture, "a", 10_000).await;
    assert_eq!(listed(store).await, []);
    store.register_node(new("b", 20)).await.unwrap();
    // It was removed, so no shift of time brings it back.
    is_silent_for(&fixture, "a", -3_600_000).await;
    assert_eq!(listed(store).await, [("b".to_owned(), NodeState::Up, 0)]);
}

pub(crate) async fn a_store_of_one_process_forgets_earlier_nodes<F: Fixture>() {
    let fixture = F::make().await;
    fixture.store().register_node(new("a", 10)).await.unwrap();
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    let registered = store.register_node(new("a", 20)).await;
    assert_eq!(registered.is_ok(), F::IS_EXCLUSIVE, "{registered:?}");
}
