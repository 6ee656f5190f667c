//! What operators see and do over several nodes, at any of them. The nodes share a store in this
//! process; `cluster` has them in processes of their own.

use bellpull_domain::node::{NodeName, NodeState};
use bellpull_port::nodes::{Heartbeat, NewNode};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Team;
use crate::support::{Hub, PATIENCE, Person, answer};

/// Two nodes, and an operator.
struct Pair {
    a: Hub,
    b: Hub,
    root: Person,
}

impl Pair {
    async fn start() -> Self {
        let a = Hub::start_with(|config| config.node = NodeName::parse("a")).await;
        let b = Hub::start_node(a.store(), "b").await.unwrap();
        let root = a.user("root", "super_admin").await;
        Self { a, b, root }
    }

    async fn tree(&self, hub: &Hub, query: &str) -> Value {
        let (status, tree) = hub.get(&self.root, &format!("/api/operator/tree/{query}")).await;
        assert_eq!(status, 200, "{tree}");
        tree
    }

    /// A node whose process is not there.
    async fn lost_node(&self, state: NodeState) {
        let name = NodeName::parse("lost").unwrap();
        let url = "http://127.0.0.1:1".to_owned(); // no server listens there
        let new = NewNode { name, operator_url: url.clone(), url, version: "0".to_owned() };
        let node = self.a.store().register_node(new).await.unwrap();
        let (name, started_at) = (node.name, node.started_at);
        let said = Heartbeat { name, started_at, state, sessions: 0 };
        assert!(self.a.store().heartbeat(said).await.unwrap());
    }
}

/// The path, the node and the state of each actor.
fn actors(tree: &Value) -> Vec<(String, String, String)> {
    let field = |name: &str| tree[name].as_str().unwrap_or_default().to_owned();
    let own = (field("path"), field("node"), field("state"));
    let children = tree["children"].as_array().unwrap().iter().flat_map(actors);
    std::iter::once(own).chain(children).collect()
}

#[tokio::test]
async fn one_node_is_listed_with_its_tree() {
    let team = Team::gather().await;
    let name = team.hub.nodes().name().to_string();
    let path = "/api/operator/nodes/";
    assert_eq!(answer(team.hub.request(Method::GET, path)).await.0, 401);
    let drain = format!("/api/operator/nodes/{name}/drain/");
    for who in [&team.admin, &team.carl] {
        assert_eq!(team.hub.get(who, path).await.0, 403);
        assert_eq!(team.hub.post(who, &drain, json!({})).await.0, 403);
    }
    let (status, listed) = team.hub.get(&team.root, path).await;
    assert_eq!((status, &listed["count"]), (200, &json!(1)), "{listed}");
    let node = &listed["results"][0];
    assert_eq!(node["name"], json!(name));
    assert_eq!(node["url"], json!(team.hub.base()));
    assert_eq!((&node["state"], &node["sessions"]), (&json!("up"), &json!(0)));
    assert_eq!(node["version"], json!(env!("CARGO_PKG_VERSION")));
    assert!(node["started_at"].is_string() && node["last_seen_at"].is_string(), "{node}");

    let (_, tree) = team.hub.get(&team.root, "/api/operator/tree/").await;
    assert_eq!(tree["path"], "hub");
    assert!(actors(&tree).iter().all(|(_, node, _)| *node == name), "{tree}");
    let observed = &tree["observed"];
    assert_eq!((&observed["broker"], &observed["store"]), (&json!("off"), &json!("ok")));
    let owner = observed["lease_owner"].as_str().unwrap();
    assert!(owner.starts_with(&format!("{name}/")), "{owner}");
    let (status, own) = team.hub.get(&team.root, &format!("/api/operator/tree/?node={name}")).await;
    assert_eq!((status, &own["path"]), (200, &json!("hub")));
    for missing in ["tree/?node=unknown", "events/?node=unknown", "tree/?node=a%2Fb"] {
        let path = format!("/api/operator/{missing}");
        assert_eq!(team.hub.get(&team.root, &path).await.0, 404, "{missing}");
    }
    let unknown = "/api/operator/nodes/unknown/drain/";
    assert_eq!(team.hub.post(&team.root, unknown, json!({})).await.0, 404);
    let unknown = "/api/operator/actors/users/0/restart/?node=unknown";
    assert_eq!(team.hub.post(&team.root, unknown, json!({})).await.0, 404);
    assert_eq!(team.hub.post(&team.root, &drain, json!({"now": true})).await.0, 400);
}

#[tokio::test]
async fn every_node_shows_all_trees() {
    let pair = Pair::start().await;
    let Pair { a, b, root } = &pair;
    for hub in [a, b] {
        let (_, listed) = hub.get(root, "/api/operator/nodes/").await;
        let names: Vec<&Value> =
            listed["results"].as_array().unwrap().iter().map(|node| &node["name"]).collect();
        assert_eq!(names, ["a", "b"]);
        let tree = pair.tree(hub, "").await;
        assert_eq!(
            (&tree["path"], &tree["node"]),
            (&json!("cluster"), &json!(hub.nodes().name().as_str()))
        );
        for (at, name) in ["a", "b"].iter().enumerate() {
            let child = &tree["children"][at];
            assert_eq!((&child["path"], &child["node"]), (&json!("hub"), &json!(name)), "{tree}");
            let actors = actors(child);
            assert!(actors.iter().any(|(path, ..)| path == "users/0"), "{child}");
            assert!(actors.iter().all(|(_, node, state)| node == name && state == "running"));
            let one = pair.tree(hub, &format!("?node={name}")).await;
            assert_eq!((&one["path"], &one["node"]), (&json!("hub"), &json!(name)));
        }
    }
    let bare = pair.tree(a, "?children=0").await;
    let actors = actors(&bare);
    assert!(actors.iter().any(|(path, node, _)| path == "users/0" && node == "b"), "{bare}");
    assert!(actors.iter().all(|(path, ..)| !path.starts_with("channels/")), "{bare}");
}

#[tokio::test]
async fn a_node_that_is_gone_is_shown_as_that() {
    let pair = Pair::start().await;
    let Pair { a, root, .. } = &pair;
    let shown = async || {
        let tree = pair.tree(a, "").await;
        let roots = tree["children"].as_array().unwrap().clone();
        let states = roots.iter().map(|root| root["state"].as_str().unwrap().to_owned());
        states.collect::<Vec<_>>()
    };
    let drain = "/api/operator/nodes/lost/drain/";
    let restart = "/api/operator/actors/users/0/restart/?node=lost";
    pair.lost_node(NodeState::Left).await;
    assert_eq!(shown().await, ["running", "running", "left"]);
    assert_eq!(pair.tree(a, "?node=lost").await["state"], "left");
    for path in [drain, restart] {
        let (status, body) = a.post(root, path, json!({})).await;
        assert_eq!((status, &body["code"]), (409, &json!("node_left")), "{path}: {body}");
    }
    assert_eq!(a.get(root, "/api/operator/events/?node=lost").await.0, 409);
    pair.lost_node(NodeState::Draining).await;
    assert_eq!(shown().await, ["running", "running", "unreachable"]);
    for path in [drain, restart] {
        assert_eq!(a.post(root, path, json!({})).await.0, 503, "{path}");
    }
}

#[tokio::test]
async fn an_actor_is_restarted_on_any_node_from_any_node() {
    let pair = Pair::start().await;
    let Pair { a, root, .. } = &pair;
    let restart = "/api/operator/actors/users/1/restart/?node=b";
    let (status, body) = a.post(root, restart, json!({})).await;
    assert_eq!((status, &body["node"]), (200, &json!("b")), "{body}");
    let operator = async |node: &str| {
        let tree = pair.tree(a, &format!("?node={node}")).await;
        let children = tree["children"].as_array().unwrap().clone();
        let shard = children.into_iter().find(|child| child["path"] == "users/1").unwrap();
        shard["last_restart"]["operator"].clone()
    };
    let again = async { while operator("b").await.is_null() {} };
    timeout(PATIENCE, again).await.expect("the operator's name");
    assert_eq!(operator("b").await, "root");
    assert!(operator("a").await.is_null(), "the other node's is untouched");
    let missing = "/api/operator/actors/ticket/4711/restart/?node=b";
    assert_eq!(a.post(root, missing, json!({})).await.0, 404);
    // The other node decides by the caller's own right.
    let admin = a.user("admin", "admin").await;
    assert_eq!(a.post(&admin, restart, json!({})).await.0, 403);
    // What was passed on is not passed on again.
    let request = a.request(Method::GET, "/api/operator/tree/?node=b");
    let request = request.bearer_auth(&root.token).header("bellpull-passed-on", "1");
    assert_eq!(answer(request).await.0, 404);
}

#[tokio::test]
async fn no_address_of_a_node_is_sent_a_token_that_is_good_for_anything_else() {
    let pair = Pair::start().await;
    let Pair { a, root, .. } = &pair;
    // A row that leads to another's server.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let name = NodeName::parse("thief").unwrap();
    let new = NewNode { name, operator_url: url.clone(), url, version: "0".to_owned() };
    a.store().register_node(new).await.unwrap();
    let thief = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut head, mut buffer) = (Vec::new(), [0; 4_096]);
        while !head.ends_with(b"\r\n\r\n") {
            let read = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await.unwrap();
            assert_ne!(read, 0, "the end of a head");
            head.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8(head).unwrap()
    });
    let tree = "/api/operator/tree/?node=thief&children=50";
    assert_eq!(a.get(root, tree).await.0, 503);
    let head = timeout(PATIENCE, thief).await.unwrap().unwrap();
    assert!(!head.contains(&root.token), "{head}");
    let stolen = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap();
    let with = async |path: &str, header: bool| {
        let request = a.request(Method::GET, path).header("authorization", stolen);
        let request = if header { request.header("bellpull-passed-on", "1") } else { request };
        answer(request).await.0
    };
    for path in ["/api/auth/me/", "/api/operator/tree/", "/api/operator/tree/?node=a&children=50"] {
        assert_eq!((with(path, true).await, with(path, false).await), (401, 401), "{path}");
    }
    // For the node that it names it is good, and this is another.
    assert_eq!((with(tree, true).await, with(tree, false).await), (404, 401));
}

/// Reads events until one is of that path on that node; the `id` of each that came.
async fn read_until(response: &mut reqwest::Response, node: &str, path: &str) -> Vec<String> {
    let mut text = String::new();
    let is_it = |event: &str| {
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or("{}");
        let event: Value = serde_json::from_str(data).unwrap_or_default();
        event["node"] == node && event["path"] == path
    };
    while !text.split("\n\n").any(is_it) {
        let chunk = timeout(PATIENCE, response.chunk()).await.expect("an event in time");
        text.push_str(&String::from_utf8_lossy(&chunk.unwrap().expect("no end")));
    }
    text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn events_of_all_nodes_are_one_stream() {
    let pair = Pair::start().await;
    let Pair { a, b, root } = &pair;
    let open = async |hub: &Hub, last: Option<&str>, query: &str| {
        let request = hub.request(Method::GET, &format!("/api/operator/events/{query}"));
        let request = request.bearer_auth(&root.token);
        let request = match last {
            Some(last) => request.header("last-event-id", last),
            None => request,
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        response
    };
    let on_b = b.ticket(root, "On b").await;
    let on_a = a.ticket(root, "On a").await;
    let mut events = open(a, None, "").await;
    let mut ids = read_until(&mut events, "b", &format!("ticket/{on_b}")).await;
    let next = a.ticket(root, "Again on a").await;
    ids.extend(read_until(&mut events, "a", &format!("ticket/{next}")).await);
    let last = ids.last().unwrap().clone();
    assert!(last.contains("a:") && last.contains(",b:"), "{last}");

    // The position counts on any node: nothing is repeated there.
    let later = b.ticket(root, "Later on b").await;
    let mut resumed = open(b, Some(&last), "").await;
    let ids = read_until(&mut resumed, "b", &format!("ticket/{later}")).await;
    let before: u64 = last.rsplit_once(":").unwrap().1.parse().unwrap();
    let number = |id: &String| id.rsplit_once("b:").map(|(_, id)| id.parse::<u64>().unwrap());
    assert!(ids.iter().filter_map(number).all(|id| id >= before), "{ids:?} after {last}");

    let mut one = open(b, None, "?node=a").await;
    let ids = read_until(&mut one, "a", &format!("ticket/{on_a}")).await;
    assert!(ids.iter().all(|id| !id.contains("b:")), "{ids:?}");
}

#[tokio::test]
async fn a_node_is_drained_from_another() {
    let pair = Pair::start().await;
    let Pair { a, b, root } = &pair;
    let (status, body) = a.post(root, "/api/operator/nodes/b/drain/", json!({})).await;
    assert_eq!((status, &body["node"]), (202, &json!("b")), "{body}");
    timeout(PATIENCE, b.nodes().told_to_drain()).await.expect("it is told");
    let is_told = timeout(std::time::Duration::ZERO, a.nodes().told_to_drain()).await.is_ok();
    assert!(!is_told, "the one that was asked goes on");
    b.nodes().begin_drain();
    let state = async || {
        let (_, listed) = a.get(root, "/api/operator/nodes/").await;
        listed["results"][1]["state"].clone()
    };
    timeout(PATIENCE, async { while state().await != "draining" {} }).await.expect("it is listed");
    assert_eq!(a.post(root, "/api/operator/nodes/b/drain/", json!({})).await.0, 202, "again");
}

#[tokio::test]
async fn each_node_knows_how_many_there_are() {
    let pair = Pair::start().await;
    let mut live = pair.a.nodes().live();
    let two = live.wait_for(|count| *count == 2);
    assert!(timeout(PATIENCE, two).await.expect("within a heartbeat").is_ok());
    pair.b.nodes().leave().await;
    let one = live.wait_for(|count| *count == 1);
    assert!(timeout(PATIENCE, one).await.expect("within a heartbeat").is_ok());
}

#[tokio::test]
async fn a_live_nodes_name_is_refused() {
    let a = Hub::start_with(|config| config.node = NodeName::parse("a")).await;
    let Err(error) = Hub::start_node(a.store(), "a").await else { panic!("it has started") };
    assert_eq!(error.setting, "node");
    assert!(error.to_string().contains("a node named a is running"), "{error}");
}

/// Each node keeps a copy of the tickets that it works on; none refuses by an old one.
#[tokio::test]
async fn a_ticket_s_steps_are_taken_on_any_node_in_turn() {
    let pair = Pair::start().await;
    let admin = pair.a.user("ada", "admin").await;
    let carl = pair.a.user("carl", "client").await;
    let dev = pair.a.user("dev", "developer").await;
    let ticket = pair.a.ticket(&carl, "Homepage not loading").await;
    let path = |action: &str| format!("/api/tickets/{ticket}/{action}/");
    // Both know it as new.
    let (status, body) = pair.b.post(&carl, &path("comments"), json!({"body": "Look"})).await;
    assert_eq!(status, 201, "{body}");
    let assigned = json!({"developers": [dev.id]});
    for (hub, who, action, body) in [
        (&pair.a, &admin, "open", json!({})),
        (&pair.b, &admin, "assign", assigned),
        (&pair.a, &dev, "start_work", json!({})),
        (&pair.b, &dev, "finish_work", json!({})),
        (&pair.a, &dev, "comments", json!({"body": "Done"})),
        (&pair.b, &carl, "reject", json!({"reason": "It is not"})),
        (&pair.a, &dev, "start_work", json!({})),
    ] {
        let (status, told) = hub.post(who, &path(action), body).await;
        assert!(status == 200 || status == 201, "{action}: {told}");
    }
    let edit = json!({"priority": "HIGH", "version": 7});
    let (status, told) = pair.b.patch(&carl, &format!("/api/tickets/{ticket}/"), edit).await;
    assert_eq!(status, 200, "the newest version is known: {told}");
    let (status, told) = pair.a.post(&carl, &path("approve"), json!({})).await;
    assert_eq!((status, &told["code"]), (409, &json!("wrong_status")), "{told}");
}
