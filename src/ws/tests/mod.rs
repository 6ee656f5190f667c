//! Both halves of a session on real connections, with a stand-in for the user's actor.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a probe keeps all that a test lets happen"
)]

mod ending;
mod opening;
mod renewing;
mod talking;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::{Entry, MessageContent};
use bellpull_domain::notification::{Kind, Message};
use bellpull_domain::ticket::Priority;
use bellpull_port::Outlet;
use bellpull_port::outlet::{Broken, Ending, Outgoing, TokenEnd};
use bellpull_port::session::Heard;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::outlet::WsOutlet;
use super::pace::Pace;
use super::read_state::ReadState;
use super::reader::{ReadRules, Reader};
use super::renewal::Renewer;
use super::shared::{MessageSink, Shared};
use bellpull_auth::testing::Accounts;
use bellpull_edge::stream::Stream;
use bellpull_edge::tls::testing::open;
use bellpull_wire::{Dialect, Endpoint};

const PATIENCE: Duration = Duration::from_secs(10);

/// A client's side of a connection.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// How a connection is made.
#[derive(Debug, Clone, Copy)]
enum Line {
    Plain,
    Tls,
}

/// Both, for what depends on how a connection writes.
const LINES: [Line; 2] = [Line::Plain, Line::Tls];

pub(super) struct Pair {
    client: Box<dyn Io>,
    pub(super) shared: Arc<Shared>,
    outlet: Box<WsOutlet>,
    pub(super) heard: UnboundedReceiver<Heard>,
}

/// A connection with the smallest possible buffers, and its two halves.
pub(super) async fn pair() -> Pair {
    pair_over(Line::Plain).await
}

async fn pair_over(line: Line) -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    socket2::SockRef::from(&stream).set_send_buffer_size(4_096).unwrap();
    let (client, stream): (Box<dyn Io>, Stream) = match line {
        Line::Plain => (Box::new(client), stream.into()),
        Line::Tls => {
            let (client, stream) = open(client, stream).await;
            (Box::new(client), stream)
        }
    };
    let (sink, heard) = unbounded_channel();
    let shared = Shared::new(stream, None, read_state());
    let outlet = Box::new(WsOutlet::new(Arc::clone(&shared), Dialect::Incident, Vec::new()));
    shared.bind_session(MessageSink::Probe(sink), 1);
    tokio::spawn(reader(&shared, &Accounts::gather().await));
    Pair { client, shared, outlet, heard }
}

/// User 1's.
fn read_state() -> ReadState {
    ReadState::new(UserId(1), Dialect::Incident, Endpoint::Notifications)
}

/// The read side of a session.
fn reader(shared: &Arc<Shared>, accounts: &Accounts) -> Reader {
    let (pace, auth) = (Pace::per_second(20), accounts.auth.clone());
    Reader::new(Arc::clone(shared), Arc::new(ReadRules { message_max: 1_000, pace, auth }))
}

/// Does what a user's actor does with messages, until the session ends.
fn act(mut outlet: Box<WsOutlet>, mut heard: UnboundedReceiver<Heard>) {
    tokio::spawn(async move {
        while let Some(heard) = heard.recv().await {
            match heard {
                Heard::Ping(timestamp) => outlet.push(Outgoing::Pong(timestamp.as_deref())),
                Heard::Bad { tag, code, message } => {
                    let (tag, message) = (tag.as_deref(), message.as_str());
                    outlet.push(Outgoing::Error { tag, code, message, retry_after_ms: None });
                }
                Heard::ProtocolPing(payload) => outlet.push(Outgoing::ProtocolPong(&payload)),
                Heard::Writable | Heard::Asked(_) | Heard::Renewed { .. } => {}
                Heard::Ended(why) => return outlet.close(why),
            }
            if let Err(broken) = outlet.flush() {
                let why = match broken {
                    Broken::TooSlow => Ending::TooSlow,
                    Broken::Gone => Ending::Closed { code: 1000 },
                };
                return outlet.close(why);
            }
        }
    });
}

fn entry(id: i64, length: usize) -> Entry {
    let message = Message {
        event: Event::from_name("approval"),
        kind: Kind::Info,
        title: "Title".to_owned(),
        body: "x".repeat(length),
        action_url: String::new(),
        metadata: serde_json::Map::new(),
        ticket: None,
        sender: None,
        priority: Priority::Low,
        created_at: jiff::Timestamp::UNIX_EPOCH,
    };
    Entry {
        id: NotificationId(id),
        seq: Seq(id),
        is_read: false,
        message: MessageContent::new(message),
    }
}

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [9, 8, 7, 6];
    let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key);
    let mut out = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..126) => out.push(0x80 | short),
        _ => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(masked);
    out
}

/// A server's frame: its first byte and its payload. `None` at the end of the stream.
async fn next_frame(client: &mut (impl AsyncRead + Unpin + ?Sized)) -> Option<(u8, Vec<u8>)> {
    let read = async {
        let first = client.read_u8().await.ok()?;
        let length = match client.read_u8().await.unwrap() {
            126 => u64::from(client.read_u16().await.unwrap()),
            127 => client.read_u64().await.unwrap(),
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        client.read_exact(&mut payload).await.unwrap();
        Some((first, payload))
    };
    timeout(PATIENCE, read).await.expect("a frame or the end")
}

async fn next_text(client: &mut (impl AsyncRead + Unpin + ?Sized)) -> String {
    let (first, payload) = next_frame(client).await.unwrap();
    assert_eq!(first, 0x81, "{}", String::from_utf8_lossy(&payload));
    String::from_utf8(payload).unwrap()
}

/// The close frame, and then the end without a reset.
async fn next_close(client: &mut (impl AsyncRead + Unpin + ?Sized)) -> (u16, String) {
    let (first, payload) = next_frame(client).await.unwrap();
    assert_eq!(first, 0x88, "{}", String::from_utf8_lossy(&payload));
    let read = timeout(PATIENCE, client.read_u8()).await.expect("the end");
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    let code = u16::from_be_bytes([payload[0], payload[1]]);
    (code, String::from_utf8(payload[2..].to_vec()).unwrap())
}

/// Pushes notifications until a flush fails; returns how many succeeded.
fn push_until_refused(outlet: &mut WsOutlet, length: usize) -> (i64, Broken) {
    for id in 1.. {
        outlet.push(Outgoing::Notification { entry: &entry(id, length), unread_count: 0 });
        if let Err(broken) = outlet.flush() {
            return (id, broken);
        }
    }
    unreachable!()
}

async fn next_heard(heard: &mut UnboundedReceiver<Heard>) -> Heard {
    timeout(PATIENCE, heard.recv()).await.expect("something heard").unwrap()
}
