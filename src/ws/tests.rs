//! Both halves of a session on real connections, with a stand-in for the user's actor.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bellpull_actors::domain::event::Event;
use bellpull_actors::domain::ids::{NotificationId, Seq};
use bellpull_actors::domain::inbox::{Birth, Letter};
use bellpull_actors::domain::notification::{Kind, Message};
use bellpull_actors::domain::ticket::Priority;
use bellpull_actors::port::Outlet;
use bellpull_actors::port::outlet::{Broken, Ending, Outgoing};
use bellpull_actors::session::Heard;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::timeout;

use super::outlet::WsOutlet;
use super::pace::Pace;
use super::reader::{ReadLimits, Reader};
use super::shared::{Ear, Shared};
use super::upgrade::{start_reader, take_over};
use crate::http::listen::{Connections, Listener, serve};
use crate::wire::{Dialect, Endpoint};

const PATIENCE: Duration = Duration::from_secs(10);

struct Pair {
    client: TcpStream,
    shared: Arc<Shared>,
    outlet: Box<WsOutlet>,
    heard: UnboundedReceiver<Heard>,
}

/// A connection whose buffers are as small as the system lets them be, and its two halves.
async fn pair() -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    socket2::SockRef::from(&stream).set_send_buffer_size(4_096).unwrap();
    let (ear, heard) = unbounded_channel();
    let shared = Shared::new(stream, None);
    let outlet = Box::new(WsOutlet::new(Arc::clone(&shared), Dialect::Incident));
    shared.introduce(Ear::Probe(ear));
    tokio::spawn(Reader::new(
        Arc::clone(&shared),
        Dialect::Incident,
        Endpoint::Notifications,
        limits(),
    ));
    Pair { client, shared, outlet, heard }
}

fn limits() -> ReadLimits {
    ReadLimits { message_max: 1_000, pace: Pace::per_second(20) }
}

/// Does what a user's actor does with what is heard, until the session ends.
fn act(mut outlet: Box<WsOutlet>, mut heard: UnboundedReceiver<Heard>) {
    tokio::spawn(async move {
        while let Some(heard) = heard.recv().await {
            match heard {
                Heard::Ping(timestamp) => outlet.push(Outgoing::Pong(timestamp.as_deref())),
                Heard::Bad { tag, code, message } => {
                    let (tag, message) = (tag.as_deref(), message.as_str());
                    outlet.push(Outgoing::Error { tag, code, message, retry_after_ms: None });
                }
                Heard::ProtocolPing(payload) => outlet.push(Outgoing::ProtocolPong(&payload)),
                Heard::Writable | Heard::Asked(_) | Heard::Renewed { .. } => {}
                Heard::Ended(why) => return outlet.close(why),
            }
            if let Err(broken) = outlet.flush() {
                let why = match broken {
                    Broken::TooSlow => Ending::TooSlow,
                    Broken::Gone => Ending::Closed { code: 1000 },
                };
                return outlet.close(why);
            }
        }
    });
}

fn birth(id: i64, length: usize) -> Birth {
    let message = Message {
        event: Event::from_name("approval"),
        kind: Kind::Info,
        title: "Title".to_owned(),
        body: "x".repeat(length),
        action_url: String::new(),
        metadata: serde_json::Map::new(),
        ticket: None,
        sender: None,
        priority: Priority::Low,
        created_at: jiff::Timestamp::UNIX_EPOCH,
    };
    Birth { id: NotificationId(id), seq: Seq(id), is_read: false, message: Letter::new(message) }
}

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [9, 8, 7, 6];
    let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key);
    let mut out = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..126) => out.push(0x80 | short),
        _ => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(masked);
    out
}

/// A server's frame: its first byte and its payload. `None` at the end of the stream.
async fn next_frame(client: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let read = async {
        let first = client.read_u8().await.ok()?;
        let length = match client.read_u8().await.unwrap() {
            126 => u64::from(client.read_u16().await.unwrap()),
            127 => client.read_u64().await.unwrap(),
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        client.read_exact(&mut payload).await.unwrap();
        Some((first, payload))
    };
    timeout(PATIENCE, read).await.expect("a frame or the end")
}

async fn next_text(client: &mut TcpStream) -> String {
    let (first, payload) = next_frame(client).await.unwrap();
    assert_eq!(first, 0x81, "{}", String::from_utf8_lossy(&payload));
    String::from_utf8(payload).unwrap()
}

/// The closing frame, and then the end without a reset.
async fn next_close(client: &mut TcpStream) -> (u16, String) {
    let (first, payload) = next_frame(client).await.unwrap();
    assert_eq!(first, 0x88, "{}", String::from_utf8_lossy(&payload));
    let read = timeout(PATIENCE, client.read_u8()).await.expect("the end");
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    let code = u16::from_be_bytes([payload[0], payload[1]]);
    (code, String::from_utf8(payload[2..].to_vec()).unwrap())
}

/// Pushes notifications until one flush says no; how many went before.
fn push_until_refused(outlet: &mut WsOutlet, length: usize) -> (i64, Broken) {
    for id in 1.. {
        outlet.push(Outgoing::Notification { birth: &birth(id, length), unread_count: 0 });
        if let Err(broken) = outlet.flush() {
            return (id, broken);
        }
    }
    unreachable!()
}

async fn next_heard(heard: &mut UnboundedReceiver<Heard>) -> Heard {
    timeout(PATIENCE, heard.recv()).await.expect("something heard").unwrap()
}

#[tokio::test]
async fn frames_leave_together_and_in_order_and_an_idle_session_holds_no_buffer() {
    let Pair { mut client, mut outlet, .. } = pair().await;
    outlet.push(Outgoing::Truncated { skipped: 2 });
    outlet.push(Outgoing::Ping);
    outlet.push(Outgoing::Notification { birth: &birth(7, 300), unread_count: 0 });
    assert!(outlet.waiting_bytes() > 300);
    outlet.flush().unwrap();
    assert_eq!((outlet.waiting_bytes(), outlet.held_bytes()), (0, 0));
    assert_eq!(next_text(&mut client).await, r#"{"type":"backlog_truncated","skipped":2}"#);
    assert_eq!(next_frame(&mut client).await, Some((0x89, Vec::new())));
    assert!(next_text(&mut client).await.ends_with(r#","id":7,"seq":7}"#));
}

#[tokio::test]
async fn a_reader_too_slow_gets_whole_frames_and_then_the_reason() {
    let Pair { mut client, mut outlet, .. } = pair().await;
    let (count, broken) = push_until_refused(&mut outlet, 2_000);
    assert_eq!(broken, Broken::TooSlow);
    assert!(count > 256, "{count}");
    outlet.close(Ending::TooSlow);
    for id in 1..=count {
        let (first, payload) = next_frame(&mut client).await.unwrap();
        if first == 0x88 {
            assert_eq!(payload[..2], 4413_u16.to_be_bytes());
            assert!(id > 1, "what was out before came before");
            assert_eq!(next_frame(&mut client).await, None);
            return;
        }
        let text = String::from_utf8(payload).unwrap();
        assert!(text.ends_with(&format!(r#","id":{id},"seq":{id}}}"#)), "{text}");
    }
    panic!("what waited was not to be sent");
}

#[tokio::test]
async fn the_bytes_that_wait_are_bounded_too() {
    let Pair { client: _client, mut outlet, .. } = pair().await;
    let (count, broken) = push_until_refused(&mut outlet, 100_000);
    assert_eq!(broken, Broken::TooSlow);
    assert!((10..=32).contains(&count), "{count}");
}

#[tokio::test]
async fn a_long_backlog_at_once_is_not_too_slow_but_what_is_added_to_it_may_be() {
    let Pair { mut client, mut outlet, mut heard, .. } = pair().await;
    for id in 1..=500 {
        outlet.push(Outgoing::Notification { birth: &birth(id, 4_000), unread_count: 0 });
    }
    outlet.flush().unwrap();
    for id in 501..=600 {
        outlet.push(Outgoing::Notification { birth: &birth(id, 100), unread_count: 0 });
        outlet.flush().unwrap();
    }
    // Whenever the connection takes more, the actor is told so.
    let writer = tokio::spawn(async move {
        while outlet.waiting_bytes() > 0 {
            assert!(matches!(next_heard(&mut heard).await, Heard::Writable));
            outlet.flush().unwrap();
        }
        assert_eq!(outlet.held_bytes(), 0);
        outlet
    });
    for id in 1..=600 {
        let text = next_text(&mut client).await;
        assert!(text.ends_with(&format!(r#","id":{id},"seq":{id}}}"#)), "{text}");
    }
    let mut outlet = writer.await.unwrap();
    let (count, broken) = push_until_refused(&mut outlet, 2_000);
    assert_eq!(broken, Broken::TooSlow);
    assert!(count > 256, "{count}");
}

#[tokio::test]
async fn that_the_connection_takes_more_is_told_once_there_is_somebody_to_tell() {
    let Pair { mut client, shared: first, .. } = pair().await;
    drop(first);
    next_frame(&mut client).await; // The outlet was dropped with the pair.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let shared = Shared::new(stream, None);
    assert!(shared.begin_waiting());
    shared.end_waiting();
    let (ear, mut heard) = unbounded_channel();
    shared.introduce(Ear::Probe(ear));
    assert!(matches!(next_heard(&mut heard).await, Heard::Writable));
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn an_outlet_that_is_dropped_says_restart() {
    let Pair { mut client, outlet, .. } = pair().await;
    let actor = tokio::spawn(async move {
        let _outlet = outlet;
        panic!("the actor's end (this panic belongs to the test)");
    });
    assert!(actor.await.unwrap_err().is_panic());
    let (code, reason) = next_close(&mut client).await;
    assert_eq!(code, 1012);
    let reason: serde_json::Value = serde_json::from_str(&reason).unwrap();
    assert!(reason["retry_after_ms"].as_u64().unwrap() < 2_000);
}

#[tokio::test]
async fn a_client_that_keeps_sending_still_reads_why_it_was_closed() {
    let Pair { mut client, shared, outlet, .. } = pair().await;
    let weak = Arc::downgrade(&shared);
    drop(shared);
    outlet.close(Ending::TokenEnded { reason: "token expired" });
    for _ in 0..20 {
        client.write_all(&frame(0x81, &[b'x'; 900])).await.unwrap();
    }
    assert_eq!(next_close(&mut client).await, (4401, "token expired".to_owned()));
    // The client's end is the connection's end.
    drop(client);
    let freed = async {
        while weak.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(3), freed).await.unwrap();
}

#[tokio::test]
async fn a_client_that_never_leaves_is_left_after_a_while() {
    let Pair { client, shared, outlet, .. } = pair().await;
    let weak = Arc::downgrade(&shared);
    drop(shared);
    outlet.close(Ending::Silent);
    let freed = async {
        while weak.upgrade().is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, freed).await.unwrap();
    drop(client);
}

#[tokio::test]
async fn a_client_that_is_gone_is_noticed() {
    let Pair { client, mut outlet, mut heard, .. } = pair().await;
    drop(client);
    let heard = next_heard(&mut heard).await;
    assert!(matches!(heard, Heard::Ended(Ending::Closed { code: 1000 })), "{heard:?}");
    let (_, broken) = push_until_refused(&mut outlet, 2_000);
    assert_eq!(broken, Broken::Gone);
}

#[tokio::test]
async fn a_conversation() {
    let Pair { mut client, outlet, heard, .. } = pair().await;
    act(outlet, heard);
    let said = [
        frame(0x01, br#"{"type":"ping","#),
        frame(0x89, b"still there?"),
        frame(0x80, br#""timestamp":12.50}"#),
        frame(0x82, b"\xff"),
        frame(0x81, b"{}"),
        frame(0x88, &[&4999_u16.to_be_bytes()[..], b"bye"].concat()),
        frame(0x81, b"never heard"),
    ];
    // Cut where nothing ends.
    for piece in said.concat().chunks(7) {
        client.write_all(piece).await.unwrap();
    }
    assert_eq!(next_frame(&mut client).await, Some((0x8a, b"still there?".to_vec())));
    assert_eq!(next_text(&mut client).await, r#"{"type":"pong","timestamp":12.50}"#);
    assert!(next_text(&mut client).await.contains(r#""code":"binary_not_supported""#));
    assert!(next_text(&mut client).await.contains(r#""code":"missing_type""#));
    assert_eq!(next_close(&mut client).await, (4999, String::new()));
}

#[tokio::test]
async fn what_ends_a_session() {
    let unmasked = vec![0x81, 2, b'{', b'}'];
    let long = frame(0x81, &[b'x'; 1_001]);
    let bad = frame(0x81, b"?").repeat(32);
    let fast = frame(0x8a, b"").repeat(101);
    for (bytes, code) in [
        (unmasked, 1002),
        (frame(0x81, b"\xff"), 1007),
        (long[..4].to_vec(), 1009),
        (bad, 4400),
        (fast, 4429),
        (frame(0x88, b""), 1000),
    ] {
        let Pair { mut client, outlet, heard, .. } = pair().await;
        act(outlet, heard);
        client.write_all(&bytes).await.unwrap();
        loop {
            let (first, payload) = next_frame(&mut client).await.unwrap();
            if first == 0x88 {
                assert_eq!(payload[..2], u16::to_be_bytes(code), "{code}");
                break;
            }
            assert_eq!((first, code), (0x81, 4400), "errors come before an abuse only");
        }
    }
}

#[tokio::test]
async fn silence_is_counted_in_seconds_and_broken_by_any_byte() {
    let Pair { mut client, mut outlet, mut heard, .. } = pair().await;
    assert_eq!(outlet.silent_s(), 0);
    let silent = async {
        while outlet.silent_s() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, silent).await.unwrap();
    client.write_all(&frame(0x89, b"x")).await.unwrap();
    assert!(matches!(next_heard(&mut heard).await, Heard::ProtocolPing(_)));
    assert_eq!(outlet.silent_s(), 0);
    outlet.push(Outgoing::ProtocolPong(b"x"));
    outlet.flush().unwrap();
    assert_eq!(next_frame(&mut client).await, Some((0x8a, b"x".to_vec())));
}

type Opened = (Arc<Shared>, Box<WsOutlet>, Vec<u8>);

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Opens sockets for whoever comes.
fn router(ears: UnboundedSender<Opened>) -> Router {
    let take = move |request: axum::extract::Request| async move {
        let mut request = request.map(drop);
        let upgraded = hyper::upgrade::on(&mut request);
        let (response, _) = fastwebsockets::upgrade::upgrade(&mut request).unwrap();
        let held = request.extensions().get().map(Connections::hold);
        tokio::spawn(async move {
            let parts = take_over(upgraded).await.expect("a TCP connection");
            let shared = Shared::new(parts.io.into_inner(), held);
            let outlet = Box::new(WsOutlet::new(Arc::clone(&shared), Dialect::Incident));
            ears.send((shared, outlet, parts.read_buf.into())).unwrap();
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
    tokio::spawn(serve(listener, router(ears), stopped));

    let mut client = TcpStream::connect(address).await.unwrap();
    let ping = frame(0x81, br#"{"type":"ping","timestamp":1}"#);
    let (begun, rest) = ping.split_at(9);
    client.write_all(&[HANDSHAKE, begun].concat()).await.unwrap();
    let (shared, outlet, begun) = timeout(PATIENCE, opened.recv()).await.unwrap().unwrap();
    let (ear, heard) = unbounded_channel();
    shared.introduce(Ear::Probe(ear));
    act(outlet, heard);
    start_reader(shared, Dialect::Incident, Endpoint::Notifications, limits(), begun);
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

/// Not a test of right and wrong: `cargo test --release --lib -- --ignored --nocapture rss`.
#[tokio::test]
#[ignore = "prints a figure; needs many file descriptors"]
async fn rss_of_idle_sessions() {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), 10_000).unwrap();
    let address = listener.local_addr().unwrap();
    let (ears, mut opened) = unbounded_channel();
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(serve(listener, router(ears), stopped));
    let count: u64 = 5_000;
    let mut kept = Vec::with_capacity(10_000);
    let mut clients = Vec::with_capacity(10_000);
    let (ear, _heard) = unbounded_channel();
    let mut before = 0;
    for index in 0..count + 500 {
        if index == 500 {
            before = resident_bytes();
        }
        let mut client = std::net::TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut client, HANDSHAKE).unwrap();
        clients.push(client);
        let (shared, mut outlet, begun) = opened.recv().await.unwrap();
        shared.introduce(Ear::Probe(ear.clone()));
        start_reader(shared, Dialect::Incident, Endpoint::Notifications, limits(), begun);
        outlet.push(Outgoing::Notification { birth: &birth(1, 300), unread_count: 0 });
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
