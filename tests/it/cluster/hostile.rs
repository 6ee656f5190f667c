//! A Redis whose answers are meant to do harm: nodes live on, and work again when it does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Shared, broker_is};
use crate::support::redis::Private;

/// What is put before every answer; nothing: the answers pass as they are.
type Injected = Arc<Mutex<Vec<u8>>>;

/// A proxy before a Redis.
async fn proxy(redis: SocketAddr, injected: Injected) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(redis).await else { continue };
            tokio::spawn(pass(client, server, Arc::clone(&injected)));
        }
    });
    address
}

async fn pass(client: TcpStream, server: TcpStream, injected: Injected) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut bytes = [0; 16_384];
    loop {
        let length = from_server.read(&mut bytes).await?;
        if length == 0 {
            return Ok(());
        }
        let first = injected.lock().unwrap().clone();
        to_client.write_all(&first).await?;
        to_client.write_all(&bytes[..length]).await?;
    }
}

#[tokio::test]
async fn answers_nested_without_end_end_no_node() {
    let Some(redis) = Private::start(&[]).await else { return };
    let Some(shared) = Shared::new(None).await else { return };
    let injected = Injected::default();
    let set = |bytes: Vec<u8>| *injected.lock().unwrap() = bytes;
    let at = proxy(([127, 0, 0, 1], redis.port()).into(), Arc::clone(&injected)).await;
    let url = format!("redis://{at}");
    let settings = [("BELLPULL_REDIS_URL", url.as_str())];
    // It also starts beside such a Redis.
    set(b"*1\r\n".repeat(3_000));
    let node = shared.process("a", &settings);
    set(Vec::new());
    broker_is(node.address, "ok").await;
    for kind in ["*1", "*2", "%1", "~1", ">1", "|1", "*?", "%?"] {
        set(format!("{kind}\r\n").repeat(30_000).into_bytes());
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        set(Vec::new());
        broker_is(node.address, "ok").await;
    }
    assert_eq!(node.terminate().code(), Some(0));
}
