//! What operators see: the tree on the command line, and its events as they happen.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Caller, PATIENCE, until};
use crate::support::process::{Process, folder, run, run_ok};

/// The events' stream, as a client reads it.
struct Events {
    response: reqwest::Response,
    unread: String,
}

impl Events {
    async fn open(who: &Caller) -> Self {
        Self::open_after(who, None).await
    }

    /// As a reader that comes back with the last event's number.
    async fn open_after(who: &Caller, last: Option<u64>) -> Self {
        let url = format!("http://{}/api/operator/events/", who.at);
        let client = bellpull::tls::client().build().unwrap();
        let mut request = client.get(url).bearer_auth(&who.token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        Self { response, unread: String::new() }
    }

    /// The next event, or `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.unread.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                let event = data.map(|data| serde_json::from_str(data).unwrap());
                self.unread = rest.to_owned();
                match event {
                    Some(event) => return Some(event),
                    None => continue, // a sign of life
                }
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("an event in time");
            self.unread.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// The next events of that path are these; those of others are passed over.
    async fn expect(&mut self, path: &str, whats: &[&str]) {
        for what in whats {
            let event = loop {
                let event = self.next().await.expect("no end");
                if event["path"] == path {
                    break event;
                }
            };
            assert_eq!(event["what"], *what, "{event}");
            assert!(event["id"].is_u64() && event["at"].is_string(), "{event}");
        }
    }
}

/// All paths of a tree.
fn paths(node: &Value, into: &mut BTreeSet<String>) {
    into.insert(node["path"].as_str().unwrap().to_owned());
    for child in node["children"].as_array().unwrap() {
        paths(child, into);
    }
}

const PERMANENT: [&str; 12] = [
    "hub",
    "users/0",
    "users/1",
    "users/2",
    "users/3",
    "tickets/0",
    "tickets/1",
    "projects/0",
    "projects/1",
    "scheduler",
    "channels",
    "channels/webhook",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tree_shows_every_actor() {
    let (_folder, database) = folder();
    let refused = |wanted: &str| {
        let output = run(&database, &["tree"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(wanted), "{stderr}");
    };
    run_ok(&database, &["migrate"]);
    refused("no hub is running on sqlite://");
    let hub = Process::serve(&database, &[]);
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let carl = Caller::join(&database, hub.address, "carl", "client");
    let _sockets = [ada.socket("").await, ada.socket("").await, carl.socket("").await];
    let tickets = [carl.raise("One").await, carl.raise("Two").await, carl.raise("Three").await];
    let mut wanted: BTreeSet<String> = PERMANENT.map(str::to_owned).into();
    wanted.extend([ada.id, carl.id].map(|id| format!("user/{id}")));
    wanted.extend(tickets.map(|id| format!("ticket/{id}")));

    let text = run_ok(&database, &["tree"]);
    for path in &wanted {
        let is_there = text.lines().any(|line| line.split_whitespace().any(|word| word == path));
        assert!(is_there, "{path} in\n{text}");
    }
    assert_eq!(text.lines().count(), 1 + wanted.len(), "a line each, and a head:\n{text}");
    let json = run_ok(&database, &["tree", "--json"]);
    assert_eq!(json.lines().count(), 1);
    let tree: Value = serde_json::from_str(&json).unwrap();
    let mut found = BTreeSet::new();
    paths(&tree, &mut found);
    assert_eq!(found, wanted);
    for key in ["kind", "state", "age_ms", "mailbox_depth", "handled", "restarts", "observed"] {
        assert!(!tree[key].is_null() || key == "observed", "{key} in {tree}");
    }

    // With an address and a token it needs no database; an admin's token is not enough.
    let url = format!("http://{}", hub.address);
    let service = run_ok(&database, &["tree", "--url", &url]);
    assert!(service.contains("users/0"), "{service}");
    let output = run(&database, &["tree", "--url", &url, "--token", &ada.token]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("does not take the token") && !stderr.contains(&ada.token));

    // A hub that stopped said so; one that was killed could not.
    assert!(hub.terminate().success());
    refused("no hub is running on sqlite://");
    Process::serve(&database, &[]).kill();
    refused("cannot be reached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_tell_what_happens_to_every_kind_of_actor() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let mut events = Events::open(&root).await;
    // A new reader is told of what was before.
    events.expect("users/0", &["spawned"]).await;
    events.expect("scheduler", &["spawned"]).await;

    let user = format!("user/{}", ada.id);
    let mut socket = ada.socket("").await;
    events.expect(&user, &["spawned"]).await;
    assert_eq!(root.restart(&user).await, 200);
    assert_eq!(socket.drained().await.1, 1012);
    events.expect(&user, &["stopped"]).await;
    let _socket = ada.socket("").await;
    events.expect(&user, &["restarted"]).await;

    let id = ada.raise("One").await;
    let ticket = format!("ticket/{id}");
    events.expect(&ticket, &["spawned"]).await;
    assert_eq!(root.restart(&ticket).await, 200);
    events.expect(&ticket, &["stopped"]).await;
    let (status, answer) = ada.post(&format!("/api/tickets/{id}/open/"), json!({})).await;
    assert_eq!(status, 200, "{answer}");
    events.expect(&ticket, &["restarted"]).await;

    for permanent in ["users/0", "tickets/0", "scheduler"] {
        assert_eq!(root.restart(permanent).await, 200);
        events.expect(permanent, &["stopped", "restarted"]).await;
    }
    let shown = run_ok(&database, &["tree", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    for child in shown["children"].as_array().unwrap() {
        let was_hit =
            ["users/0", "tickets/0", "scheduler"].iter().any(|path| child["path"] == *path);
        assert_eq!(child["restarts"], u64::from(was_hit), "{child}");
        assert_eq!(child["last_restart"]["operator"] == "root", was_hit, "{child}");
        assert!(child["last_failure"].is_null(), "{child}");
    }
    // The tree on the command line says why, too.
    assert!(run_ok(&database, &["tree"]).contains("restarted by operator root at "));
    assert!(hub.terminate().success());
    while events.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_reader_is_told_of_the_last_events_and_one_that_comes_back_of_those_since() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    assert_eq!(root.restart("users/0").await, 200);
    let mut events = Events::open(&root).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|event: &Value| event["what"] != "restarted") {
        seen.push(events.next().await.expect("no end"));
    }
    let ids: Vec<u64> = seen.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    let last = *ids.last().unwrap();
    assert_eq!(ids, (1..=last).collect::<Vec<_>>(), "all from the start");
    let tail: Vec<_> =
        seen[seen.len() - 2..].iter().map(|one| (&one["path"], &one["what"])).collect();
    let path = &json!("users/0");
    assert_eq!(tail, [(path, &json!("stopped")), (path, &json!("restarted"))]);
    assert_eq!(seen.last().unwrap()["detail"], "restarted by operator root");

    assert_eq!(root.restart("scheduler").await, 200);
    let mut back = Events::open_after(&root, Some(last)).await;
    for (id, what) in [(last + 1, "stopped"), (last + 2, "restarted")] {
        let event = back.next().await.expect("no end");
        assert_eq!((&event["id"], &event["what"]), (&json!(id), &json!(what)), "{event}");
        assert_eq!(event["path"], "scheduler");
    }
    // The number is of a process that was there before: as a new reader.
    let mut other = Events::open_after(&root, Some(100_000)).await;
    assert_eq!(other.next().await.expect("no end")["id"], 1);
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarting_is_for_super_admins_and_for_what_is_there() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let mut socket = ada.socket("").await;
    let id = ada.raise("One").await;
    let there =
        [format!("user/{}", ada.id), format!("ticket/{id}"), "users/0".into(), "scheduler".into()];
    for path in &there {
        assert_eq!(ada.restart(path).await, 403, "{path}");
        let unknown = Caller { token: String::new(), ..ada.clone() };
        assert_eq!(unknown.restart(path).await, 401, "{path}");
    }
    for path in [
        "user/4711",
        "ticket/4711",
        "users/9",
        "tickets/9",
        "users",
        "scheduler/0",
        "users/x",
        "user/",
        "user/-1",
        "ticket/99999999999999999999",
        "channels/email",
        "x",
    ] {
        assert_eq!(root.restart(path).await, 404, "{path}");
        assert_eq!(ada.restart(path).await, 403, "no right comes before not there: {path}");
    }
    // Only by POST: following a link does nothing.
    assert_eq!(root.get("/api/operator/actors/users/0/restart/").await.0, 405);
    assert_eq!(ada.get("/api/operator/tree/").await.0, 403);
    assert_eq!(ada.get("/api/operator/events/").await.0, 403);
    socket.expect_nothing().await;
    until("ready", async || root.readiness().await == 200).await;
    assert!(hub.terminate().success());
}
