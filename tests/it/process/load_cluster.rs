//! The load tester on a cluster: two nodes on one PostgreSQL and one Redis.

use serde_json::Value;

use crate::support::postgres::{self, Database};
use crate::support::process::{Process, UNLIMITED, folder, run};
use crate::support::redis;
use crate::support::skip::skipped;

const SECRET: &str = "a secret that another issuer signs with, too";

/// Runs a workload on both nodes; returns its row, without faults.
fn measured(nodes: &[Process; 2], arguments: &[&str]) -> Value {
    let (_folder, database) = folder();
    let joined = |each: fn(&Process) -> String| nodes.each_ref().map(each).join(",");
    let urls = joined(|node| format!("ws://{}", node.address));
    let pids = joined(|node| node.pid().to_string());
    let cluster = ["--url", &urls, "--pid", &pids, "--jwt-secret", SECRET, "--json"];
    let output = run(&database, &[&["load"], arguments, &cluster].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["rows"][0]["server"], urls);
    result["rows"][0].clone()
}

/// A number of each node.
fn shares(row: &Value, key: &str) -> Vec<u64> {
    let nodes = row["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node[key].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn users_and_requests_are_distributed_over_the_nodes() {
    if postgres::server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let Some(redis) = redis::server() else { return };
    let database = Database::blank().await;
    let (_folder, file) = folder();
    let url = database.url();
    let settings = [
        ("BELLPULL_DATABASE_URL", url.as_str()),
        ("BELLPULL_REDIS_URL", redis.as_str()),
        ("BELLPULL_JWT_SECRET", SECRET),
        ("BELLPULL_AUTH_AUTO_PROVISION", "true"),
        UNLIMITED,
    ];
    let nodes = [(); 2].map(|()| Process::serve(&file, &settings));
    let measured = tokio::task::spawn_blocking(move || {
        let row = measured(&nodes, &["fan-out", "--users", "30", "--rounds", "4", "--burst", "3"]);
        assert_eq!(shares(&row, "sockets"), [15, 15]);
        assert_eq!(shares(&row, "frames"), [60, 60]);
        let row = measured(&nodes, &["tickets", "--lives", "8", "--users", "101..112"]);
        assert_eq!(shares(&row, "frames").iter().sum::<u64>(), 8 * 14, "{row}");
        assert!(shares(&row, "frames").iter().all(|frames| *frames > 0), "{row}");
        let line = ["replay", "--users", "201..220", "--backlog", "12", "--processes", "2"];
        let row = measured(&nodes, &line);
        assert_eq!(shares(&row, "frames"), [120, 120], "{row}");
        let line = ["mixed", "--for", "2", "--users", "301..320", "--staff", "8"];
        let row = measured(&nodes, &[&line[..], &["--returns", "4"]].concat());
        assert_eq!(shares(&row, "sockets").iter().sum::<u64>(), 20, "{row}");
        let row = measured(&nodes, &["connect", "--users", "401..420"]);
        assert_eq!(shares(&row, "sockets"), [10, 10], "{row}");
        for node in nodes {
            assert!(node.terminate().success());
        }
    });
    measured.await.unwrap();
}
