//! The minimal server: two threads that `write()` one frame to all sockets.
//!
//! It accepts what a hub accepts (handshakes, `POST /api/notifications/`) and sends frames of the
//! same form and size, but authenticates no one and stores nothing. Its rate is the most that the
//! kernel allows a hub.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::frame::{ACCEPT, server_text};

/// A client that takes longer for its request is disconnected.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// All sockets, and how many frames each was sent.
#[derive(Debug, Default)]
struct Room {
    sockets: Vec<TcpStream>,
    sent: u64,
}

/// Listens on a free port, prints its address as a hub does, and serves until its input ends.
///
/// # Errors
/// It cannot listen.
pub fn run() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    std::thread::spawn(move || accept(&listener));
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn accept(listener: &TcpListener) {
    let room = Arc::new(Mutex::new(Room::default()));
    for stream in listener.incoming().filter_map(Result::ok) {
        // A broken handshake is not counted: the other end knows.
        let _ = welcome(stream, &room);
    }
}

/// Adds a listener, or starts a thread for a sender.
fn welcome(mut stream: TcpStream, room: &Arc<Mutex<Room>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(REQUEST_MAX))?;
    let mut buffer = Vec::new();
    let request = request(&mut stream, &mut buffer)?;
    if !request.starts_with("GET ") {
        stream.set_read_timeout(None)?;
        let room = Arc::clone(room);
        std::thread::spawn(move || obey(stream, buffer, request, &room));
        return Ok(());
    }
    let greeting = server_text(br#"{"type":"connection_established"}"#);
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), &greeting].concat())?;
    room.lock().unwrap_or_else(PoisonError::into_inner).sockets.push(stream);
    Ok(())
}

/// The next request, head and body; `buffer` keeps what follows.
fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<String> {
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1).unwrap_or("0").lines().next();
            let length: usize = length.and_then(|digits| digits.trim().parse().ok()).unwrap_or(0);
            let whole = head.len() + 4 + length;
            if buffer.len() >= whole {
                buffer.drain(..whole);
                return Ok(text);
            }
        }
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => buffer.extend_from_slice(&chunk[..read]),
        }
    }
}

/// Serves a sender's requests until it disconnects.
fn obey(mut stream: TcpStream, mut buffer: Vec<u8>, mut asked: String, room: &Mutex<Room>) {
    loop {
        let body = asked.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let reported = tell(room, body["message"].as_str().unwrap_or_default());
        let answer = json!({"id": 0, "recipients": reported, "scheduled": false}).to_string();
        let answer =
            format!("HTTP/1.1 202 Accepted\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
        match request(&mut stream, &mut buffer) {
            Ok(next) => asked = next,
            Err(_) => return,
        }
    }
}

/// The loop: half of the sockets in each of two threads.
fn tell(room: &Mutex<Room>, message: &str) -> usize {
    let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
    room.sent += 1;
    let frame = server_text(
        json!({
            "notification_type": "general", "message": message, "ticket": null, "title": "Load",
            "timestamp": "2026-01-01T00:00:00.000000Z", "id": room.sent, "seq": room.sent,
        })
        .to_string()
        .as_bytes(),
    );
    let (frame, half) = (frame.as_slice(), room.sockets.len() / 2);
    let (left, right) = room.sockets.split_at(half);
    std::thread::scope(|threads| {
        threads.spawn(|| write(left, frame));
        write(right, frame);
    });
    room.sockets.len()
}

fn write(sockets: &[TcpStream], frame: &[u8]) {
    for mut socket in sockets {
        // The listener counts the missing frames of a closed socket.
        let _ = socket.write_all(frame);
    }
}
