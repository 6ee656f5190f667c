//! The accept loop: requests go to the router, WebSockets leave hyper.
//!
//! It is our own for three reasons: an upgraded socket must leave hyper's task and buffers behind;
//! connections are counted, and answered immediately instead of queued beyond the limit; and the
//! kernel's accept queue must be long enough for the clients that reconnect after a restart.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::address_limit::AddressLimit;
use super::prefixed::Prefixed;
use super::send_queue::SendQueue;
use super::stream::Stream;
use super::strict_heads::StrictHeads;
use super::tls::{Acceptor, Failed};
use super::unread_body::UnreadBody;
use super::unsent::Unsent;
use super::write_limit::{Patience, WriteLimit};

/// The accept queue: connections that arrive within a second after a restart. The kernel uses less
/// if `net.core.somaxconn` is lower.
const BACKLOG: u32 = 8_192;

/// How long a client may take for a request's head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may wait for its next request, where no setting says so (`http.idle_s`).
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// The size limit of a request head: a token in a URL is about 1 KiB, and proxies add fields.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// The most header fields.
pub const HEADERS_MAX: usize = 100;

/// How long a client may accept no bytes of an answer: as usual among HTTP servers. It may be slow;
/// but a client that never reads would keep its connection for ever.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// The same while other requests wait for that memory.
const SHORT_WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How many unsent bytes the kernel buffers for a connection. By default it buffers up to 4 MiB,
/// which no limit of ours counts: a client that reads slowly would look stalled while it works
/// those off, and nothing in there can be replaced by something newer. A client that reads at
/// 10 KB/s has this within two seconds; one that reads fast has it at once, for only what its own
/// buffer has no room for is unsent.
const UNSENT_IN_KERNEL: u32 = 16 * 1024;

/// How long requests in progress may take once the hub stops.
const GRACE: Duration = Duration::from_secs(5);

/// How long to wait after a failed accept, at first and at most. The usual reason is that file
/// descriptors have run out, which does not change at once.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// The default budget of unsent answers.
const UNSENT_USUAL: usize = 64 << 20;

/// How many rejected connections are answered at once; any more are closed without an answer.
const REFUSALS_MAX: usize = 256;

/// How long sending such an answer may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\
    Content-Type: application/json\r\nContent-Length: 70\r\nConnection: close\r\n\r\n\
    {\"detail\":\"There are too many connections.\",\"code\":\"too_many_clients\"}";

/// The answer if one address has too many.
const ADDRESS_REFUSAL: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\n\
    Content-Type: application/json\r\nContent-Length: 88\r\nConnection: close\r\n\r\n\
    {\"detail\":\"There are too many connections from your address.\",\"code\":\"too_many_clients\"}";

/// The answer in plain HTTP to a client that speaks it where TLS is expected.
const PLAIN_REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: application/json\r\nContent-Length: 70\r\nConnection: close\r\n\r\n\
    {\"detail\":\"This address speaks TLS: use https.\",\"code\":\"tls_required\"}";

/// A bound address, with the limit on its connections.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    /// `None`: plain HTTP.
    tls: Option<Acceptor>,
    connections: Connections,
    addresses: AddressLimit,
    patience: Patience,
    idle: Duration,
}

impl Listener {
    /// Binds `address` (port 0 picks one) for at most `connections_max` connections at once,
    /// requests and sockets together.
    ///
    /// # Errors
    /// The system's error: the address is in use, or not ours.
    pub fn bind(address: SocketAddr, connections_max: usize) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restarted hub must not wait for the connections of its predecessor to time out.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // Frames are small and must leave at once; accepted connections inherit this.
        socket.set_nodelay(true)?;
        // The same; a kernel that does not support it keeps its default.
        let _ = socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_IN_KERNEL);
        let listener = socket.listen(BACKLOG)?;
        let connections = Connections::new(connections_max);
        let addresses = AddressLimit::new(0, |_| false);
        let unsent = Unsent::new(UNSENT_USUAL);
        let patience = Patience { long: WRITE_TIMEOUT, short: SHORT_WRITE_TIMEOUT, unsent };
        Ok(Self { listener, tls: None, connections, addresses, patience, idle: IDLE_TIMEOUT })
    }

    /// Expects TLS of every connection.
    #[must_use]
    pub fn encrypted(mut self, tls: Option<&Acceptor>) -> Self {
        self.tls = tls.cloned();
        self
    }

    /// The same, with connections that may wait so long for their next request.
    pub fn idle_for(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// Adds a limit on each address's HTTP connections, and a shorter write limit while this budget
    /// is short.
    #[must_use]
    pub fn limited(mut self, addresses: AddressLimit, unsent: &Unsent) -> Self {
        self.addresses = addresses;
        self.patience.unsent = unsent.clone();
        self
    }

    /// The bound address.
    ///
    /// # Errors
    /// The system's error.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The open connections, for metrics and readiness.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }
}

/// Counts the open connections.
#[derive(Debug, Clone)]
pub struct Connections {
    open: Arc<AtomicUsize>,
    open_max: usize,
}

/// A counted connection; dropping it releases its place.
#[derive(Debug)]
pub struct Held(Arc<AtomicUsize>);

impl Connections {
    fn new(open_max: usize) -> Self {
        Self { open: Arc::default(), open_max }
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts an admitted connection that continues as a socket after its request is answered.
    #[must_use]
    pub fn hold(&self) -> Held {
        self.open.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(&self.open))
    }

    fn try_hold(&self) -> Option<Held> {
        let held = self.hold();
        (self.open() <= self.open_max).then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes connections that begin with a WebSocket handshake before an HTTP server sees them.
pub trait FastPath: Clone + Send + 'static {
    /// Takes the connection, or gives it back with the bytes that were read.
    fn meet(
        &self,
        arrived: Arrived,
        shutdown: &mut watch::Receiver<bool>,
    ) -> impl Future<Output = Option<Arrived>> + Send;
}

/// An address without sockets: every connection is HTTP.
#[derive(Debug, Clone, Copy)]
pub struct NoSockets;

impl FastPath for NoSockets {
    async fn meet(&self, arrived: Arrived, _: &mut watch::Receiver<bool>) -> Option<Arrived> {
        Some(arrived)
    }
}

/// Serves `router` until `shutdown` is true; then accepts no more connections, and returns once the
/// requests in progress are answered, or after 5 s. A request's extensions contain the
/// [`ConnectInfo`] of its peer and the [`Connections`].
///
/// A connection that `sockets` takes does not reach the router.
pub async fn serve(
    listener: Listener,
    router: Router,
    sockets: impl FastPath + Sync,
    shutdown: watch::Receiver<bool>,
) {
    let Listener { listener, tls, connections, addresses, patience, idle } = listener;
    let refusals = Connections::new(REFUSALS_MAX);
    let rules = Arc::new(Rules { router, tls, addresses, patience, idle, connections, refusals });
    // Each connection's task holds a sender; when the last is dropped, all are done.
    let (busy, mut all_done) = mpsc::channel::<Infallible>(1);
    let take = |stream: TcpStream, peer| {
        let Some(held) = rules.connections.try_hold() else {
            return rules.refuse_unopened(stream);
        };
        let (rules, sockets) = (Arc::clone(&rules), sockets.clone());
        let (mut shutdown, busy) = (shutdown.clone(), busy.clone());
        tokio::spawn(async move {
            let Some(stream) = rules.open(stream, peer, &mut shutdown).await else { return };
            let arrived = Arrived { stream, peer, held, begun: Vec::new() };
            if let Some(arrived) = sockets.meet(arrived, &mut shutdown).await {
                // Boxed: most connections become sockets and need no room for it.
                Box::pin(arrived.serve(&rules, shutdown)).await;
            }
            drop(busy);
        });
    };
    let (mut pause, mut stopping) = (PAUSES.0, shutdown.clone());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stopping) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = PAUSES.0;
                take(stream, peer);
            }
            // The client disconnected before it was accepted.
            Err(err) if is_of_one_client(&err) => {}
            Err(err) => {
                tracing::error!(%err, ?pause, "cannot accept connections");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
    take_queued(listener, take);
    drop(busy);
    if timeout(GRACE, all_done.recv()).await.is_err() {
        tracing::warn!("some requests were not done when the hub stopped");
    }
}

/// Takes what the kernel has accepted for a listener, and closes it: a client may have sent its
/// request already. The kernel is asked itself, whatever the runtime has been told by then.
fn take_queued(listener: TcpListener, take: impl Fn(TcpStream, SocketAddr)) {
    let Ok(listener) = listener.into_std() else { return };
    for _ in 0..BACKLOG {
        let Ok((stream, peer)) = listener.accept() else { return };
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            take(stream, peer);
        }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Rules {
    router: Router,
    tls: Option<Acceptor>,
    addresses: AddressLimit,
    patience: Patience,
    idle: Duration,
    connections: Connections,
    refusals: Connections,
}

impl Rules {
    /// Opens TLS, if it is expected; `None` if the connection ends before.
    async fn open(
        &self,
        tcp: TcpStream,
        peer: SocketAddr,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Option<Stream> {
        let Some(tls) = &self.tls else { return Some(tcp.into()) };
        // Boxed: the task needs no room for it later.
        let opened = tokio::select! {
            opened = Box::pin(tls.accept(tcp, peer.ip())) => opened,
            () = stopped(shutdown) => return None,
        };
        match opened {
            Ok(stream) => Some(Stream::Tls(stream)),
            Err(Failed::NotTls(tcp)) => {
                refuse(tcp.into(), PLAIN_REFUSAL, &self.refusals);
                None
            }
            Err(Failed::Closed) => None,
        }
    }

    /// Rejects a connection beyond the limit. One that expects TLS is only closed: a handshake
    /// takes more than it is worth.
    fn refuse_unopened(&self, tcp: TcpStream) {
        match &self.tls {
            None => refuse(tcp.into(), REFUSAL, &self.refusals),
            Some(_) => count_refusal(),
        }
    }
}

/// Marks a request that came over TLS.
#[derive(Debug, Clone, Copy)]
pub struct Encrypted;

/// An accepted connection.
#[derive(Debug)]
pub struct Arrived {
    pub stream: Stream,
    pub peer: SocketAddr,
    pub held: Held,
    /// The bytes that were already read from it.
    pub begun: Vec<u8>,
}

impl Arrived {
    /// Answers one connection's requests until it ends or is upgraded.
    async fn serve(self, rules: &Rules, mut shutdown: watch::Receiver<bool>) {
        let Self { stream, peer, held: _held, begun } = self;
        let Some(_address) = rules.addresses.try_hold(peer.ip()) else {
            return refuse(stream, ADDRESS_REFUSAL, &rules.refusals);
        };
        let is_encrypted = stream.is_encrypted();
        let (queue, watched) = SendQueue::of(&stream);
        let stream = StrictHeads::new(Prefixed::new(stream, begun), HEAD_TIMEOUT);
        let stream = WriteLimit::new(stream, rules.patience.clone());
        let (router, connections) = (rules.router.clone(), rules.connections.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(connections.clone());
            request.extensions_mut().insert(queue.clone());
            if is_encrypted {
                request.extensions_mut().insert(Encrypted);
            }
            answer(router.clone(), request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // The wait for a head; the head itself has less time: see `StrictHeads`.
            .header_read_timeout(rules.idle)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        // Below the connection: it is dropped before that.
        let _watched = watched;
        let ended = tokio::select! {
            // First: a request that has been read is answered, also by a hub that stops.
            biased;
            ended = connection.as_mut() => ended,
            () = stopped(&mut shutdown) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(err) = ended {
            // A client that disconnected, accepted no bytes, or sent something other than HTTP.
            tracing::debug!(%err, %peer, "a connection ended badly");
        }
    }
}

/// Returns once the hub stops. The borrow of the channel ends here.
pub async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response, Infallible> {
    let asks_for_another = request.headers().contains_key(UPGRADE);
    let mut response = router.oneshot(request.map(|body| Body::new(UnreadBody::new(body)))).await?;
    if asks_for_another && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // The bytes after such a request were not checked.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Rejects a client because there are too many.
fn refuse(mut stream: Stream, answer: &'static [u8], refusals: &Connections) {
    count_refusal();
    let Some(held) = refusals.try_hold() else { return };
    tokio::spawn(async move {
        let tell = async {
            stream.write_all(answer).await?;
            stream.shutdown().await?;
            // Closing with unread bytes would reset the connection and discard the answer.
            let mut unread = [0; 512];
            while stream.read(&mut unread).await? > 0 {}
            io::Result::Ok(())
        };
        let _ = timeout(REFUSAL_TIMEOUT, tell).await;
        drop(held);
    });
}

fn count_refusal() {
    metrics::counter!("bellpull_connections_refused_total").increment(1);
}

fn is_of_one_client(err: &io::Error) -> bool {
    matches!(
        err.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use axum::routing::get;

    use super::*;

    struct Served {
        address: SocketAddr,
        connections: Connections,
        stop: watch::Sender<bool>,
        task: tokio::task::JoinHandle<()>,
    }

    fn start(connections_max: usize, router: Router) -> Served {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), connections_max).unwrap();
        start_on(listener, router)
    }

    fn start_on(listener: Listener, router: Router) -> Served {
        let (address, connections) = (listener.local_addr().unwrap(), listener.connections());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(listener, router, NoSockets, stopped));
        Served { address, connections, stop, task }
    }

    fn router() -> Router {
        let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
        Router::new().route("/peer", get(peer))
    }

    async fn ask(stream: &mut TcpStream, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn a_connection_may_be_idle_for_longer_than_a_head_may_take() {
        let served = start(9, router());
        let request = "GET /peer HTTP/1.1\r\nHost: x\r\n";
        let (mut idle, mut slow) =
            tokio::join!(TcpStream::connect(served.address), TcpStream::connect(served.address),);
        let mut buffer = [0; 1_024];
        for stream in [&mut idle, &mut slow] {
            let stream = stream.as_mut().unwrap();
            stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
            assert_ne!(stream.read(&mut buffer).await.unwrap(), 0);
        }
        let (mut idle, mut slow) = (idle.unwrap(), slow.unwrap());
        // A head that does not end.
        slow.write_all(request.as_bytes()).await.unwrap();
        let begun = std::time::Instant::now();
        let ended = timeout(HEAD_TIMEOUT * 2, slow.read(&mut buffer)).await.expect("an end");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        assert!(begun.elapsed() >= HEAD_TIMEOUT, "{:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let answer = ask(&mut idle, &format!("{request}Connection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    async fn wait_until_open(served: &Served, count: usize) {
        let so_many = async {
            while served.connections.open() != count {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), so_many).await.unwrap();
    }

    const GET: &str = "GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_request_is_answered_and_knows_its_peer() {
        let served = start(10, router());
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let own = stream.local_addr().unwrap().to_string();
        let answer = ask(&mut stream, GET).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with(&own), "{answer}");
    }

    #[tokio::test]
    async fn beyond_the_limit_the_answer_is_503_and_room_is_made_again() {
        let served = start(1, router());
        let first = TcpStream::connect(served.address).await.unwrap();
        let mut second = TcpStream::connect(served.address).await.unwrap();
        let answer = ask(&mut second, GET).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{answer}");
        drop(first);
        wait_until_open(&served, 0).await;
        let mut third = TcpStream::connect(served.address).await.unwrap();
        assert!(ask(&mut third, GET).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn an_address_with_too_many_connections_is_told_so() {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), 10).unwrap();
        let unsent = Unsent::new(1 << 20);
        let served = start_on(listener.limited(AddressLimit::new(1, |_| false), &unsent), router());
        let mut first = TcpStream::connect(served.address).await.unwrap();
        first.write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        first.readable().await.unwrap();
        let answer = ask(&mut TcpStream::connect(served.address).await.unwrap(), GET).await;
        assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{answer}");
        assert!(head.contains("Retry-After: "), "{answer}");
        drop(first);
        wait_until_open(&served, 0).await;
        let answer = ask(&mut TcpStream::connect(served.address).await.unwrap(), GET).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let served = start(10, router());
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let long = "x".repeat(2 * HEAD_BYTES_MAX);
        let request = format!("GET /peer?{long} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = ask(&mut stream, &request).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }

    #[tokio::test]
    async fn who_never_reads_is_cut_off_and_who_reads_slowly_is_not() {
        let large = get(async || vec![b'x'; 1 << 20]);
        let endless = get(async || {
            let chunk = || Ok::<_, Infallible>(axum::body::Bytes::from_static(&[b'x'; 1 << 16]));
            Body::from_stream(futures_util::stream::repeat_with(chunk))
        });
        let router = Router::new().route("/large", large).route("/endless", endless);
        let mut listener = Listener::bind(([127, 0, 0, 1], 0).into(), 10).unwrap();
        listener.patience.long = Duration::from_secs(1);
        let limit = listener.patience.long;
        let served = start_on(listener, router);
        // Pipelined requests, for more bytes than the kernel buffers for a client.
        let mut stalled = TcpStream::connect(served.address).await.unwrap();
        let request = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
        stalled.write_all(&request.repeat(32)).await.unwrap();
        let mut slow = TcpStream::connect(served.address).await.unwrap();
        slow.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let began = tokio::time::Instant::now();
        let mut read = vec![0; 1 << 20];
        while began.elapsed() < limit * 3 {
            // Enough at once for the kernel to report the socket as writable again.
            slow.read_exact(&mut read).await.expect("who reads is not cut off");
            sleep(limit / 20).await;
        }
        wait_until_open(&served, 1).await;
        slow.read_exact(&mut read).await.expect("the other was cut off");
        drop(stalled);
    }

    #[tokio::test]
    async fn what_is_under_way_is_answered_when_the_hub_stops() {
        let (arrived, mut arrivals) = mpsc::channel(1);
        let (release, released) = watch::channel(false);
        let slow = get(move || async move {
            arrived.send(()).await.unwrap();
            let mut released = released;
            released.wait_for(|go| *go).await.unwrap();
            "done"
        });
        let served = start(10, Router::new().route("/peer", slow));
        let idle = TcpStream::connect(served.address).await.unwrap();
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let asked = tokio::spawn(async move { ask(&mut stream, GET).await });
        arrivals.recv().await.unwrap();
        served.stop.send(true).unwrap();
        // No new connection is accepted; idle ones are closed.
        let refused = async { while TcpStream::connect(served.address).await.is_ok() {} };
        timeout(Duration::from_secs(10), refused).await.unwrap();
        release.send(true).unwrap();
        assert!(asked.await.unwrap().ends_with("done"));
        timeout(Duration::from_secs(10), served.task).await.unwrap().unwrap();
        drop(idle);
    }
}
