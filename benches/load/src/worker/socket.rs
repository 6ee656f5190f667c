//! One socket: how it is opened and closed.

use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Token};
use socket2::{Domain, Protocol, SockRef, Type};

use super::Worker;
use crate::check::Order;
use crate::clock::now_ns;
use crate::frame::{self, KEY};
use crate::pipe::{LoadUser, Node, Ready, Setup};

/// A listener's socket.
#[derive(Debug, Default)]
pub(super) struct Socket {
    pub(super) stream: Option<TcpStream>,
    pub(super) stage: Stage,
    /// When it was due.
    pub(super) begun_ns: u64,
    /// Marked frames since then.
    pub(super) received: u64,
    /// The index of its node.
    pub(super) node: usize,
    /// How many handshakes have begun.
    turns: usize,
    /// The start of an incomplete frame.
    pub(super) left: Vec<u8>,
    /// The positions of all frames that this listener has received, on this socket and earlier
    /// ones.
    pub(super) order: Order,
    /// The request, until it is written.
    request: Vec<u8>,
}

/// A socket's state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Closed.
    #[default]
    Closed,
    /// Waiting for the answer to the handshake.
    Upgrading,
    /// Waiting for the frame with which it counts as open.
    Greeting,
    /// It is open.
    Open,
}

impl Socket {
    pub(super) fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Its last position.
    pub(super) fn position(&self) -> Option<u64> {
        self.order.last()
    }

    /// Closes it as a leaving client does: with a FIN.
    pub(super) fn close(&mut self) {
        if let Some(stream) = self.stream.take() {
            // It fails if the server has closed the connection; then nothing is to be sent.
            let _ = SockRef::from(&stream).set_linger(None);
        }
        self.stage = Stage::Closed;
        self.left = Vec::new();
        self.request = Vec::new();
    }

    /// Writes the request, once connected.
    pub(super) fn ask(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        while !self.request.is_empty() {
            match stream.write(&self.request) {
                Ok(sent) => drop(self.request.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_not_yet(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.request = Vec::new();
        Ok(())
    }
}

/// Not connected yet, or the send buffer is full.
fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

impl<W: Write> Worker<W> {
    /// Begins a handshake that was due at this time; `since`: the listener's last position.
    pub(super) fn begin(&mut self, index: usize, begun_ns: u64, since: Option<u64>) {
        self.opening.under_way += 1;
        if let Err(error) = self.try_begin(index, begun_ns, since) {
            self.refuse(index, &error.to_string());
        }
    }

    fn try_begin(&mut self, index: usize, begun_ns: u64, since: Option<u64>) -> io::Result<()> {
        let setup = &self.setup;
        let sources = setup.sources.len().max(1);
        // Each reconnect goes to the next node, as behind a load balancer.
        let turn = setup.earlier + index + self.sockets[index].turns;
        let at = turn % setup.nodes.len().max(1);
        let node = setup.nodes.get(at).ok_or(ErrorKind::NotFound)?;
        let mut stream = connect(node.address, setup.sources.get(index % sources).copied())?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest)?;
        let socket = &mut self.sockets[index];
        socket.stream = Some(stream);
        socket.node = at;
        socket.turns += 1;
        socket.stage = Stage::Upgrading;
        socket.begun_ns = begun_ns;
        socket.received = 0;
        socket.request = request(setup, node, &setup.participants[index], since);
        // On loopback the connection is established before `connect` returns.
        socket.ask()
    }

    /// The handshake has failed.
    pub(super) fn refuse(&mut self, index: usize, why: &str) {
        self.sockets[index].close();
        self.opening.under_way -= 1;
        self.tally.faults.refused += 1;
        self.tally.faults.reason(why);
    }

    /// An open socket was closed by the server; one that was opening was rejected.
    pub(super) fn ended(&mut self, index: usize, why: &str) {
        match self.sockets[index].stage {
            Stage::Closed => {}
            Stage::Upgrading | Stage::Greeting => self.refuse(index, why),
            Stage::Open => {
                self.sockets[index].close();
                self.tally.open -= 1;
                self.tally.faults.ended += 1;
                self.tally.faults.reason(why);
            }
        }
    }

    /// The handshake succeeded.
    pub(super) fn upgraded(&mut self, index: usize, at_ns: u64) -> io::Result<()> {
        let socket = &mut self.sockets[index];
        self.tally.handshake.record(at_ns.saturating_sub(socket.begun_ns));
        socket.stage = Stage::Greeting;
        if let Some(text) = &self.setup.subscribe {
            let text = filled(text, &self.setup.participants[index]);
            send(socket, &frame::text(&text))?;
        }
        if self.setup.ready == Ready::Upgraded {
            self.opened(index, at_ns);
        }
        Ok(())
    }

    /// The socket is open.
    pub(super) fn opened(&mut self, index: usize, at_ns: u64) {
        let socket = &mut self.sockets[index];
        socket.stage = Stage::Open;
        self.tally.ready.record(at_ns.saturating_sub(socket.begun_ns));
        self.tally.open += 1;
        self.tally.done_ns = self.tally.done_ns.max(now_ns());
        self.opening.under_way -= 1;
    }
}

/// Sends a small frame. If the send buffer is full, the frame is dropped: a server that does not
/// read has failed in any case.
pub(super) fn send(socket: &mut Socket, frame: &[u8]) -> io::Result<()> {
    let Some(stream) = &mut socket.stream else { return Ok(()) };
    stream.write_all(frame)
}

fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Sockets that are open when a run ends are reset. Else the kernel would keep each port for a
    // minute, and the next run would search for free ports among tens of thousands.
    socket.set_linger(Some(Duration::ZERO))?;
    if let Some(from) = from {
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if is_under_way(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

fn is_under_way(error: &io::Error) -> bool {
    let in_progress = rustix::io::Errno::INPROGRESS.raw_os_error();
    error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(in_progress)
}

fn request(setup: &Setup, node: &Node, load_user: &LoadUser, since: Option<u64>) -> Vec<u8> {
    let mut path = filled(&setup.path, load_user);
    if let Some(since) = since.filter(|_| setup.has_positions) {
        let sign = if path.contains('?') { '&' } else { '?' };
        path.push_str(&format!("{sign}since={since}"));
    }
    let mut text = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n",
        node.host
    );
    for header in &setup.headers {
        text.push_str(&filled(header, load_user));
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// A text with its placeholders replaced.
fn filled(text: &str, load_user: &LoadUser) -> String {
    text.replace("{token}", &load_user.token).replace("{user}", &load_user.id)
}
