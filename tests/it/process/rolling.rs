//! No request is lost to a node that restarts, or to a connection that ends as it is used: the
//! recipes of `docs/deploy` with clients that write all the while.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bellpull_load::cluster::{NodeOptions, Nodes};
use serde_json::json;
use tokio::task::JoinSet;

use super::proxies::{Proxy, caddy, haproxy, nginx};
use super::{Caller, PATIENCE};
use crate::support::process::{Process, UNLIMITED, folder, person_with};
use crate::support::services::services;

type Started = fn(&[SocketAddr], &Path, &[(&str, &str)]) -> Option<(Proxy, SocketAddr)>;

/// Raises tickets until told to stop; what was answered otherwise than with 201, and how many were
/// raised.
async fn writer(
    client: reqwest::Client,
    url: String,
    token: String,
    done: Arc<AtomicBool>,
    raised: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut refused = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let post = client.post(&url).bearer_auth(&token).json(&json!({"title": "One"}));
        match post.send().await {
            Ok(answer) if answer.status() == 201 => _ = raised.fetch_add(1, Ordering::Relaxed),
            Ok(answer) => refused.push(answer.status().to_string()),
            Err(error) => refused.push(format!("{error:?}")),
        }
    }
    refused
}

/// Restarts both nodes, one after the other, three times.
async fn nothing_is_lost(proxy: Started) {
    let Some(services) = services().await else { return };
    let unlimited = [UNLIMITED].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options = NodeOptions {
        program: Some(env!("CARGO_BIN_EXE_bellpull").into()),
        database: services.postgres.url(),
        redis: Some(services.redis.url()),
        settings: unlimited.into(),
        ..NodeOptions::default()
    };
    let mut nodes = Nodes::start(&options, 2).await.unwrap();
    let (folder, _) = folder();
    let url = services.postgres.url();
    let settings = [("BELLPULL_DATABASE_URL", url.as_str())];
    let (_, token) = person_with(&folder.path().join("none"), &settings, "ada", "client");
    let Some((_proxy, address)) = proxy(&nodes.addresses(), folder.path(), &[]) else { return };
    let (done, raised) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
        let url = format!("http://{address}/api/tickets/");
        writers.spawn(writer(client, url, token.clone(), done.clone(), Arc::clone(&raised)));
    }
    for at in [0, 1, 0, 1, 0, 1] {
        nodes[at].terminate().unwrap();
        let status = nodes[at].exited(PATIENCE).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", nodes[at].log_tail());
        nodes[at].start().await.unwrap();
        // The proxies look every second.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    done.store(true, Ordering::Relaxed);
    let refused: Vec<String> = writers.join_all().await.into_iter().flatten().collect();
    let raised = raised.load(Ordering::Relaxed);
    assert!(refused.is_empty(), "{} of {raised}: {refused:?}", refused.len());
    assert!(raised > 100, "{raised}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_loses_no_post_while_nodes_restart() {
    nothing_is_lost(nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_loses_no_post_while_nodes_restart() {
    nothing_is_lost(caddy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_loses_no_post_while_nodes_restart() {
    nothing_is_lost(haproxy).await;
}

/// The proxies' own limit is shorter than the hub's, in the same relation as in the recipes: a
/// request about each of the two limits meets no connection that is being closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_post_is_lost_at_the_idle_limit() {
    let (folder, database) = folder();
    let hub = Process::serve(&database, &[("BELLPULL_HTTP_IDLE_S", "10"), UNLIMITED]);
    let ada = Caller::join(&database, hub.address, "ada", "client");
    let changes: [(Started, &[(&str, &str)]); 3] = [
        (nginx, &[("keepalive_timeout 60s;", "keepalive_timeout 8s;")]),
        (caddy, &[("keepalive 60s", "keepalive 8s")]),
        (haproxy, &[]),
    ];
    let (mut proxies, mut clients) = (Vec::new(), JoinSet::new());
    for (proxy, changes) in changes {
        let Some((proxy, address)) = proxy(&[hub.address], folder.path(), changes) else { return };
        proxies.push(proxy);
        for at in 0..40_u64 {
            let ada = ada.moved(address);
            clients.spawn(async move {
                let wait = 7_990 + at % 20 + 2_000 * (at / 20);
                let (first, _) = ada.post("/api/tickets/", json!({"title": "One"})).await;
                tokio::time::sleep(Duration::from_millis(wait)).await;
                let (second, said) = ada.post("/api/tickets/", json!({"title": "Two"})).await;
                (first, second, said)
            });
        }
    }
    for (first, second, said) in clients.join_all().await {
        assert_eq!((first, second), (201, 201), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_gives_notice_where_another_can_take_over() {
    let Some(services) = services().await else { return };
    let options = NodeOptions {
        program: Some(env!("CARGO_BIN_EXE_bellpull").into()),
        database: services.postgres.url(),
        redis: Some(services.redis.url()),
        settings: vec![("BELLPULL_DRAIN_NOTICE_MS".to_owned(), "60000".to_owned())],
        ..NodeOptions::default()
    };
    let mut nodes = Nodes::start(&options, 2).await.unwrap();
    let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
    let ask = async |at: usize, path: &str| {
        let answer = client.get(format!("{}{path}", nodes[at].url())).send().await.unwrap();
        let closes = answer.headers().get("connection").is_some_and(|value| value == "close");
        (answer.status().as_u16(), closes)
    };
    assert_eq!(ask(0, "/readyz/").await, (200, false));
    nodes[0].terminate().unwrap();
    while ask(0, "/readyz/").await.0 == 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask(0, "/readyz/").await, (503, true));
    assert_eq!(ask(0, "/healthz/").await, (200, true), "it serves on");
    assert_eq!(ask(0, "/api/tickets/").await, (401, true), "it serves on");
    assert_eq!(ask(1, "/readyz/").await, (200, false));
    // The other one cannot hand over to one that stops: it does not wait.
    nodes[1].terminate().unwrap();
    assert_eq!(nodes[1].exited(PATIENCE).await.unwrap().code(), Some(0));
    nodes[0].kill().await.unwrap();
}
