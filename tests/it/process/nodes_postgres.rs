//! Two processes on one PostgreSQL database, as operators see and drive them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bellpull::auth::issue::Issuer;
use bellpull::config::Secret;
use bellpull_port::Clock;
use bellpull_port::clock::SystemClock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::postgres::{Database, server};
use crate::support::process::{Process, command, folder};
use crate::support::skip::skipped;
use crate::support::{SECRET, answer};

/// A killed node is noticed after 15 s; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn ask(at: SocketAddr, method: Method, path: &str) -> (u16, Value) {
    let issuer = Issuer::new(&Secret::new(SECRET.to_owned()));
    let token = issuer.service(SystemClock.now()).unwrap();
    let client = bellpull::tls::client().build().unwrap();
    answer(client.request(method, format!("http://{at}/api/operator{path}")).bearer_auth(token))
        .await
}

/// The name and the state of each node, as the one at that address lists them.
async fn states(at: SocketAddr) -> Vec<(String, String)> {
    let (status, listed) = ask(at, Method::GET, "/nodes/").await;
    assert_eq!(status, 200, "{listed}");
    let field = |node: &Value, name: &str| node[name].as_str().unwrap().to_owned();
    let nodes = listed["results"].as_array().unwrap().iter();
    nodes.map(|node| (field(node, "name"), field(node, "state"))).collect()
}

async fn until_listed(at: SocketAddr, wanted: [(&str, &str); 2]) {
    let deadline = Instant::now() + PATIENCE;
    let wanted = wanted.map(|(name, state)| (name.to_owned(), state.to_owned()));
    loop {
        let states = states(at).await;
        if states == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{states:?} instead of {wanted:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_see_each_other_come_and_go() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let database = Database::create().await;
    let (_folder, file) = folder();
    let url = database.url();
    let serve = |name: &str| {
        let secret = ("BELLPULL_JWT_SECRET", SECRET);
        let settings = [("BELLPULL_DATABASE_URL", url.as_str()), ("BELLPULL_NODE", name), secret];
        Process::serve(&file, &settings)
    };
    let (a, b) = (serve("a"), serve("b"));
    for at in [a.address, b.address] {
        until_listed(at, [("a", "up"), ("b", "up")]).await;
    }
    let (status, tree) = ask(a.address, Method::GET, "/tree/").await;
    assert_eq!((status, &tree["path"]), (200, &json!("cluster")), "{tree}");
    for (child, name) in tree["children"].as_array().unwrap().iter().zip(["a", "b"]) {
        assert_eq!((&child["node"], &child["state"]), (&json!(name), &json!("running")), "{tree}");
    }
    let restart = "/actors/users/1/restart/?node=b";
    let (status, body) = ask(a.address, Method::POST, restart).await;
    assert_eq!((status, &body["node"]), (200, &json!("b")), "{body}");

    let bin = |arguments: &[&str]| {
        let output = command(&file).env("BELLPULL_DATABASE_URL", &url).args(arguments).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let listed: Value = serde_json::from_str(&bin(&["nodes", "--json"])).unwrap();
    assert_eq!(listed["count"], 2, "{listed}");

    a.kill();
    until_listed(b.address, [("a", "left"), ("b", "up")]).await;
    let (_, tree) = ask(b.address, Method::GET, "/tree/").await;
    assert_eq!(tree["children"][0]["state"], "left", "{tree}");
    assert_eq!(ask(b.address, Method::POST, "/nodes/a/drain/").await.0, 409);

    let a = serve("a");
    until_listed(a.address, [("a", "up"), ("b", "up")]).await;
    assert_eq!(ask(a.address, Method::POST, "/nodes/b/drain/").await.0, 202);
    assert_eq!(b.exited().code(), Some(0));
    until_listed(a.address, [("a", "up"), ("b", "left")]).await;
}
