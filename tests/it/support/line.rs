//! A line to a server: a TCP proxy that can be silent, cut, slow, led elsewhere, or hold back a
//! commit. It notes the round trips to a PostgreSQL server, and what they ask.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;

/// With this PostgreSQL says that it has answered completely; a byte of its state follows.
const READY: &[u8] = b"Z\0\0\0\x05";

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
    /// How long bytes are on their way, in milliseconds.
    delay_ms: AtomicU64,
    trips: Mutex<Vec<Trip>>,
}

/// What a client sent, until it had the complete answer.
#[derive(Debug, Clone)]
pub struct Trip {
    /// Over which connection.
    pub connection: SocketAddr,
    pub sent: Instant,
    pub answered: Instant,
    /// What it executed.
    pub statements: Vec<Arc<str>>,
    /// Whether it prepared a statement, as is done once over each connection.
    pub prepares: bool,
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
            delay_ms: AtomicU64::new(0),
            trips: Mutex::default(),
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

    /// From now on bytes are on their way for so long, in either direction.
    pub fn set_delay(&self, delay: Duration) {
        self.shared.delay_ms.store(delay.as_millis().try_into().unwrap(), SeqCst);
    }

    /// The round trips so far, in the order of their answers.
    pub fn trips(&self) -> Vec<Trip> {
        self.shared.trips.lock().unwrap().clone()
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
        let Ok(connection) = to_client.peer_addr() else { continue };
        let (is_held, asked) = (AtomicBool::new(false), Mutex::default());
        let pair = Pair { shared: Arc::clone(&shared), connection, born, is_held, asked };
        let pair = Arc::new(pair);
        tokio::spawn(forward(from_client, to_server, Way::There, Arc::clone(&pair)));
        tokio::spawn(forward(from_server, to_client, Way::Back, pair));
    }
}

/// A connection in both directions.
struct Pair {
    shared: Arc<Shared>,
    connection: SocketAddr,
    /// When it began.
    born: State,
    /// Whether its commit is held back: it is silent from then on.
    is_held: AtomicBool,
    asked: Mutex<Asked>,
}

/// What a client of PostgreSQL sends.
#[derive(Debug, Default)]
struct Asked {
    /// What is not answered yet.
    open: Option<Trip>,
    /// Its prepared statements, by name.
    prepared: HashMap<Vec<u8>, Arc<str>>,
    /// The beginning of a message.
    rest: Vec<u8>,
}

impl Asked {
    fn note(&mut self, bytes: &[u8], connection: SocketAddr) {
        let now = Instant::now();
        let (statements, prepares) = (Vec::new(), false);
        let new = Trip { connection, sent: now, answered: now, statements, prepares };
        let trip = self.open.get_or_insert(new);
        self.rest.extend_from_slice(bytes);
        while let Some((kind, length)) = message(&self.rest) {
            let message: Vec<u8> = self.rest.drain(..=length).skip(5).collect();
            let mut texts = message.split(|byte| *byte == 0);
            let mut text = || texts.next().unwrap_or_default();
            let statement = |text: &[u8]| Arc::from(String::from_utf8_lossy(text));
            match kind {
                b'Q' => trip.statements.push(statement(text())),
                b'P' => {
                    trip.prepares = true;
                    let name = text().to_vec();
                    self.prepared.insert(name, statement(text()));
                }
                b'B' => {
                    let (_, name) = (text(), text());
                    trip.statements.extend(self.prepared.get(name).map(Arc::clone));
                }
                _ => {}
            }
        }
    }
}

/// A complete message's kind and length. The first ones of a connection have no kind, and none of
/// them is taken for a statement: their length begins with zeros.
fn message(bytes: &[u8]) -> Option<(u8, usize)> {
    let (kind, rest) = bytes.split_first()?;
    let length = match kind {
        0 => u32::from_be_bytes(*bytes.first_chunk()?).checked_sub(1)?,
        _ => u32::from_be_bytes(*rest.first_chunk()?),
    };
    let length = usize::try_from(length).ok()?;
    (bytes.len() > length).then_some((*kind, length))
}

impl Pair {
    /// The client has sent something, or the server's bytes arrive at it.
    fn note(&self, bytes: &[u8], way: Way) {
        let mut asked = self.asked.lock().unwrap();
        if way == Way::There {
            asked.note(bytes, self.connection);
        } else if let Some((_, end)) = bytes.split_last()
            && end.ends_with(READY)
            && let Some(trip) = asked.open.take()
        {
            self.shared.trips.lock().unwrap().push(Trip { answered: Instant::now(), ..trip });
        }
    }

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

async fn forward(mut from: OwnedReadHalf, to: OwnedWriteHalf, way: Way, pair: Arc<Pair>) {
    let mut state = pair.shared.state.subscribe();
    let (on_its_way, arriving) = mpsc::channel(1 << 10);
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
            if read == 0 {
                return drop(on_its_way);
            }
            if way == Way::There {
                pair.note(&buffer[..read], way);
            }
            let delay = Duration::from_millis(pair.shared.delay_ms.load(SeqCst));
            if on_its_way.send((Instant::now() + delay, buffer[..read].to_vec())).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = async { tokio::join!(carried, arrive(arriving, to, way, &pair)) } => {}
        _ = state.wait_for(|now| now.cut > pair.born.cut) => {}
    }
}

/// Writes what has been on its way long enough.
async fn arrive(
    mut arriving: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    way: Way,
    pair: &Pair,
) {
    while let Some((at, bytes)) = arriving.recv().await {
        tokio::time::sleep_until(at.into()).await;
        if way == Way::Back {
            pair.note(&bytes, way);
        }
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
