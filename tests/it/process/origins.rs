//! What a page of another origin can make the log say.

use std::fs;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;
use crate::support::process::{Process, folder};

async fn refused_from(hub: &Process, origin: &str) {
    let mut stream = TcpStream::connect(hub.address).await.unwrap();
    let request = format!(
        "GET /ws/notifications/?token=x HTTP/1.1\r\nHost: hub.example\r\nOrigin: {origin}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_origins_fill_no_log_and_are_counted() {
    const TRIES: u64 = 500;
    let (_folder, database) = folder();
    let log = database.with_file_name("log");
    let hub = Process::serve_logged(&database, &[], &log);
    for n in 0..TRIES {
        refused_from(&hub, &format!("https://evil{n}.example")).await;
    }
    let lines = |log: &str| log.lines().filter(|line| line.contains("Origin")).count();
    let so_far = lines(&fs::read_to_string(&log).unwrap());
    assert!((1..=60).contains(&so_far), "{so_far} lines of {TRIES}");
    // The next line that is written says how many were not.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    refused_from(&hub, "https://last.example").await;
    assert!(hub.terminate().success());
    let log = fs::read_to_string(&log).unwrap();
    let unsaid: u64 = log
        .lines()
        .filter_map(|line| {
            line.split_once("suppressed=")?.1.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum();
    let said = u64::try_from(lines(&log)).unwrap();
    assert_eq!(said + unsaid, TRIES + 1, "{log}");
}
