//! Several nodes on services of their own, as the demo and the load tester start them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bellpull_load::cluster::{NodeOptions, Nodes, Proxy, Services};

use crate::support::services::services;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes of the program under test.
fn options(services: &Services) -> NodeOptions {
    NodeOptions {
        program: Some(env!("CARGO_BIN_EXE_bellpull").into()),
        database: services.postgres.url(),
        redis: Some(services.redis.url()),
        ..NodeOptions::default()
    }
}

/// Whether a request that is sent through the proxy is answered by a ready node.
async fn answers(proxy: &Proxy) -> bool {
    // Each request with a connection of its own, to the next node.
    let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
    let answer = client.get(format!("{}/readyz/", proxy.url())).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_killed_frozen_drained_and_started_again_behind_their_proxy() {
    let Some(mut services) = services().await else { return };
    let mut nodes = Nodes::start(&options(&services), 3).await.unwrap();
    let names: Vec<&str> = nodes.iter().map(|node| node.name()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let proxy = Proxy::start(any, &nodes.addresses()).await.unwrap();
    let address = nodes[0].address();
    nodes[0].kill().await.unwrap();
    assert!(nodes[0].pid().is_none() && !nodes[0].is_ready().await);
    for _ in 0..3 {
        assert!(answers(&proxy).await, "a node that is gone is skipped");
    }
    nodes[0].start().await.unwrap();
    assert_eq!(nodes[0].address(), address);
    assert!(nodes[0].is_ready().await);

    nodes[1].freeze().unwrap();
    assert!(!nodes[1].is_ready().await);
    nodes[1].wake().unwrap();
    nodes[1].until_ready().await.unwrap();

    nodes[2].terminate().unwrap();
    let status = nodes[2].exited(PATIENCE).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", nodes[2].log_tail());

    // Both services restart below the nodes, which go on.
    services.postgres.kill().await.unwrap();
    services.redis.restart().await.unwrap();
    services.postgres.resume().await.unwrap();
    nodes[0].until_ready().await.unwrap();
    nodes[1].until_ready().await.unwrap();
    assert!(answers(&proxy).await);
}
