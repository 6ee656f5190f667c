//! A worker between pipes, and a server of canned bytes.

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::frame::{ACCEPT, server_text};
use crate::mark::Mark;
use crate::pipe::{LoadUser, Node, Ready};

const RUN: u32 = 7;

/// The server's bytes after a socket's request.
type Served = Box<dyn Fn(&mut TcpStream, &str) + Send>;

/// Runs a worker with one socket for each participant against such a server, and these commands
/// after the setup; returns its messages up to its tally.
fn worked(participants: usize, ready: Ready, served: Served, commands: Vec<Command>) -> Vec<Event> {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let node =
        |ip: &str| Node { address: format!("{ip}:{port}").parse().unwrap(), host: ip.into() };
    let setup = Setup {
        nodes: vec![node("127.0.0.1"), node("127.0.0.2")],
        earlier: 0,
        path: "/{user}?t={token}".into(),
        headers: vec!["X-User: {user}".into()],
        subscribe: None,
        ready,
        participants: (0..participants)
            .map(|n| LoadUser { id: n.to_string(), token: format!("t{n}") })
            .collect(),
        sources: vec!["127.0.0.3".parse().unwrap()],
        run: RUN,
        has_positions: true,
        are_marks_ordered: false,
        are_frames_reported: false,
        read_wait_ns: 0,
    };
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map(Result::unwrap) {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            let request = String::from_utf8(request).unwrap();
            let user = request.split("X-User: ").nth(1).unwrap().lines().next().unwrap();
            assert!(request.starts_with(&format!("GET /{user}?t=t{user}")), "{request}");
            assert_eq!(stream.peer_addr().unwrap().ip().to_string(), "127.0.0.3");
            let node = stream.local_addr().unwrap().ip();
            assert!(request.contains(&format!("Host: {node}\r\n")), "{request}");
            served(&mut stream, &request);
            kept.push(stream);
        }
    });
    let (input, mut commands_out) = std::io::pipe().unwrap();
    let (events_in, output) = std::io::pipe().unwrap();
    let worker = std::thread::spawn(move || run(BufReader::new(input), output));
    let all = std::iter::once(Command::Setup(Box::new(setup))).chain(commands);
    let mut events = BufReader::new(events_in).lines();
    let mut said = Vec::new();
    for command in all {
        let line = serde_json::to_string(&command).unwrap();
        writeln!(commands_out, "{line}").unwrap();
        let is_over = |event: &Event| match command {
            Command::Connect { .. } => matches!(event, Event::Connected),
            Command::Expect(_) => matches!(event, Event::Reached { .. }),
            Command::Reset => matches!(event, Event::Tally(_)),
            Command::Setup(_) | Command::Disconnect | Command::Return(_) => true,
        };
        loop {
            let event = serde_json::from_str(&events.next().unwrap().unwrap()).unwrap();
            let was_last = is_over(&event);
            said.push(event);
            if was_last {
                break;
            }
        }
    }
    drop(commands_out);
    worker.join().unwrap().unwrap();
    said
}

fn tally(said: Vec<Event>) -> Tally {
    match said.into_iter().next_back() {
        Some(Event::Tally(tally)) => *tally,
        other => panic!("no tally but {other:?}"),
    }
}

fn upgrade() -> Vec<u8> {
    format!("HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n").into_bytes()
}

fn notification(n: u64, sent_ns: u64, seq: u64) -> Vec<u8> {
    let message = Mark { run: RUN, n, sent_ns }.message(400);
    server_text(format!(r#"{{"message":"{message}","seq":{seq}}}"#).as_bytes())
}

fn connect() -> Command {
    Command::Connect { pace: Pace::Closed(2), backlog: 0 }
}

#[test]
fn frames_are_counted_dated_and_checked_however_they_are_cut() {
    let sent_ns = now_ns() - 5_000_000;
    let served = move |stream: &mut TcpStream, _: &str| {
        let mut bytes = upgrade();
        bytes.extend(server_text(b"{\"hello\":1}"));
        for seq in [4, 5, 7, 7, 6] {
            bytes.extend(notification(seq, sent_ns, seq));
        }
        let other = Mark { run: RUN + 1, n: 0, sent_ns };
        bytes.extend(server_text(other.text().as_bytes()));
        for byte in bytes.chunks(7) {
            stream.write_all(byte).unwrap();
        }
    };
    let commands = vec![connect(), Command::Expect(12), Command::Reset];
    let tally = tally(worked(3, Ready::Frame("hello".into()), Box::new(served), commands));
    assert_eq!((tally.open, tally.received, tally.frames.count()), (3, 12, 12));
    assert!(tally.frames.ms(0.5) >= 5.0 && tally.ready.ms(0.5) >= tally.handshake.ms(0.5));
    let faults = &tally.faults;
    assert_eq!((faults.gaps, faults.doubles, faults.reorders), (0, 3, 3), "{faults:?}");
    assert!((1200..1400).contains(&(tally.bytes / 4)), "{}", tally.bytes);
}

#[test]
fn sockets_are_distributed_over_nodes_and_return_to_the_next_one() {
    let served = |stream: &mut TcpStream, _: &str| {
        stream.write_all(&upgrade()).unwrap();
        let seq = 1 + u64::from(stream.local_addr().unwrap().ip().to_string() == "127.0.0.2");
        stream.write_all(&notification(seq, 0, seq)).unwrap();
    };
    let frames = |tally: &Tally| tally.nodes.iter().map(|node| node.received).collect::<Vec<_>>();
    let open = |tally: &Tally| tally.nodes.iter().map(|node| node.open).collect::<Vec<_>>();
    let mut commands = vec![connect(), Command::Expect(3), Command::Reset];
    let said = worked(3, Ready::Upgraded, Box::new(served), commands.clone());
    let first = tally(said);
    assert_eq!((open(&first), frames(&first)), (vec![2, 1], vec![2, 1]));

    commands.extend([Command::Return(1), Command::Expect(1), Command::Reset]);
    let returned = tally(worked(3, Ready::Upgraded, Box::new(served), commands));
    assert_eq!((open(&returned), frames(&returned)), (vec![1, 2], vec![0, 1]));
    let mut all = first;
    all.add(&returned);
    assert_eq!((open(&all), frames(&all)), (vec![3, 3], vec![2, 2]));
}

#[test]
fn who_is_turned_away_or_thrown_out_is_counted_with_the_reason() {
    let refused = |stream: &mut TcpStream, _: &str| {
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").unwrap();
    };
    let said = worked(2, Ready::Upgraded, Box::new(refused), vec![connect(), Command::Reset]);
    let faults = tally(said).faults;
    assert_eq!((faults.refused, faults.reasons["HTTP/1.1 403 Forbidden"]), (2, 2));

    let liar = |stream: &mut TcpStream, _: &str| {
        stream.write_all(b"HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: no\r\n\r\n").unwrap();
    };
    let said = worked(1, Ready::Upgraded, Box::new(liar), vec![connect(), Command::Reset]);
    assert_eq!(tally(said).faults.refused, 1);

    let ended = |stream: &mut TcpStream, _: &str| {
        let mut bytes = upgrade();
        bytes.extend(notification(0, 0, 1));
        bytes.extend([0x88, 6, 0x11, 0x3d]);
        bytes.extend(b"slow");
        stream.write_all(&bytes).unwrap();
    };
    let commands = vec![connect(), Command::Expect(1), Command::Reset];
    let tally = tally(worked(1, Ready::Upgraded, Box::new(ended), commands));
    assert_eq!((tally.open, tally.faults.ended), (0, 1));
    assert_eq!(tally.faults.reasons["closed with 4413: slow"], 1);
}

#[test]
fn a_ping_is_answered_and_a_reconnect_names_its_last_position() {
    let served = |stream: &mut TcpStream, request: &str| {
        stream.write_all(&upgrade()).unwrap();
        stream.write_all(&[0x89, 2, b'h', b'i']).unwrap();
        let mut pong = [0; 8];
        stream.read_exact(&mut pong).unwrap();
        assert_eq!(pong, [0x8a, 0x82, 0, 0, 0, 0, b'h', b'i']);
        let next = if request.contains("/0?t=t0&since=9 ") { 10 } else { 9 };
        stream.write_all(&notification(next, 0, next)).unwrap();
    };
    let commands =
        vec![connect(), Command::Expect(1), Command::Return(1), Command::Expect(1), Command::Reset];
    let tally = tally(worked(1, Ready::Upgraded, Box::new(served), commands));
    assert_eq!((tally.open, tally.received, tally.ready.count()), (1, 2, 2));
    assert!(tally.faults.is_clean(), "{:?}", tally.faults);
}
