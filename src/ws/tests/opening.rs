//! From a handshake to two halves; and the size of an idle session.

use axum::Router;
use axum::routing::get;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::super::take_over::take_over;
use super::super::upgrade::start_reader;
use super::*;
use bellpull_edge::listen::{Connections, Listener, NoSockets, serve};

type Opened = (Arc<Shared>, Box<WsOutlet>, Vec<u8>);

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Opens sockets for all requests.
fn router(ears: UnboundedSender<Opened>) -> Router {
    let take = move |request: axum::extract::Request| async move {
        let mut request = request.map(drop);
        let upgraded = hyper::upgrade::on(&mut request);
        let (response, _) = fastwebsockets::upgrade::upgrade(&mut request).unwrap();
        let held = request.extensions().get().map(Connections::hold);
        tokio::spawn(async move {
            let (stream, begun) = take_over(upgraded).await.expect("a TCP connection");
            let shared = Shared::new(stream, held, read_state());
            let outlet = WsOutlet::new(Arc::clone(&shared), Dialect::Incident, Vec::new());
            ears.send((shared, Box::new(outlet), begun)).unwrap();
        });
        response.map(axum::body::Body::new)
    };
    Router::new().route("/", get(take))
}

#[tokio::test]
async fn a_connection_leaves_hyper_with_what_was_read_of_it() {
    let (ears, mut opened) = unbounded_channel();
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), 10).unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), listener.connections());
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(serve(listener, router(ears), NoSockets, stopped));

    let mut client = TcpStream::connect(address).await.unwrap();
    let ping = frame(0x81, br#"{"type":"ping","timestamp":1}"#);
    let (begun, rest) = ping.split_at(9);
    client.write_all(&[HANDSHAKE, begun].concat()).await.unwrap();
    let (shared, outlet, begun) = timeout(PATIENCE, opened.recv()).await.unwrap().unwrap();
    let (sink, heard) = unbounded_channel();
    shared.bind_session(MessageSink::Probe(sink), 1);
    act(outlet, heard);
    start_reader(reader(&shared, &Accounts::gather().await), begun);
    drop(shared);
    client.write_all(rest).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    assert_eq!(next_text(&mut client).await, r#"{"type":"pong","timestamp":1}"#);
    let settled = async {
        while connections.open() != 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, settled).await.expect("one connection, counted once");
    client.write_all(&frame(0x88, b"")).await.unwrap();
    assert_eq!(next_close(&mut client).await.0, 1000);
    drop(client);
    let gone = async {
        while connections.open() != 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("no connection");
}

/// A measurement: `cargo test --release --lib -- --ignored --nocapture rss`.
#[tokio::test]
#[ignore = "prints a figure; needs many file descriptors"]
async fn rss_of_idle_sessions() {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), 10_000).unwrap();
    let address = listener.local_addr().unwrap();
    let (ears, mut opened) = unbounded_channel();
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(serve(listener, router(ears), NoSockets, stopped));
    let count: u64 = 5_000;
    let mut kept = Vec::with_capacity(10_000);
    let mut clients = Vec::with_capacity(10_000);
    let (sink, _heard) = unbounded_channel();
    let mut before = 0;
    let accounts = Accounts::gather().await;
    for index in 0..count + 500 {
        if index == 500 {
            before = resident_bytes();
        }
        let mut client = std::net::TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut client, HANDSHAKE).unwrap();
        clients.push(client);
        let (shared, mut outlet, begun) = opened.recv().await.unwrap();
        shared.bind_session(MessageSink::Probe(sink.clone()), 1);
        start_reader(reader(&shared, &accounts), begun);
        outlet.push(Outgoing::Notification { entry: &entry(1, 300), unread_count: 0 });
        outlet.flush().unwrap();
        kept.push(outlet);
        tokio::task::yield_now().await;
    }
    println!("{} bytes a session", (resident_bytes() - before) / count);
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}
