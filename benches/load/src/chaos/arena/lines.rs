//! The lines between clients and a node: they become slow, or carry nothing without being closed.
//!
//! Each connection belongs to one of [`LANES`] shares, in turn; a fault takes one share. What a
//! line does not carry waits in the kernels' buffers, so nothing is lost if it goes on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::super::fault::LANES;
use super::super::manner::Flow;
use crate::LoadError;

/// What is read at once.
const READ: usize = 16 * 1024;
/// What a slow line carries at once, and how often: 4 KB/s.
const SLOW_READ: usize = 400;
const SLOW_EVERY: Duration = Duration::from_millis(100);
/// The receive buffer towards the node: what a client has not read soon waits at the node.
const RECEIVE_BUFFER: u32 = 8 * 1024;
/// How long nothing is accepted after an error: mostly there are too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// The lines to one node. With it, its connections end.
#[derive(Debug)]
pub(super) struct Lines {
    address: SocketAddr,
    lanes: Arc<[watch::Sender<Lane>]>,
    listening: AbortHandle,
}

/// How a share of the lines is.
#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    flow: Flow,
    /// How often its connections were cut.
    cuts: u64,
}

/// A direction of a line.
#[derive(Debug, Clone, Copy)]
enum Way {
    ToNode,
    ToClient,
}

fn carries(flow: Flow, way: Way) -> bool {
    match (flow, way) {
        (Flow::Free | Flow::Slow, _) => true,
        (Flow::Held { to_node, .. }, Way::ToNode) => !to_node,
        (Flow::Held { to_client, .. }, Way::ToClient) => !to_client,
    }
}

fn is_slow(flow: Flow, way: Way) -> bool {
    matches!((flow, way), (Flow::Slow, Way::ToClient))
}

impl Lines {
    /// Lines to this node.
    ///
    /// # Errors
    /// No port is free.
    pub(super) async fn to(node: SocketAddr) -> Result<Self, LoadError> {
        let failed = |error: std::io::Error| LoadError::failed(format!("lines: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let lanes: Arc<[watch::Sender<Lane>]> =
            (0..LANES).map(|_| watch::Sender::default()).collect();
        let listening = tokio::spawn(accept(listener, node, Arc::clone(&lanes))).abort_handle();
        Ok(Self { address, lanes, listening })
    }

    /// Where clients connect.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on a share of the lines, those that are opened later included, carries this.
    pub(super) fn set(&self, lane: usize, flow: Flow) {
        if let Some(lane) = self.lanes.get(lane) {
            lane.send_modify(|lane| lane.flow = flow);
        }
    }

    /// Resets the connections of a share, in both directions.
    pub(super) fn cut(&self, lane: usize) {
        if let Some(lane) = self.lanes.get(lane) {
            lane.send_modify(|lane| lane.cuts += 1);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Its connections end with it.
async fn accept(listener: TcpListener, node: SocketAddr, lanes: Arc<[watch::Sender<Lane>]>) {
    let next = AtomicUsize::new(0);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let turn = next.fetch_add(1, Ordering::Relaxed) % lanes.len().max(1);
        if let Some(lane) = lanes.get(turn) {
            connections.spawn(forward(client, node, lane.subscribe()));
        }
    }
}

/// Carries one connection to its end.
async fn forward(client: TcpStream, node: SocketAddr, lane: watch::Receiver<Lane>) {
    let Ok(server) = connect(node).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true)); // slower, were it refused
    let cuts = lane.borrow().cuts;
    let mut cut = lane.clone();
    let (mut client, mut server) = (client, server);
    let is_cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::join!(
                carry(from_client, to_server, Way::ToNode, lane.clone()),
                carry(from_server, to_client, Way::ToClient, lane.clone())
            )
        };
        tokio::select! {
            _ = both => false,
            _ = cut.wait_for(|lane| lane.cuts != cuts) => true,
        }
    };
    if is_cut {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

async fn connect(node: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.connect(node).await
}

/// Carries one direction until its end, which is passed on.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    mut lane: watch::Receiver<Lane>,
) {
    let mut buffer = vec![0; READ];
    loop {
        let Ok(flow) = lane.wait_for(|lane| carries(lane.flow, way)).await.map(|lane| lane.flow)
        else {
            return;
        };
        let most = if is_slow(flow, way) { SLOW_READ } else { READ };
        let read = tokio::select! {
            read = from.read(&mut buffer[..most]) => read,
            changed = lane.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok(read @ 1..) = read else { break };
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
        if is_slow(flow, way) {
            sleep(SLOW_EVERY).await;
        }
    }
    let _ = to.shutdown().await; // the other side has closed
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
}
