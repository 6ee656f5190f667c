//! Requests as bytes: what no client that means well sends is refused, wherever it comes on a
//! connection, and what follows it is never answered.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Hub, PATIENCE};

/// What comes back until the connection ends.
async fn exchange(hub: &Hub, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(hub.address()).await.unwrap();
    for piece in pieces {
        // The hub may have closed already.
        let _ = stream.write_all(piece).await;
        tokio::task::yield_now().await;
    }
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
    String::from_utf8(answer).unwrap()
}

/// The statuses of the answers, in their order.
fn statuses(answers: &str) -> Vec<u16> {
    let status = |text: &str| text.get(2..5).and_then(|status| status.parse().ok());
    answers.split("HTTP/1.").skip(1).filter_map(status).collect()
}

const GOOD: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
const POST: &str = "POST /unsubscribe/x/ HTTP/1.1\r\nHost: x\r\n";

fn bad_requests() -> Vec<(&'static str, String)> {
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    vec![
        ("no Host", "GET /healthz HTTP/1.1\r\n\r\n".to_owned()),
        ("no Host but a header", "GET /healthz HTTP/1.1\r\nAccept: */*\r\n\r\n".to_owned()),
        ("two Hosts", "GET /healthz HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n".to_owned()),
        ("the same Host twice", "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n".to_owned()),
        (
            "Transfer-Encoding before Content-Length",
            format!("{POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        ),
        (
            "Content-Length before Transfer-Encoding",
            format!("{POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "Content-Length twice",
            format!("{POST}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}"),
        ),
        ("Content-Length with a sign", format!("{POST}Content-Length: +2\r\n\r\n{{}}")),
        (
            "another Transfer-Encoding",
            format!("{POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ),
        ("LF after the request line", "GET /healthz HTTP/1.1\nHost: x\r\n\r\n".to_owned()),
        ("LF after a header", "GET /healthz HTTP/1.1\r\nHost: x\n\r\n".to_owned()),
        ("LF at the end of the head", "GET /healthz HTTP/1.1\r\nHost: x\r\n\n".to_owned()),
        ("LF everywhere", "GET /healthz HTTP/1.1\nHost: x\n\n".to_owned()),
        ("LF before the request line", "\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        (
            "LF in a chunk's size",
            format!("{POST}Transfer-Encoding: chunked\r\n\r\n2\n{{}}\r\n0\r\n\r\n"),
        ),
        ("a handshake without Host", format!("GET /ws/notifications/ HTTP/1.1\r\n{handshake}\r\n")),
        (
            "a handshake with two Hosts",
            format!("GET /ws/notifications/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n{handshake}\r\n"),
        ),
        (
            "a handshake with LF",
            format!("GET /ws/notifications/ HTTP/1.1\r\nHost: x\n{handshake}\r\n"),
        ),
    ]
}

#[tokio::test]
async fn an_ambiguous_head_is_refused_wherever_it_comes_and_ends_the_connection() {
    let hub = Hub::start().await;
    let body = "{\"username\":\"a\",\"password\":\"b\"}";
    let chunked = format!("{:x};a=b\r\n{body}\r\n0\r\nX-Trailer: y\r\n\r\n", body.len());
    let chunked = format!(
        "{POST}Content-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n{chunked}"
    );
    let sized = format!(
        "{POST}Content-Type: application/json\r\n\
        Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for (what, bad) in bad_requests() {
        // As the first request; behind others in one write; byte by byte.
        let first = exchange(&hub, &[bad.as_bytes(), GOOD.as_bytes()]).await;
        assert_eq!(statuses(&first), [400], "{what}: {first}");
        let pipelined = [GOOD, &sized, &chunked, &bad, GOOD].concat();
        let answers = exchange(&hub, &[pipelined.as_bytes()]).await;
        assert_eq!(statuses(&answers), [200, 404, 404, 400], "{what}: {answers}");
        let pipelined = [GOOD, &bad, GOOD].concat();
        let bytes: Vec<&[u8]> = pipelined.as_bytes().chunks(1).collect();
        let answers = exchange(&hub, &bytes).await;
        // Who writes on into a connection that was closed may miss the last answer.
        assert!(matches!(statuses(&answers)[..], [200] | [200, 400]), "{what}: {answers}");
    }
    hub.stop().await;
}

#[tokio::test]
async fn heads_that_clients_send_are_answered() {
    let hub = Hub::start().await;
    for good in [
        GOOD.to_owned(),
        format!("\r\n{GOOD}"),
        "GET /healthz HTTP/1.0\r\n\r\n".to_owned(),
        "GET http://x/healthz HTTP/1.1\r\nHOST:x\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost:\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
            .to_owned(),
    ] {
        let answer = exchange(&hub, &[good.as_bytes()]).await;
        assert_eq!(statuses(&answer), [200], "{good:?}: {answer}");
    }
    // Behind a request that asked for another protocol and was not given it nothing is read.
    let upgrade =
        "GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\nGET /healthz HTTP/1.1\n\n";
    let answers = exchange(&hub, &[upgrade.as_bytes()]).await;
    assert_eq!(statuses(&answers), [200], "{answers}");
    hub.stop().await;
}

/// Reads up to the end of one answer's body, which is JSON.
async fn one_answer(stream: &mut TcpStream) -> String {
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"}") {
        let read = timeout(PATIENCE, stream.read(&mut byte)).await.expect("an answer in time");
        assert_eq!(read.unwrap(), 1, "closed after {}", String::from_utf8_lossy(&answer));
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn an_answer_before_the_body_costs_no_connection() {
    let hub = Hub::start().await;
    let mut stream = TcpStream::connect(hub.address()).await.unwrap();
    for _ in 0..5 {
        let head = "POST /api/tickets/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bad\r\n\
                    Content-Type: application/json\r\nContent-Length: 13\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = one_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        stream.write_all(b"{\"title\":\"x\"}").await.unwrap();
    }
    stream.write_all(GOOD.as_bytes()).await.unwrap();
    let answer = one_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    hub.stop().await;
}
