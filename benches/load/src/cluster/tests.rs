//! Services and a proxy that are stopped, killed and cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A server that answers each byte with its own.
async fn server(byte: u8) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut all = tokio::task::JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            all.spawn(async move {
                while stream.read_u8().await.is_ok() {
                    stream.write_u8(byte).await.unwrap();
                }
            });
        }
    });
    (address, serving)
}

/// A connection through the proxy, and which server it has.
async fn connect(proxy: &Proxy) -> (TcpStream, u8) {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_u8(0).await.unwrap();
    let server = stream.read_u8().await.unwrap();
    (stream, server)
}

#[tokio::test]
async fn connections_go_round_and_skip_a_node_that_is_gone_or_out_of_turn() {
    let (a, first) = server(0).await;
    let (b, _second) = server(1).await;
    let (c, _third) = server(2).await;
    let proxy = Proxy::start(ANY, &[a, b, c]).await.unwrap();
    let mut open = Vec::new();
    for wanted in [0, 1, 2, 0] {
        let (stream, server) = connect(&proxy).await;
        assert_eq!(server, wanted);
        let node = proxy.node_of(stream.local_addr().unwrap());
        assert_eq!(node, Some(usize::from(wanted)));
        open.push(stream);
    }
    assert_eq!([0, 1, 2].map(|node| proxy.connections(node)), [2, 1, 1]);
    first.abort();
    let _ = first.await;
    proxy.set_in_turn(1, false);
    for _ in 0..3 {
        assert_eq!(connect(&proxy).await.1, 2);
    }
}

#[tokio::test]
async fn one_nodes_connections_are_cut_and_the_others_stay() {
    let (a, _first) = server(0).await;
    let (b, _second) = server(1).await;
    let proxy = Proxy::start(ANY, &[a, b]).await.unwrap();
    let (mut cut, _) = connect(&proxy).await;
    let (mut stays, _) = connect(&proxy).await;
    proxy.cut(0);
    assert!(cut.read_u8().await.is_err());
    stays.write_u8(0).await.unwrap();
    assert_eq!(stays.read_u8().await.unwrap(), 1);
    let after = connect(&proxy).await;
    assert_eq!(after.1, 0, "it is cut once, and not out of turn");
    drop(proxy);
    assert!(stays.read_u8().await.is_err(), "the proxy's connections end with it");
}

/// `None`: the programs are not installed. The whole-system tests say that they skip.
async fn services() -> Option<Services> {
    if programs::postgres().is_err() || programs::redis().is_err() {
        return None;
    }
    Some(Services::start(ServicesOptions { is_durable: false }).await.unwrap())
}

fn is_running(pid: u32) -> bool {
    PathBuf::from(format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn services_are_killed_and_restarted_on_their_ports_and_leave_nothing() {
    let Some(mut services) = services().await else { return };
    let urls = (services.postgres.url(), services.redis.url());
    let pid = services.postgres.pid().unwrap();
    services.postgres.kill().await.unwrap();
    services.redis.kill().await.unwrap();
    assert!(!is_running(pid));
    assert!(TcpStream::connect(services.redis.address()).await.is_err());
    services.postgres.resume().await.unwrap();
    services.redis.resume().await.unwrap();
    services.postgres.restart().await.unwrap();
    services.redis.restart().await.unwrap();
    for _ in 0..2 {
        let url = services.postgres.empty_database("schedule").await.unwrap();
        assert!(url.ends_with("/schedule"), "{url}");
    }
    assert_eq!((services.postgres.url(), services.redis.url()), urls);
    let pids = [services.postgres.pid().unwrap(), services.redis.pid().unwrap()];
    let folder = services.folder().to_owned();
    assert!(pids.into_iter().all(is_running) && folder.exists());
    drop(services);
    assert!(!pids.into_iter().any(is_running) && !folder.exists());
}

#[tokio::test]
async fn a_node_that_does_not_start_shows_its_log() {
    let options = NodeOptions { program: Some("/bin/ls".into()), ..NodeOptions::default() };
    let error = Nodes::start(&options, 1).await.unwrap_err().to_string();
    assert!(error.starts_with("node a: it ended (exit status: 2)\n"), "{error}");
    assert!(error.contains("'serve'"), "{error}");
}
