//! Clients that ask for much and read little or nothing, against the real binary: its memory stays
//! within its budgets, and all other clients are served.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bellpull::storage::{self, StoreOptions};
use bellpull_domain::address::Addresses;
use bellpull_domain::event::Event;
use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_domain::notification::Message;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::{NewSend, Recipients};
use bellpull_domain::ticket::{Caller, Category, Membership, NewTicket, Priority, Project, create};
use bellpull_domain::user::{Origin, User};
use bellpull_port::Store;
use bellpull_port::accounts::NewUser;
use futures_util::future::try_join_all;
use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::support::limited::MemoryLimit;
use crate::support::process::{Process, folder};
use crate::support::{SECRET, now_s, sign};

/// What the hub is given, and what it may have resident at most.
const MEMORY_MIB: u64 = 256;
const MIB: u64 = 1 << 20;
/// How long anything may take: long enough for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);
/// Tickets of a page, of 40 KB each.
const TICKETS: usize = 100;
/// Notifications of a backlog, of 25 KB each.
const BACKLOG: usize = 500;
/// Sockets of one user: one less than the limit.
const SOCKETS: usize = 31;

/// A user with an account and a token.
#[derive(Debug, Clone)]
struct Account {
    user: User,
    token: String,
}

/// All users, directly in the store: hashing passwords is not what is tested.
async fn accounts(store: &Arc<dyn Store>, names: &str, role: &str, count: usize) -> Vec<Account> {
    let one = |n: usize| async move {
        let new = NewUser {
            id: None,
            origin: Origin::Hub,
            username: format!("{names}{n}"),
            addresses: Addresses::email(format!("{names}{n}@example.com")),
            full_name: String::new(),
            role: role.parse().unwrap(),
            password_hash: None,
            is_email_verified: true,
            now: Timestamp::now(),
        };
        store.create_user(new, None).await.map(|(user, _)| user)
    };
    let claims =
        |user: &User| json!({"user_id": user.id.0, "token_type": "access", "exp": now_s() + 3_600});
    let users = try_join_all((0..count).map(one)).await.unwrap();
    users.into_iter().map(|user| Account { token: sign(&claims(&user)), user }).collect()
}

/// Tickets whose texts are as long as they may be.
async fn tickets(store: &Arc<dyn Store>, by: &User) {
    let project = Project {
        id: ProjectId::DEFAULT,
        key: "TKT".into(),
        name: "Default".into(),
        is_open: true,
    };
    for n in 0..TICKETS {
        let id = store.reserve_ticket_id().await.unwrap();
        let new = NewTicket {
            title: format!("large {n}"),
            description: "ü".repeat(20_000),
            priority: Priority::High,
            category: Category::Bug,
        };
        let caller = Caller::from(by);
        let now = Timestamp::now();
        let mut decision = create(id, &project, new, &caller, Membership::Member, now).unwrap();
        decision.announcement = None;
        store.commit(decision).await.unwrap();
    }
}

/// Notifications that are as large as they may be, nearly.
async fn backlog(store: &Arc<dyn Store>, by: UserId, to: UserId) {
    let one = |n: usize| {
        let event = Event::from_name("maintenance");
        let message = Message {
            kind: event.kind(),
            title: format!("news {n}"),
            body: "ü".repeat(10_000),
            action_url: String::new(),
            metadata: [("more".to_owned(), json!("x".repeat(5_000)))].into_iter().collect(),
            ticket: None,
            sender: Some(by),
            priority: Priority::Medium,
            created_at: Timestamp::now(),
            event,
        };
        let send = NewSend {
            message,
            recipients: Recipients::Users(vec![to]),
            channels: Channels::of(&[Channel::System]),
            is_critical: false,
            due_at: None,
            key: None,
        };
        store.begin_send(send, 512, Timestamp::now())
    };
    for n in 0..BACKLOG {
        one(n).await.unwrap();
    }
}

async fn open(database: &Path) -> Arc<dyn Store> {
    let url = format!("sqlite://{}", database.display());
    storage::open(&url, StoreOptions::default()).await.unwrap()
}

/// A connection that takes little at once, and on which a large page was asked for.
async fn ask_and_never_read(address: SocketAddr, who: &Account) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!(
        "GET /api/tickets/?page_size=100 HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {}\r\n\r\n",
        who.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// A request that is tried again while the hub says that it has no room; the answer's body.
async fn insist(method: reqwest::Method, url: &str, who: &Account, body: Option<Value>) -> Value {
    let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
    let began = Instant::now();
    loop {
        let mut request = client.request(method.clone(), url).bearer_auth(&who.token);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await.expect("the hub answers");
        match answer.status().as_u16() {
            200..300 => return answer.json().await.unwrap_or_default(),
            status @ (429 | 503) => {
                assert!(answer.headers().contains_key("retry-after"), "{status} without a time");
                assert!(began.elapsed() < PATIENCE, "{url}: still {status}");
            }
            status => panic!("{url}: {status} {}", answer.text().await.unwrap_or_default()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn check_memory(hub: &Process, when: &str) {
    let peak = hub.peak_mib().unwrap_or_else(|| panic!("{when}: the hub has ended"));
    println!("{when}: at most {peak} MiB resident");
    assert!(peak < MEMORY_MIB, "{when}: {peak} MiB resident, of {MEMORY_MIB}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_no_client_reads_stay_within_their_budget() {
    let (_folder, database) = folder();
    let store = open(&database).await;
    let readers = accounts(&store, "reader", "admin", 12).await;
    let other = accounts(&store, "other", "admin", 1).await.remove(0);
    tickets(&store, &readers[0].user).await;
    store.close().await;
    let hub = Process::serve(&database, &[("BELLPULL_JWT_SECRET", SECRET)]);
    let (address, base) = (hub.address, format!("http://{}", hub.address));
    let mut stalled = Vec::new();
    for n in 0..600 {
        stalled.push(ask_and_never_read(address, &readers[n % readers.len()]).await);
    }
    let began = Instant::now();
    let mut done = 0;
    // Stalled connections are cut off one batch after the other; others are served meanwhile.
    while began.elapsed() < Duration::from_secs(8) || done < 5 {
        let me = insist(reqwest::Method::GET, &format!("{base}/api/auth/me/"), &other, None).await;
        assert_eq!(me["username"], "other0");
        let page = format!("{base}/api/tickets/?page_size=5");
        let page = insist(reqwest::Method::GET, &page, &other, None).await;
        assert_eq!(page["results"].as_array().map(Vec::len), Some(5));
        done += 1;
        check_memory(&hub, "600 pages");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("{done} rounds beside them in {:?}", began.elapsed());
    drop(stalled);
    assert!(hub.terminate().success());
}

type Socket = WebSocketStream<TcpStream>;

async fn socket(address: SocketAddr, path: &str) -> Socket {
    let stream = TcpStream::connect(address).await.unwrap();
    let handshake = tokio_tungstenite::client_async(format!("ws://{address}{path}"), stream);
    timeout(PATIENCE, handshake).await.expect("a handshake").unwrap().0
}

/// The next text frame with something to say; pings are answered by the library as it reads.
async fn next(socket: &mut Socket) -> Value {
    loop {
        let frame = timeout(PATIENCE, socket.next()).await.expect("a frame").expect("no end");
        let frame = frame.unwrap();
        if let Frame::Text(text) = &frame {
            return serde_json::from_str(text).unwrap();
        }
        assert!(frame.is_ping(), "a text was wanted, not {frame:?}");
        socket.flush().await.unwrap();
    }
}

/// Reads text frames until one of this type has come.
async fn next_of(socket: &mut Socket, wanted: &str) -> Value {
    loop {
        let frame = next(socket).await;
        if frame["type"] == wanted {
            return frame;
        }
    }
}

/// A socket with a backlog, of which it reads a little now and then, for as long as the task lives.
async fn read_slowly(address: SocketAddr, token: String) {
    let narrow = TcpSocket::new_v4().unwrap();
    narrow.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = narrow.connect(address).await.unwrap();
    let request = format!(
        "GET /ws/?token={token} HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut some = vec![0; 32 * 1024];
    while stream.read(&mut some).await.is_ok_and(|count| count > 0) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Reads a whole backlog, at full speed: every notification once, in order.
async fn read_backlog(address: SocketAddr, token: &str) {
    let mut socket = socket(address, &format!("/ws/?token={token}&since=0")).await;
    assert_eq!(next(&mut socket).await["type"], "welcome");
    for seq in 1..=BACKLOG {
        let frame = next(&mut socket).await;
        assert_eq!((&frame["type"], &frame["seq"]), (&json!("notification"), &json!(seq)));
        assert_eq!(frame["title"], format!("news {}", seq - 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_256_mib_a_thousand_users_are_served_beside_clients_that_do_not_read() {
    let Some(limit) = MemoryLimit::of(MEMORY_MIB * MIB) else { return };
    let (_folder, database) = folder();
    let store = open(&database).await;
    let users = accounts(&store, "user", "client", 1_000).await;
    let admin = accounts(&store, "admin", "admin", 1).await.remove(0);
    let readers = accounts(&store, "reader", "admin", 4).await;
    let slow = accounts(&store, "slow", "student", 1).await.remove(0);
    tickets(&store, &admin.user).await;
    backlog(&store, admin.user.id, slow.user.id).await;
    store.close().await;

    let hub = Process::serve_within(&limit, &database, &[("BELLPULL_JWT_SECRET", SECRET)]);
    let (address, base) = (hub.address, format!("http://{}", hub.address));
    let mut sockets = Vec::new();
    for some in users.chunks(50) {
        let path = |user: &Account| format!("/ws/?token={}", user.token);
        let opened =
            some.iter().map(|user| async move { Ok::<_, ()>(socket(address, &path(user)).await) });
        sockets.extend(try_join_all(opened).await.unwrap());
    }
    for socket in &mut sockets {
        assert_eq!(next(socket).await["type"], "welcome");
    }
    let mut desk = socket(address, &format!("/ws/?token={}", admin.token)).await;
    check_memory(&hub, "1,000 users");

    let mut stalled = Vec::new();
    for n in 0..200 {
        stalled.push(ask_and_never_read(address, &readers[n % readers.len()]).await);
    }
    let mut slow_ones = JoinSet::new();
    for _ in 1..SOCKETS {
        slow_ones.spawn(read_slowly(address, slow.token.clone()));
    }
    let whole = tokio::spawn({
        let token = slow.token.clone();
        async move { read_backlog(address, &token).await }
    });
    for (n, (user, socket)) in users.iter().zip(&mut sockets).take(10).enumerate() {
        let ticket = json!({"title": format!("small {n}")});
        let path = format!("{base}/api/tickets/");
        let ticket = insist(reqwest::Method::POST, &path, user, Some(ticket)).await;
        let told = next_of(&mut desk, "notification").await;
        assert!(told.to_string().contains(&format!("small {n}")), "{told}");
        let path = format!("{base}/api/tickets/{}/open/", ticket["id"]);
        insist(reqwest::Method::POST, &path, &admin, None).await;
        let told = next_of(socket, "notification").await;
        assert!(told.to_string().contains(&format!("small {n}")), "{told}");
        check_memory(&hub, "a ticket's life");
    }
    whole.await.unwrap();
    // No session was closed: a message to all reaches all.
    let all = json!({"recipients": {"role": "client"}, "title": "Hello", "message": "to all"});
    let path = format!("{base}/api/notifications/");
    insist(reqwest::Method::POST, &path, &admin, Some(all)).await;
    for socket in &mut sockets {
        assert!(next_of(socket, "notification").await.to_string().contains("to all"));
    }
    check_memory(&hub, "at the end");
    slow_ones.abort_all();
    drop(stalled);
    assert!(hub.terminate().success());
}
