//! Every supervised actor is killed while it works, from outside, with sockets open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bellpull::app::App;
use bellpull::cli::serve::{Signals, attend};
use bellpull::config::Config;
use serde_json::{Value, json};

use super::{Caller, Socket, until};
use crate::support::process::{Process, UNLIMITED, folder};

/// Watches an inbox until told to stop, coming back with the last number seen; each socket ends
/// with 1012 and nothing else.
async fn watch(who: Caller, seen: Arc<Mutex<Vec<i64>>>, stop: Arc<AtomicBool>) {
    while !stop.load(Relaxed) {
        let since = seen.lock().unwrap().last().copied().unwrap_or(0);
        let Some(mut socket) = who.try_socket(&format!("&since={since}")).await else { continue };
        loop {
            match socket.heard().await {
                Ok(frame) => {
                    if let Some(seq) = frame["seq"].as_i64() {
                        seen.lock().unwrap().push(seq);
                    }
                }
                Err((code, reason)) => {
                    assert_eq!(code, 1012, "{reason}");
                    let reason: Value = serde_json::from_str(&reason).unwrap();
                    assert!(reason["retry_after_ms"].is_u64(), "{reason}");
                    break;
                }
            }
        }
    }
}

/// A socket past its greeting, tried until the hub takes one in.
async fn back(who: &Caller, more: &str) -> Socket {
    let mut found = None;
    until("a socket", async || {
        found = who.try_socket(more).await;
        found.is_some()
    })
    .await;
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_user_actor_costs_a_reconnect_and_no_notification() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[UNLIMITED]);
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let carl = Caller::join(&database, hub.address, "carl", "client");
    let stop = Arc::new(AtomicBool::new(false));
    let seen: Vec<Arc<Mutex<Vec<i64>>>> = (0..2).map(|_| Arc::default()).collect();
    let watchers: Vec<_> = seen
        .iter()
        .map(|seen| tokio::spawn(watch(ada.clone(), Arc::clone(seen), Arc::clone(&stop))))
        .collect();
    let writing = {
        let (carl, stop) = (carl.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut written = 0;
            while !stop.load(Relaxed) {
                carl.raise("While actors die").await;
                written += 1;
            }
            written
        })
    };
    let path = format!("user/{}", ada.id);
    for _ in 0..6 {
        let at = seen[0].lock().unwrap().len();
        until("more is heard", async || seen[0].lock().unwrap().len() > at + 3).await;
        until("it is killed", async || root.restart(&path).await == 200).await;
    }
    stop.store(true, Relaxed);
    let written: usize = writing.await.unwrap();
    // Its sockets are open: one that stops is noticed by a last restart.
    let inbox = ada.inbox().await;
    assert_eq!(inbox.len(), written);
    let wanted: Vec<i64> = (1..=written as i64).collect();
    for (seen, watcher) in seen.iter().zip(&watchers) {
        until("all is heard", async || {
            // A watcher that was away when it was told to stop will not come back.
            seen.lock().unwrap().len() >= written || watcher.is_finished()
        })
        .await;
        let seen = seen.lock().unwrap();
        assert_eq!(*seen, wanted[..seen.len()], "a gap, a double, or another order");
    }
    let mut socket = back(&ada, "&since=0").await;
    for number in wanted.iter().take(5) {
        assert_eq!(socket.next().await["seq"], *number);
    }
    assert!(hub.terminate().success());
    for watcher in watchers {
        watcher.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_ticket_actor_loses_nothing_that_was_acknowledged() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[UNLIMITED]);
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    let id = root.raise("Contested").await;
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(Mutex::new(BTreeMap::new()));
    let editors: Vec<_> = (0..4)
        .map(|n| {
            let edit = edit(root.clone(), n, id, Arc::clone(&answered), Arc::clone(&stop));
            tokio::spawn(edit)
        })
        .collect();
    for _ in 0..8 {
        let at = answered.lock().unwrap().len();
        until("more is done", async || answered.lock().unwrap().len() > at + 5).await;
        until("it is killed", async || root.restart(&format!("ticket/{id}")).await == 200).await;
    }
    stop.store(true, Relaxed);
    for editor in editors {
        editor.await.unwrap();
    }
    // A version is one change: what was acknowledged is there, once; the last one is the ticket.
    let mut versions = Vec::new();
    for page in 1.. {
        let path = format!("/api/tickets/{id}/history/?page_size=100&page={page}");
        let (status, history) = root.get(&path).await;
        assert_eq!(status, 200, "{history}");
        let rows = history["results"].as_array().unwrap();
        versions.extend(rows.iter().map(|row| row["version"].as_i64().unwrap()));
        if history["next"].is_null() {
            break;
        }
    }
    versions.sort_unstable();
    let (_, ticket) = root.get(&format!("/api/tickets/{id}/")).await;
    let last = ticket["version"].as_i64().unwrap();
    assert_eq!(versions, (1..=last).collect::<Vec<_>>());
    let answered = answered.lock().unwrap();
    assert!(answered.keys().all(|version| versions.contains(version)), "{answered:?}");
    if let Some(title) = answered.get(&last) {
        assert_eq!(ticket["title"], **title);
    }
    assert!(hub.terminate().success());
}

/// Changes a ticket's title over and over; the versions that were acknowledged, each once.
async fn edit(
    who: Caller,
    n: usize,
    id: i64,
    answered: Arc<Mutex<BTreeMap<i64, String>>>,
    stop: Arc<AtomicBool>,
) {
    for count in 0.. {
        if stop.load(Relaxed) {
            return;
        }
        let title = format!("Editor {n}, change {count}");
        let path = format!("/api/tickets/{id}/");
        match who.ask(reqwest::Method::PATCH, &path, &json!({ "title": title })).await {
            (200, ticket) => {
                assert_eq!(ticket["title"], *title);
                let version = ticket["version"].as_i64().unwrap();
                let other = answered.lock().unwrap().insert(version, title);
                assert!(other.is_none(), "version {version} was given twice");
            }
            (503, _) => {}
            (status, body) => panic!("{status} {body}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_supervisor_of_users_ends_its_sockets_alone_and_is_back() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    let carl = Caller::join(&database, hub.address, "carl", "client");
    // One more than there are shards: two of them share one.
    let admins: Vec<Caller> = (0..5)
        .map(|n| Caller::join(&database, hub.address, &format!("admin{n}"), "admin"))
        .collect();
    let mut sockets = Vec::new();
    for admin in &admins {
        sockets.push((admin, admin.socket("").await));
    }
    carl.raise("Before").await;
    for (_, socket) in &mut sockets {
        assert_eq!(socket.next().await["seq"], 1);
    }
    for shard in 0..4 {
        assert_eq!(root.restart(&format!("users/{shard}")).await, 200);
        for (admin, socket) in &mut sockets {
            if admin.id % 4 != shard {
                socket.expect_nothing().await;
                continue;
            }
            let (texts, code, _) = socket.drained().await;
            assert_eq!((texts.len(), code), (0, 1012));
            *socket = back(admin, "&since=1").await;
            socket.expect_nothing().await;
        }
        until("ready again", async || root.readiness().await == 200).await;
    }
    carl.raise("After").await;
    for (_, socket) in &mut sockets {
        assert_eq!(socket.next().await["seq"], 2);
        socket.expect_nothing().await;
    }
    assert!(hub.terminate().success());
}

/// A hub in this process, whose actors can be made to fail.
async fn own(database: &std::path::Path) -> App {
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        database_url: format!("sqlite://{}", database.display()).into(),
        drain_notice_ms: 0,
        drain_window_ms: 200,
        ..Config::default()
    };
    App::start(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_is_false_while_a_supervisor_is_down() {
    let (_folder, database) = folder();
    let app = own(&database).await;
    let root = Caller::join(&database, app.address(), "root", "super_admin");
    // The first restart comes at once, the fourth after 400 ms. A machine that stalls for so long
    // misses it; then the next four kills come once the restart budget is full again.
    let mut was_seen = false;
    for round in 0..3 {
        if round > 0 {
            tokio::time::sleep(Duration::from_secs(11)).await;
        }
        for _ in 0..4 {
            until("it is killed", async || app.hub().kill_at("users/1").await.is_ok()).await;
        }
        let end = Instant::now() + Duration::from_secs(2);
        while !was_seen && Instant::now() < end {
            was_seen = root.readiness().await == 503;
        }
        if was_seen {
            break;
        }
    }
    assert!(was_seen, "never: not ready");
    let (_, body) = root.get("/readyz").await;
    assert!(body["checks"]["supervisors"] == "down" || body["status"] == "ok", "{body}");
    until("ready", async || root.readiness().await == 200).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_killed_supervisor_of_tickets_commands_work_at_once() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let carl = Caller::join(&database, hub.address, "carl", "client");
    let mut socket = ada.socket("").await;
    for (n, supervisor) in ["tickets/0", "tickets/1", "tickets/0", "tickets/1"].iter().enumerate() {
        let pair = [carl.raise("Even").await, carl.raise("Odd").await];
        assert_eq!(root.restart(supervisor).await, 200);
        for id in pair {
            let (status, answer) = root.post(&format!("/api/tickets/{id}/open/"), json!({})).await;
            assert_eq!((status, &answer["status"]), (200, &json!("OPENED")), "{answer}");
        }
        for seq in [1, 2] {
            assert_eq!(socket.next().await["seq"], 2 * n + seq, "its sockets live on");
        }
    }
    socket.expect_nothing().await;
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_supervisors_fail_too_often_the_process_ends_and_its_successor_has_all() {
    let (_folder, database) = folder();
    let app = own(&database).await;
    let (at, failing) = (app.address(), app.hub().clone());
    let serving = tokio::spawn(attend(app, Signals::listen().unwrap()));
    let ada = Caller::join(&database, at, "ada", "admin");
    let carl = Caller::join(&database, at, "carl", "client");
    let mut socket = ada.socket("").await;
    let mut written = BTreeSet::new();
    for n in 0..6 {
        written.insert(carl.raise(&format!("Ticket {n}")).await);
    }
    for supervisor in ["users/0", "users/1", "users/2", "users/3", "tickets/0", "tickets/1"] {
        let killed = failing.kill_at(supervisor).await;
        assert!(killed.is_ok() || supervisor == "tickets/1", "{killed:?}");
    }
    assert_eq!(socket.drained().await.1, 1012);
    let ended = serving.await.unwrap().unwrap_err();
    assert_eq!(ended.code(), 1);
    assert_eq!(ended.to_string(), "the supervision tree gave up; the log says why");

    let hub = Process::serve(&database, &[]);
    let (ada, carl) = (ada.moved(hub.address), carl.moved(hub.address));
    assert_eq!(ada.readiness().await, 200);
    let inbox: BTreeSet<i64> = ada.inbox().await.iter().map(|row| row.1).collect();
    assert_eq!(inbox, written);
    let mut socket = ada.socket("&since=6").await;
    carl.raise("One more").await;
    assert_eq!(socket.next().await["seq"], 7);
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_that_an_operator_asks_for_never_end_the_process_and_name_the_operator() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    for nth in 1..=8 {
        for path in ["users/0", "tickets/0", "scheduler", "channels"] {
            assert_eq!(root.restart(path).await, 200, "{path} for the {nth}. time");
        }
    }
    for _ in 1..=8 {
        until("its supervisor is up", async || root.restart("channels/webhook").await == 200).await;
    }
    until("ready", async || root.readiness().await == 200).await;
    let (status, tree) = root.get("/api/operator/tree/").await;
    assert_eq!(status, 200);
    let users = tree["children"].as_array().unwrap().iter().find(|one| one["path"] == "users/0");
    let users = users.unwrap();
    assert_eq!((&users["restarts"], &users["last_failure"]), (&json!(8), &Value::Null), "{users}");
    let last = &users["last_restart"];
    assert_eq!((&last["cause"], &last["operator"]), (&json!("operator"), &json!("root")));
    assert!(last["at"].is_string(), "{last}");
    let shown = crate::support::process::run_ok(&database, &["tree"]);
    assert!(shown.contains("restarted by operator root at 20"), "{shown}");
    assert!(!shown.contains("failed"), "{shown}");
    let (_, metrics) = root.get("/metrics").await;
    let failures = "bellpull_actor_failures_total{kind=\"supervisor\"} 0";
    assert!(metrics.as_str().unwrap().lines().any(|line| line == failures), "{metrics}");
    // A loop is slowed down.
    let mut statuses = BTreeSet::new();
    for _ in 0..60 {
        statuses.insert(root.restart("users/1").await);
    }
    assert_eq!(statuses, [200, 429].into());
    ada.raise("It still works").await;
    assert!(hub.terminate().success());
}
