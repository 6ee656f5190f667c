//! What operators do by hand on another node than the one that they ask.

use serde_json::json;

use super::{Shared, observed};
use crate::ws::Socket;

#[tokio::test]
async fn a_session_and_a_circuit_of_another_node_are_reached_through_any() {
    let Some(shared) = Shared::new(None).await else { return };
    let [root, carl] = shared.accounts([("root", "super_admin"), ("carl", "client")]).await;
    let a = shared.hub("a", |_| {}).await;
    let b = shared.hub("b", |_| {}).await;
    let mut socket = Socket::established(&b, &carl, "").await;
    let path = format!("/api/operator/users/{}/sessions/1/close/", carl.id);
    assert_eq!(a.post(&root, &path, json!({})).await.0, 404, "it is not on a");
    let (status, done) = a.post(&root, &format!("{path}?node=b"), json!({})).await;
    assert_eq!((status, &done["node"]), (200, &json!("b")), "{done}");
    assert_eq!(socket.next_close().await.0, 1012);

    let path = "/api/operator/channels/webhook/circuit/?node=b";
    let (status, done) = a.post(&root, path, json!({"state": "open", "for_s": 600})).await;
    assert_eq!((status, &done["node"]), (200, &json!("b")), "{done}");
    let state = async |hub| observed(hub, &root, "channels/webhook").await["circuit"].clone();
    assert_eq!((state(&a).await, state(&b).await), (json!("closed"), json!("open")));
    let (status, problem) = a.post(&root, path, json!({"state": "ajar"})).await;
    assert_eq!(status, 400, "{problem}");
    assert_eq!(a.post(&root, path, json!({"state": "closed"})).await.0, 200);
    assert_eq!(state(&b).await, json!("closed"));
    a.stop().await;
    b.stop().await;
}
