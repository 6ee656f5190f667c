//! Many sockets in one thread on one epoll loop, which only count frames: the tool takes as little
//! as possible of the cores that it shares with the hub.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use bellpull_load::frame::{self, KEY, Kind};
use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// A text that a notification contains, and a greeting does not.
const NOTIFICATION: &[u8] = b"\"notification_type\"";
/// The time limit of every operation.
const PATIENCE: Duration = Duration::from_secs(60);

/// The sockets.
pub struct Crowd {
    poll: Poll,
    sockets: Vec<Socket>,
    buffer: Vec<u8>,
}

struct Socket {
    stream: TcpStream,
    /// The bytes of an incomplete frame.
    left: Vec<u8>,
    is_upgraded: bool,
    /// Frames of notifications.
    received: usize,
}

impl Crowd {
    /// Requests a socket at each of these paths; the answers are read with the frames.
    pub fn connect<'a>(hub: SocketAddr, paths: impl IntoIterator<Item = &'a str>) -> Self {
        let poll = Poll::new().expect("a poll");
        let sockets = paths.into_iter().enumerate().map(|(index, path)| {
            let stream = std::net::TcpStream::connect(hub).expect("a connection");
            stream.set_nodelay(true).expect("no delay");
            // No port stays reserved after it is closed: there would be thousands of them.
            let linger = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            linger.expect("no linger");
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {hub}\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: {KEY}\r\n\r\n"
            );
            (&stream).write_all(request.as_bytes()).expect("a request");
            stream.set_nonblocking(true).expect("a socket that does not wait");
            let mut stream = TcpStream::from_std(stream);
            let registry = poll.registry();
            registry.register(&mut stream, Token(index), Interest::READABLE).expect("a place");
            Socket { stream, left: Vec::new(), is_upgraded: false, received: 0 }
        });
        let sockets = sockets.collect();
        Self { poll, sockets, buffer: vec![0; 1024 * 1024] }
    }

    /// Waits until each is upgraded, and has received this many notifications since it was opened.
    pub fn receive(&mut self, each: usize) {
        let mut events = Events::with_capacity(1024);
        let is_whole = |socket: &Socket| socket.is_upgraded && socket.received >= each;
        let mut left = self.sockets.iter().filter(|socket| !is_whole(socket)).count();
        while left > 0 {
            self.poll.poll(&mut events, Some(PATIENCE)).expect("a poll");
            assert!(!events.is_empty(), "{left} sockets wait for notifications that do not come");
            for event in &events {
                let socket = &mut self.sockets[event.token().0];
                let was_whole = is_whole(socket);
                socket.read(&mut self.buffer);
                assert!(socket.received <= each, "a notification came twice");
                left -= usize::from(!was_whole && is_whole(socket));
            }
        }
    }
}

impl Socket {
    fn read(&mut self, buffer: &mut [u8]) {
        loop {
            let kept = self.left.len();
            buffer[..kept].copy_from_slice(&self.left);
            let end = match self.stream.read(&mut buffer[kept..]) {
                Ok(0) => panic!("the hub closed a socket"),
                Ok(read) => kept + read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            };
            let used = self.take(&buffer[..end]);
            self.left.clear();
            self.left.extend_from_slice(&buffer[used..end]);
            if end < buffer.len() {
                return;
            }
        }
    }

    /// Counts complete frames; returns their bytes.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        if !self.is_upgraded {
            let Some(head) = memmem::find(bytes, b"\r\n\r\n") else { return 0 };
            let is_yes = bytes.starts_with(b"HTTP/1.1 101");
            assert!(is_yes, "{}", String::from_utf8_lossy(&bytes[..head]));
            (self.is_upgraded, used) = (true, head + 4);
        }
        while let Some(frame) = frame::parse(&bytes[used..]).expect("frames") {
            let payload = &bytes[used + frame.begin..used + frame.end];
            match frame.kind {
                Kind::Message if memmem::find(payload, NOTIFICATION).is_some() => {
                    self.received += 1;
                }
                Kind::Close => panic!("the hub closed a socket"),
                Kind::Message | Kind::Continuation | Kind::Ping | Kind::Pong => {}
            }
            used += frame.end;
        }
        used
    }
}
