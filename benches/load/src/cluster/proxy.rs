//! A small TCP proxy before the nodes: a load balancer without stickiness.
//!
//! Connections go to the nodes in turn; one that does not accept is skipped. A client whose node
//! is gone connects again, and comes to another one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use crate::LoadError;

/// How many connections are open at once; more wait in the listener's queue.
const CONNECTIONS_MAX: usize = 20_000;
/// How long a node may take to accept before the next one is tried.
const CONNECT: Duration = Duration::from_secs(2);
/// How long nothing is accepted after an error: mostly there are too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// A running proxy. With it, its connections end.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    backends: Vec<Backend>,
    next: AtomicUsize,
    /// Which backend has the connection of which client.
    connections: Mutex<HashMap<SocketAddr, usize>>,
}

#[derive(Debug)]
struct Backend {
    address: SocketAddr,
    /// Whether it receives new connections.
    is_in_turn: AtomicBool,
    /// How often its connections were cut.
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// Listens there (port 0: on any) and forwards to these nodes.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(listen: SocketAddr, nodes: &[SocketAddr]) -> Result<Self, LoadError> {
        let failed = |error| LoadError::failed(format!("the proxy on {listen}: {error}"));
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let backend = |address: &SocketAddr| Backend {
            address: *address,
            is_in_turn: AtomicBool::new(true),
            cuts: watch::Sender::new(0),
        };
        let shared = Arc::new(Shared {
            backends: nodes.iter().map(backend).collect(),
            next: AtomicUsize::new(0),
            connections: Mutex::default(),
        });
        let listening = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, listening })
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The node (its number) to which a client's connection goes, by the client's own address.
    #[must_use]
    pub fn node_of(&self, client: SocketAddr) -> Option<usize> {
        self.shared.connections().get(&client).copied()
    }

    /// How many connections a node has.
    #[must_use]
    pub fn connections(&self, node: usize) -> usize {
        self.shared.connections().values().filter(|of| **of == node).count()
    }

    /// Whether a node receives new connections; a frozen one still accepts them.
    pub fn set_in_turn(&self, node: usize, is_in_turn: bool) {
        if let Some(backend) = self.shared.backends.get(node) {
            backend.is_in_turn.store(is_in_turn, Ordering::Relaxed);
        }
    }

    /// Resets all connections of a node, in both directions.
    pub fn cut(&self, node: usize) {
        if let Some(backend) = self.shared.backends.get(node) {
            backend.cuts.send_modify(|cuts| *cuts += 1);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        for node in 0..self.shared.backends.len() {
            self.cut(node);
        }
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, HashMap<SocketAddr, usize>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to the next node that accepts; subscribed to its cuts before it is open.
    async fn connect(&self) -> Option<(usize, TcpStream, watch::Receiver<u64>)> {
        let count = self.backends.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for n in 0..count {
            let node = first.wrapping_add(n) % count;
            let Some(backend) = self.backends.get(node) else { continue };
            if !backend.is_in_turn.load(Ordering::Relaxed) {
                continue;
            }
            let cuts = backend.cuts.subscribe();
            let connecting = TcpStream::connect(backend.address);
            if let Ok(Ok(stream)) = tokio::time::timeout(CONNECT, connecting).await {
                return Some((node, stream, cuts));
            }
        }
        None
    }

    /// Forwards one connection to its end.
    async fn forward(&self, mut client: TcpStream, from: SocketAddr) {
        let Some((node, mut server, mut cuts)) = self.connect().await else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true)); // slower, were it refused
        self.connections().insert(from, node);
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => {}
            _ = cuts.changed() => {
                let _ = (client.set_zero_linger(), server.set_zero_linger());
            }
        }
        self.connections().remove(&from);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(permit) = Arc::clone(&free).acquire_owned().await {
        match listener.accept().await {
            Ok((client, from)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    shared.forward(client, from).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
