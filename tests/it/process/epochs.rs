//! A database that has less than was given out begins a new epoch.

use std::fs;
use std::path::Path;

use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Caller, PATIENCE};
use crate::support::postgres::{Database, server};
use crate::support::process::{Process, command, folder, run, run_ok};
use crate::support::skip::skipped;

/// Numbers of a new epoch are above this.
const GAP: i64 = 1_000_000;

/// The frames of an event stream, and their positions.
struct Stream {
    response: Response,
    rest: String,
}

impl Stream {
    async fn open(caller: &Caller, query: &str, last: Option<&str>) -> Self {
        let client = bellpull::tls::client().build().unwrap();
        let url = format!("http://{}/api/notifications/stream/{query}", caller.at);
        let mut request = client.get(url).bearer_auth(&caller.token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        Self { response, rest: String::new() }
    }

    async fn next(&mut self) -> (Option<String>, Value) {
        loop {
            while let Some((event, rest)) = self.rest.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let found = field("data: ").map(|data| serde_json::from_str(data).unwrap());
                let id = field("id: ").map(str::to_owned);
                self.rest = rest.to_owned();
                if let Some(data) = found {
                    return (id, data);
                }
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("an event");
            let chunk = chunk.unwrap().expect("no end");
            self.rest.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The titles of this many notifications.
    async fn titles(&mut self, count: usize) -> Vec<String> {
        let mut titles = Vec::new();
        while titles.len() < count {
            let (_, frame) = self.next().await;
            let title = [&frame["ticket"]["title"], &frame["data"]["ticket"]["title"]];
            titles.extend(title.into_iter().find_map(Value::as_str).map(str::to_owned));
        }
        titles
    }
}

/// An admin who follows, and a client who raises tickets.
struct Cast {
    admin: Caller,
    client: Caller,
}

impl Cast {
    fn moved(&self, hub: &Process) -> Self {
        Self { admin: self.admin.moved(hub.address), client: self.client.moved(hub.address) }
    }

    async fn raise(&self, titles: &[String]) {
        for title in titles {
            self.client.raise(title).await;
        }
    }

    /// The epoch, and the last number.
    async fn greeting(&self) -> (String, i64) {
        let (_, welcome) = Stream::open(&self.admin, "?replay=none", None).await.next().await;
        (welcome["epoch"].as_str().unwrap().to_owned(), welcome["last_seq"].as_i64().unwrap())
    }

    /// Clients that hold position 8 of an epoch that has ended are shown all that is new, however
    /// they come back.
    async fn all_come_back(&self, epoch: &str) {
        let new = numbered("new", 7);
        self.raise(&new).await;
        let (held, last) = self.greeting().await;
        assert_ne!(held, epoch);
        assert!(last > GAP, "{last}");
        for (query, last) in [
            ("?x".to_owned(), Some(format!("{epoch}:8"))),
            (format!("?lastEventId={epoch}:8"), None),
            (format!("?since=8&epoch={epoch}"), None),
        ] {
            let mut stream = Stream::open(&self.admin, &query, last.as_deref()).await;
            assert_eq!(stream.next().await.1["resumed"], false, "{query}");
            assert_eq!(stream.next().await.1["type"], "reset", "{query}");
            // What is here begins again: the old ones and then the new ones.
            let titles = stream.titles(7).await;
            assert!(titles.ends_with(&new) || titles.iter().any(|t| t.starts_with("old")));
        }
        for dialect in ["bellpull.v1", "incident", "project", "academy", "inbox"] {
            // Those that know of no epoch.
            let query = format!("?dialect={dialect}");
            let mut stream = Stream::open(&self.admin, &query, Some("8")).await;
            let mut shown = 0;
            while shown < 7 {
                let (id, frame) = stream.next().await;
                let number = id.map(|id| id.split_once(':').unwrap().1.parse::<i64>().unwrap());
                assert!(number.is_none_or(|number| number > GAP), "{dialect}: {frame}");
                shown += usize::from(number.is_some());
            }
        }
        let path = "/api/notifications/?since_seq=8&page_size=100";
        let (_, page) = self.admin.get(path).await;
        assert_eq!(page["results"].as_array().unwrap().len(), 7, "{page}");
    }
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("{name} {n}")).collect()
}

/// A hub with three notifications, and what was in its folder then.
async fn three(database: &Path) -> (Cast, String) {
    let hub = Process::serve(database, &[]);
    let join = |name, role| Caller::join(database, hub.address, name, role);
    let cast = Cast { admin: join("ada", "admin"), client: join("carl", "client") };
    cast.raise(&numbered("old", 3)).await;
    let epoch = cast.greeting().await.0;
    assert!(hub.terminate().success());
    (cast, epoch)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_put_back_begins_a_new_epoch() {
    // What is lost: notifications, or marks alone, which have numbers and no ids.
    for are_marks in [false, true] {
        let (_folder, database) = folder();
        let (cast, epoch) = three(&database).await;
        let copy = database.with_extension("copy");
        fs::copy(&database, &copy).unwrap();
        let hub = Process::serve(&database, &[]);
        let there = cast.moved(&hub);
        assert_eq!(there.greeting().await, (epoch.clone(), 3), "the epoch goes on");
        match are_marks {
            false => there.raise(&numbered("lost", 5)).await,
            true => {
                let path = "/api/notifications/mark_all_as_read/";
                assert_eq!(there.admin.post(path, json!({})).await.0, 200);
            }
        }
        assert!(hub.terminate().success());
        fs::copy(&copy, &database).unwrap();
        let log = database.with_extension("log");
        let hub = Process::serve_logged(&database, &[], &log);
        assert!(fs::read_to_string(log).unwrap().contains("a new epoch has begun"));
        cast.moved(&hub).all_come_back(&epoch).await;
        let (new, last) = cast.moved(&hub).greeting().await;
        hub.kill();
        // Once.
        let hub = Process::serve(&database, &[]);
        assert_eq!(cast.moved(&hub).greeting().await, (new, last));
        assert!(hub.terminate().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_begins_no_epoch_and_another_database_does() {
    let (_folder, database) = folder();
    let (cast, epoch) = three(&database).await;
    for n in 0..3 {
        let hub = Process::serve(&database, &[]);
        let there = cast.moved(&hub);
        there.raise(&numbered("more", 2)).await;
        assert_eq!(there.greeting().await, (epoch.clone(), 5 + 2 * n));
        match n {
            2 => assert!(hub.terminate().success()),
            _ => hub.kill(),
        }
        // As commands do beside no hub.
        run_ok(&database, &["user", "list"]);
    }
    let other = database.with_file_name("other.db");
    let (others, other_epoch) = three(&other).await;
    fs::rename(&other, &database).unwrap();
    let hub = Process::serve(&database, &[]);
    let (new, last) = others.moved(&hub).greeting().await;
    assert!(new != epoch && new != other_epoch && last >= GAP + 9, "{new} {last}");
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_another_database_is_not_read() {
    let (_folder, database) = folder();
    let (cast, _) = three(&database).await;
    let other = database.with_file_name("other.db");
    three(&other).await;
    let hub = Process::serve(&database, &[]);
    cast.moved(&hub).raise(&numbered("late", 3)).await;
    hub.kill();
    let (kept, log) = (database.with_extension("kept"), database.with_file_name("hub.db-wal"));
    fs::rename(&database, &kept).unwrap();
    fs::copy(&other, &database).unwrap();
    let bytes = fs::read(&log).unwrap();
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["user", "list"], &["check"]] {
        let output = run(&database, arguments);
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(told.contains("written by a hub on another database"), "{arguments:?}: {told}");
        assert_eq!(fs::read(&log).unwrap(), bytes, "{arguments:?}");
        assert_eq!(fs::read(&database).unwrap(), fs::read(&other).unwrap(), "{arguments:?}");
    }
    fs::rename(&kept, &database).unwrap();
    let hub = Process::serve(&database, &[]);
    assert_eq!(cast.moved(&hub).client.get("/api/tickets/").await.1["count"], 6);
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_begins_a_new_epoch() {
    let (folder, database) = folder();
    let (cast, epoch) = three(&database).await;
    let backup = folder.path().join("x.bak");
    let backup = backup.to_str().unwrap();
    run_ok(&database, &["backup", backup]);
    let hub = Process::serve(&database, &[]);
    cast.moved(&hub).raise(&numbered("lost", 5)).await;
    assert!(hub.terminate().success());
    // In another place, and in the same.
    let elsewhere = folder.path().join("restored.db");
    fs::remove_file(&database).unwrap();
    for place in [&elsewhere, &database] {
        run_ok(place, &["restore", backup]);
        let hub = Process::serve(place, &[]);
        cast.moved(&hub).all_come_back(&epoch).await;
        assert!(hub.terminate().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_dump_begins_a_new_epoch_once_for_all_nodes() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let (folder, file) = folder();
    let (from, into) = (Database::blank().await, Database::blank().await);
    let (from, into) = (from.url(), into.url());
    let settings = |url: &str| [("BELLPULL_DATABASE_URL", url.to_owned())];
    let serve = |url: &str| {
        let own = settings(url);
        Process::serve(&file, &own.each_ref().map(|(name, value)| (*name, value.as_str())))
    };
    let hub = serve(&from);
    let own = [("BELLPULL_DATABASE_URL", from.as_str())];
    let join = |name, role| Caller::join_with((&file, &own), hub.address, name, role);
    let cast = Cast { admin: join("ada", "admin"), client: join("carl", "client") };
    cast.raise(&numbered("old", 3)).await;
    let epoch = cast.greeting().await.0;
    let dump = folder.path().join("x.dump");
    let run = |url: &str, what: &str| {
        let output = command(&file)
            .envs(settings(url))
            .args([what, dump.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    run(&from, "backup");
    cast.raise(&numbered("lost", 5)).await;
    assert!(hub.terminate().success());
    run(&into, "restore");
    let (one, two) = std::thread::scope(|scope| {
        let other = scope.spawn(|| serve(&into));
        (serve(&into), other.join().unwrap())
    });
    cast.moved(&one).all_come_back(&epoch).await;
    assert_eq!(cast.moved(&one).greeting().await, cast.moved(&two).greeting().await);
    let before = cast.moved(&one).greeting().await;
    assert!(one.terminate().success() && two.terminate().success());
    let hub = serve(&into);
    assert_eq!(cast.moved(&hub).greeting().await, before);
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_begins_a_new_epoch_of_a_file() {
    let (_folder, database) = folder();
    let (cast, epoch) = three(&database).await;
    assert_eq!(run_ok(&database, &["epoch"]), epoch, "it is told, and stays");
    let hub = Process::serve(&database, &[]);
    let output = run(&database, &["epoch", "--renew"]);
    assert!(!output.status.success(), "a hub runs on the file: {output:?}");
    assert_eq!(cast.moved(&hub).greeting().await, (epoch.clone(), 3));
    assert!(hub.terminate().success());
    let renewed = run_ok(&database, &["epoch", "--renew"]);
    assert_ne!(renewed, epoch);
    assert_eq!(run_ok(&database, &["epoch"]), renewed);
    let hub = Process::serve(&database, &[]);
    assert_eq!(cast.moved(&hub).greeting().await.0, renewed);
    cast.moved(&hub).all_come_back(&epoch).await;
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_begins_a_new_epoch_under_running_nodes() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let ((_folder, file), database) = (folder(), Database::blank().await);
    let url = database.url();
    let settings = [("BELLPULL_DATABASE_URL", url.as_str())];
    let nodes = [Process::serve(&file, &settings), Process::serve(&file, &settings)];
    let join = |name, role| Caller::join_with((&file, &settings), nodes[0].address, name, role);
    let cast = Cast { admin: join("ada", "admin"), client: join("carl", "client") };
    cast.raise(&numbered("old", 3)).await;
    let epoch = cast.greeting().await.0;
    let output = command(&file).envs(settings).args(["epoch", "--renew"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let renewed = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    for node in &nodes {
        let begun = std::time::Instant::now();
        while cast.moved(node).greeting().await.0 != renewed {
            assert!(begun.elapsed() < PATIENCE, "a node does not follow");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    cast.moved(&nodes[1]).all_come_back(&epoch).await;
    assert!(nodes.into_iter().all(|node| node.terminate().success()));
}
