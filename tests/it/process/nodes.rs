//! A process as a node: its name, how commands find it, and its end by an operator.

use serde_json::{Value, json};

use super::Caller;
use crate::support::process::{Process, folder, run, run_ok};

fn nodes(database: &std::path::Path) -> Value {
    serde_json::from_str(&run_ok(database, &["nodes", "--json"])).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_found_by_its_name_and_stopped_by_an_operator() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[("BELLPULL_NODE", "web-1")]);
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    let listed = nodes(&database);
    assert_eq!(listed["count"], 1);
    let node = &listed["results"][0];
    assert_eq!((&node["name"], &node["state"]), (&json!("web-1"), &json!("up")));
    assert_eq!(node["url"], json!(format!("http://{}", hub.address)));
    let text = run_ok(&database, &["nodes"]);
    let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], ["web-1", "up", "0"], "{text}");
    run_ok(
        &database,
        &["notify", "--user-id", &root.id.to_string(), "--title", "A", "--message", "B"],
    );

    let _socket = root.socket("").await;
    let (status, body) = root.post("/api/operator/nodes/web-1/drain/", json!({})).await;
    assert_eq!((status, &body["node"]), (202, &json!("web-1")), "{body}");
    assert_eq!(hub.exited().code(), Some(0));
    assert_eq!(nodes(&database)["results"][0]["state"], "left");
    let output = run(&database, &["tree"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no hub is running on sqlite://"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_gets_its_name_back_at_once() {
    let (_folder, database) = folder();
    let name = [("BELLPULL_NODE", "web-1")];
    Process::serve(&database, &name).kill();
    let hub = Process::serve(&database, &name);
    let listed = nodes(&database);
    assert_eq!(listed["count"], 1, "{listed}");
    assert_eq!(listed["results"][0]["url"], json!(format!("http://{}", hub.address)));
}

#[test]
fn a_name_is_checked() {
    let (_folder, database) = folder();
    let output = run(&database, &["serve", "--node", "web 1"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--node: must be 1 to 80 letters"), "{stderr}");
}
