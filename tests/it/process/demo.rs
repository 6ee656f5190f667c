//! `demo --nodes`: a node is killed in the middle of the story, and every user's inbox is compared.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::cli::refused;
use crate::support::postgres::{self, Database};
use crate::support::process::{command, folder, run};
use crate::support::redis;
use crate::support::skip::skipped;

/// The output of a demo that must go well; `None` if its programs are not installed.
fn played(database: &Path, arguments: &[&str]) -> Option<String> {
    let output = run(database, &[&["demo", "--once", "--nodes"], arguments].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("apt-get install") {
        skipped(&stderr);
        return None;
    }
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// What must stand in the output, in this order.
fn expect(output: &str, lines: &[&str]) {
    let mut rest = output;
    for line in lines {
        let Some((_, after)) = rest.split_once(line) else {
            panic!("{line:?} is missing, or comes too early:\n{output}")
        };
        rest = after;
    }
}

#[test]
fn a_node_of_three_is_killed_and_no_user_misses_anything() {
    let (_folder, database) = folder();
    let Some(output) = played(&database, &["3"]) else { return };
    expect(
        &output,
        &[
            "Starting PostgreSQL, Redis and 3 nodes",
            "ada_admin    on b",
            "John Client raises a ticket → New  (HTTP 201 from node c",
            "→ ada_admin    on b ticket_created",
            "node b is killed",
            "ada_admin    loses the connection; knows all up to seq 1",
            "John Client is not content → Rejected",
            "Ada Admin is back, on node c now, and asks for what follows seq 1",
            "↺ ada_admin    on c work_finished",
            "↺ ada_admin    on c ticket_rejected",
            "node b starts again",
            "John Client is content → Approved  (HTTP 200 from node b",
            "compared with the inboxes: of 18 notifications, none was lost",
        ],
    );
    assert!(!database.exists(), "the caller's own database is not touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_services_are_used_and_a_second_demo_finds_its_users() {
    if postgres::server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let Some(redis) = redis::Private::start(&[]).await else { return };
    let database = Database::create().await;
    let (_folder, file) = folder();
    let (url, redis) = (database.url(), redis.url());
    for _ in 0..2 {
        let output = played(&file, &["2", "--database", &url, "--redis", &redis]).unwrap();
        expect(&output, &["Starting 2 nodes", "root_admin   loses", "of 18 notifications"]);
    }
    let mut connection = database.connect().await;
    let counts = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM tickets)";
    let counts: (i64, i64) = sqlx::query_as(counts).fetch_one(&mut connection).await.unwrap();
    assert_eq!(counts, (4, 2));
}

#[test]
fn nothing_outlives_a_demo_that_is_killed() {
    let (folder, database) = folder();
    // PostgreSQL, which does not run as root, must reach its own folder in this one.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    let mut demo = command(&database)
        .args(["demo", "--nodes", "2", "--listen", "127.0.0.1:0"])
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    let pid = |line: String| line.split_once("  process ")?.1.parse().ok();
    let pids: Vec<u32> = lines.filter_map(pid).take(2).collect();
    if pids.is_empty() {
        let mut stderr = String::new();
        demo.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        demo.wait().unwrap();
        assert!(stderr.contains("apt-get install"), "{stderr}");
        return skipped(&stderr);
    }
    assert!(pids.iter().all(|pid| is_running(*pid)));
    demo.kill().unwrap();
    demo.wait().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while pids.iter().any(|pid| is_running(*pid)) {
        assert!(Instant::now() < deadline, "{pids:?} are still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_running(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn what_does_not_go_with_several_nodes_is_refused() {
    let (_folder, database) = folder();
    let (postgres, redis) = ("postgres://u@127.0.0.1:1/d", "redis://127.0.0.1:1");
    for (arguments, wanted) in [
        (&["0"][..], "--nodes <N>': 0 is not in 1..=9"),
        (&["10"], "--nodes <N>': 10 is not in 1..=9"),
        (&["3", "--database", postgres], "--redis: missing: --nodes needs --database and --redis"),
        (&["3", "--redis", redis], "--database: missing: --nodes needs --database and --redis"),
        (&["3", "--database", "sqlite://x.db", "--redis", redis], "--database: several nodes need"),
        (&["3", "--node", "a"], "--node: the nodes of --nodes have names of their own"),
        (&["3", "--node-url", "http://a"], "node_url: it names one node"),
    ] {
        let line = refused(&database, 2, &[&["demo", "--nodes"], arguments].concat());
        assert!(line.contains(wanted), "{arguments:?}: {line}");
    }
}
