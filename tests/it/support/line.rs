//! A line to a server: a TCP proxy that can be silent, cut, led elsewhere, or hold back a commit.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

/// A line; it is cut when this is dropped.
pub struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: AbortHandle,
}

struct Shared {
    to: Mutex<SocketAddr>,
    is_open: AtomicBool,
    state: watch::Sender<State>,
    holds_commit: AtomicBool,
    held: Notify,
}

/// How often each was done: a connection is concerned if it began before the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct State {
    silenced: u64,
    answers_silenced: u64,
    cut: u64,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

impl Line {
    /// A line to that server.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to: Mutex::new(server),
            is_open: AtomicBool::new(true),
            state: watch::Sender::default(),
            holds_commit: AtomicBool::new(false),
            held: Notify::new(),
        });
        let listening = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Self { address, shared, listening }
    }

    /// Where its clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections go to that server.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.shared.to.lock().unwrap() = server;
    }

    /// Whether new connections are served; otherwise they are closed at once.
    pub fn set_open(&self, is_open: bool) {
        self.shared.is_open.store(is_open, SeqCst);
    }

    /// Nothing comes through the present connections any more, in either direction, and neither end
    /// is told. New ones are served.
    pub fn silence(&self) {
        self.shared.state.send_modify(|state| state.silenced += 1);
    }

    /// The same for what the server sends; what is sent to it arrives.
    pub fn silence_answers(&self) {
        self.shared.state.send_modify(|state| state.answers_silenced += 1);
    }

    /// Ends the present connections.
    pub fn cut(&self) {
        self.shared.state.send_modify(|state| state.cut += 1);
    }

    /// The next commit is held back for ever.
    pub fn hold_commit(&self) {
        self.shared.holds_commit.store(true, SeqCst);
    }

    /// Returns once it is.
    pub async fn commit_held(&self) {
        self.shared.held.notified().await;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let to = *shared.to.lock().unwrap();
        if !shared.is_open.load(SeqCst) {
            continue;
        }
        let Ok(server) = TcpStream::connect(to).await else { continue };
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let born = *shared.state.borrow();
        let pair = Arc::new(Pair { shared: Arc::clone(&shared), born, is_held: false.into() });
        tokio::spawn(forward(from_client, to_server, Way::There, Arc::clone(&pair)));
        tokio::spawn(forward(from_server, to_client, Way::Back, pair));
    }
}

/// A connection in both directions.
struct Pair {
    shared: Arc<Shared>,
    /// When it began.
    born: State,
    /// Whether its commit is held back: it is silent from then on.
    is_held: AtomicBool,
}

impl Pair {
    fn is_silent(&self, way: Way) -> bool {
        let now = *self.shared.state.borrow();
        now.silenced > self.born.silenced
            || way == Way::Back && now.answers_silenced > self.born.answers_silenced
            || self.is_held.load(SeqCst)
    }

    /// Whether this is the commit to hold back. A commit is short and comes alone: its client waits
    /// for the answer before.
    fn holds(&self, sent: &[u8], way: Way) -> bool {
        let is_commit = way == Way::There && sent.windows(6).any(|word| word == b"COMMIT");
        let is_held = is_commit && self.shared.holds_commit.swap(false, SeqCst);
        if is_held {
            self.is_held.store(true, SeqCst);
            self.shared.held.notify_one();
        }
        is_held
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way, pair: Arc<Pair>) {
    let mut state = pair.shared.state.subscribe();
    let carried = async {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = from.read(&mut buffer).await.unwrap_or(0);
            let is_held = pair.holds(&buffer[..read], way);
            if is_held || pair.is_silent(way) {
                match read {
                    0 => return std::future::pending().await,
                    _ => continue,
                }
            }
            if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = carried => {}
        _ = state.wait_for(|now| now.cut > pair.born.cut) => {}
    }
}
