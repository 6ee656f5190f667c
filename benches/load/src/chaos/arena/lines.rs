//! Lines to a server: from clients to a node, and from nodes to PostgreSQL and to Redis. They
//! become slow or late, carry nothing without being closed, or carry what the server did not say.
//!
//! Each connection belongs to one of [`LANES`] shares, in turn; a fault takes one share, or all.
//! What a line does not carry waits in the kernels' buffers, so nothing is lost if it goes on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::super::fault::LANES;
use super::super::manner::Flow;
use crate::LoadError;

/// What is read at once.
const READ: usize = 16 * 1024;
/// What a slow line carries at once, and how often: 4 KB/s.
const SLOW_READ: usize = 400;
const SLOW_EVERY: Duration = Duration::from_millis(100);
/// The receive buffer towards the server: what a client has not read soon waits there.
const RECEIVE_BUFFER: u32 = 8 * 1024;
/// How many reads are under way on a late line.
const UNDER_WAY_MAX: usize = 8;
/// How long nothing is accepted after an error: mostly there are too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// The lines to one server. With it, its connections end.
#[derive(Debug)]
pub(super) struct Lines {
    address: SocketAddr,
    lanes: Arc<[watch::Sender<Lane>]>,
    server: watch::Sender<SocketAddr>,
    listening: AbortHandle,
}

/// How a share of the lines is.
#[derive(Debug, Clone, Default)]
struct Lane {
    flow: Flow,
    /// Whether new connections are reset.
    refuses: bool,
    /// How often its connections were cut.
    cuts: u64,
    /// How often those that were open fell silent for good.
    silences: u64,
    /// How often clients were told something, and what.
    said: u64,
    words: Arc<[u8]>,
}

/// A direction of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToNode,
    ToClient,
}

fn carries(flow: Flow, way: Way) -> bool {
    match (flow, way) {
        (Flow::Free | Flow::Slow | Flow::Late(_), _) => true,
        (Flow::Held { to_node, .. }, Way::ToNode) => !to_node,
        (Flow::Held { to_client, .. }, Way::ToClient) => !to_client,
    }
}

fn is_slow(flow: Flow, way: Way) -> bool {
    matches!((flow, way), (Flow::Slow, Way::ToClient))
}

fn delay(flow: Flow) -> Duration {
    match flow {
        Flow::Late(by) => by,
        Flow::Free | Flow::Slow | Flow::Held { .. } => Duration::ZERO,
    }
}

impl Lines {
    /// Lines to this server.
    ///
    /// # Errors
    /// No port is free.
    pub(super) async fn to(server: SocketAddr) -> Result<Self, LoadError> {
        let failed = |error: std::io::Error| LoadError::failed(format!("lines: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let lanes: Arc<[watch::Sender<Lane>]> =
            (0..LANES).map(|_| watch::Sender::default()).collect();
        let (server, now) = watch::channel(server);
        let listening = tokio::spawn(accept(listener, now, Arc::clone(&lanes))).abort_handle();
        Ok(Self { address, lanes, server, listening })
    }

    /// Where clients connect.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections go to this server.
    pub(super) fn lead_to(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    /// From now on a share of the lines, those that are opened later included, carries this.
    pub(super) fn set(&self, lane: usize, flow: Flow) {
        self.change(lane, |lane| lane.flow = flow);
    }

    /// Whether new connections of a share are reset.
    pub(super) fn refuse(&self, lane: usize, refuses: bool) {
        self.change(lane, |lane| lane.refuses = refuses);
    }

    /// The connections of a share carry nothing from now on, and are not closed.
    pub(super) fn silence(&self, lane: usize) {
        self.change(lane, |lane| lane.silences += 1);
    }

    /// Resets the connections of a share, in both directions.
    pub(super) fn cut(&self, lane: usize) {
        self.change(lane, |lane| lane.cuts += 1);
    }

    /// All clients read this, wherever the server is in its answers.
    pub(super) fn say(&self, words: &[u8]) {
        for lane in 0..self.lanes.len() {
            self.change(lane, |lane| (lane.said, lane.words) = (lane.said + 1, words.into()));
        }
    }

    fn change(&self, lane: usize, change: impl FnOnce(&mut Lane)) {
        if let Some(lane) = self.lanes.get(lane) {
            lane.send_modify(change);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Its connections end with it.
async fn accept(
    listener: TcpListener,
    server: watch::Receiver<SocketAddr>,
    lanes: Arc<[watch::Sender<Lane>]>,
) {
    let next = AtomicUsize::new(0);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let turn = next.fetch_add(1, Ordering::Relaxed) % lanes.len().max(1);
        let Some(lane) = lanes.get(turn) else { continue };
        if lane.borrow().refuses {
            let _ = client.set_zero_linger(); // closed in order, were it refused
            continue;
        }
        let server = *server.borrow();
        connections.spawn(forward(client, server, lane.subscribe()));
    }
}

/// Carries one connection to its end.
async fn forward(client: TcpStream, server: SocketAddr, lane: watch::Receiver<Lane>) {
    let (cuts, silences) = (lane.borrow().cuts, lane.borrow().silences);
    let Ok(server) = connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true)); // slower, were it refused
    let (mut cut, mut silence) = (lane.clone(), lane.clone());
    let (mut client, mut server) = (client, server);
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::join!(
                carry(from_client, to_server, Way::ToNode, lane.clone()),
                carry(from_server, to_client, Way::ToClient, lane.clone())
            )
        };
        tokio::select! {
            biased;
            _ = cut.wait_for(|lane| lane.cuts != cuts) => End::Cut,
            _ = silence.wait_for(|lane| lane.silences != silences) => End::Silent,
            _ = both => End::Over,
        }
    };
    match end {
        End::Over => {}
        End::Cut => {
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
        // Both sides stay open until all lines end.
        End::Silent => std::future::pending().await,
    }
}

/// How a connection ends.
enum End {
    Over,
    Cut,
    Silent,
}

async fn connect(server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.connect(server).await
}

/// Carries one direction until its end, which is passed on.
async fn carry(
    from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    lane: watch::Receiver<Lane>,
) {
    let (queue, mut under_way) = mpsc::channel::<(Instant, Arc<[u8]>)>(UNDER_WAY_MAX);
    let writing = async {
        while let Some((at, bytes)) = under_way.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        under_way.close();
        let _ = to.shutdown().await; // the other side has closed
    };
    tokio::join!(read(from, way, lane, queue), writing);
}

/// Reads one direction until its end; each part with the time at which it is written.
async fn read(
    mut from: impl AsyncRead + Unpin,
    way: Way,
    mut lane: watch::Receiver<Lane>,
    queue: mpsc::Sender<(Instant, Arc<[u8]>)>,
) {
    let mut buffer = vec![0; READ];
    let mut said = lane.borrow().said;
    loop {
        let now = lane.wait_for(|lane| carries(lane.flow, way)).await;
        let Ok(Lane { flow, said: so_far, words, .. }) = now.map(|lane| lane.clone()) else {
            return;
        };
        if so_far != said && way == Way::ToClient {
            said = so_far;
            if queue.send((Instant::now(), words)).await.is_err() {
                return;
            }
        }
        let most = if is_slow(flow, way) { SLOW_READ } else { READ };
        let read = tokio::select! {
            read = from.read(&mut buffer[..most]) => read,
            changed = lane.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok(read @ 1..) = read else { return };
        let part = (Instant::now() + delay(flow), buffer[..read].into());
        if queue.send(part).await.is_err() {
            return;
        }
        if is_slow(flow, way) {
            sleep(SLOW_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// A node that says back what it hears.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn said(stream: &mut TcpStream, text: &[u8]) -> bool {
        let mut heard = vec![0; text.len()];
        stream.write_all(text).await.unwrap();
        let read = timeout(Duration::from_secs(20), stream.read_exact(&mut heard)).await;
        read.is_ok_and(|read| read.is_ok()) && heard == text
    }

    #[tokio::test]
    async fn a_held_line_carries_everything_later_and_a_cut_one_ends() {
        let lines = Lines::to(echo().await).await.unwrap();
        let mut first = TcpStream::connect(lines.address()).await.unwrap();
        assert!(said(&mut first, b"free").await);
        for (to_node, to_client) in [(true, false), (false, true), (true, true)] {
            lines.set(0, Flow::Held { to_node, to_client });
            first.write_all(b"held").await.unwrap();
            let mut heard = [0; 4];
            let waited = timeout(Duration::from_millis(100), first.read_exact(&mut heard)).await;
            assert!(waited.is_err(), "{heard:?}");
            lines.set(0, Flow::Free);
            first.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"held");
        }
        let mut second = TcpStream::connect(lines.address()).await.unwrap();
        assert!(said(&mut second, b"another share").await);
        lines.cut(0);
        assert!(first.read_u8().await.is_err());
        assert!(said(&mut second, b"stays").await);
        drop(lines);
        assert!(second.read_u8().await.is_err());
    }

    #[tokio::test]
    async fn a_slow_line_carries_everything_in_parts() {
        let lines = Lines::to(echo().await).await.unwrap();
        let mut client = TcpStream::connect(lines.address()).await.unwrap();
        lines.set(0, Flow::Slow);
        client.write_all(&[7; 3 * SLOW_READ]).await.unwrap();
        let mut heard = vec![0; 3 * SLOW_READ];
        let read = client.read(&mut heard).await.unwrap();
        assert!(read <= SLOW_READ, "{read}");
        client.read_exact(&mut heard[read..]).await.unwrap();
        assert!(heard.iter().all(|byte| *byte == 7));
    }

    #[tokio::test]
    async fn a_late_line_carries_everything_later_and_in_order() {
        let lines = Lines::to(echo().await).await.unwrap();
        let mut client = TcpStream::connect(lines.address()).await.unwrap();
        let late = Duration::from_millis(150);
        lines.set(0, Flow::Late(late));
        let begun = Instant::now();
        for text in [&b"one"[..], b"two", b"three"] {
            client.write_all(text).await.unwrap();
            sleep(Duration::from_millis(20)).await;
        }
        let mut heard = [0; 11];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"onetwothree");
        // There and back; the parts are under way at once.
        assert!(begun.elapsed() >= late * 2, "{:?}", begun.elapsed());
        assert!(begun.elapsed() < late * 5, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn what_is_silent_for_good_stays_open_and_later_connections_are_reset_or_served() {
        let lines = Lines::to(echo().await).await.unwrap();
        let mut old = TcpStream::connect(lines.address()).await.unwrap();
        assert!(said(&mut old, b"free").await);
        lines.silence(0);
        (0..LANES).for_each(|lane| lines.refuse(lane, true));
        old.write_all(b"x").await.unwrap();
        let mut heard = [0; 1];
        let waited = timeout(Duration::from_millis(200), old.read(&mut heard)).await;
        assert!(waited.is_err(), "{heard:?}");
        let mut refused = TcpStream::connect(lines.address()).await.unwrap();
        assert!(!matches!(refused.read(&mut heard).await, Ok(1..)));
        (0..LANES).for_each(|lane| lines.refuse(lane, false));
        let mut new = TcpStream::connect(lines.address()).await.unwrap();
        assert!(said(&mut new, b"new").await);
        let waited = timeout(Duration::from_millis(200), old.read(&mut heard)).await;
        assert!(waited.is_err(), "{heard:?}");
    }

    #[tokio::test]
    async fn clients_read_what_the_server_did_not_say_and_new_connections_go_to_another_one() {
        let lines = Lines::to(echo().await).await.unwrap();
        let mut first = TcpStream::connect(lines.address()).await.unwrap();
        assert!(said(&mut first, b"free").await);
        lines.say(b"garbage");
        let mut heard = [0; 7];
        first.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"garbage");
        assert!(said(&mut first, b"once").await);
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        lines.lead_to(other.local_addr().unwrap());
        let _client = TcpStream::connect(lines.address()).await.unwrap();
        other.accept().await.unwrap();
    }
}
