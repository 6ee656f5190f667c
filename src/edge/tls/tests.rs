//! TLS connections with a real client's library on the other side.

use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::testing::{acceptor, client_config, open};
use super::{Acceptor, Failed};
use crate::stream::Stream;
use bellpull_tls::testing::NAME;

const PATIENCE: Duration = Duration::from_secs(20);
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Both sides of a TCP connection with the smallest possible buffers.
async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    socket2::SockRef::from(&server).set_send_buffer_size(4_096).unwrap();
    (client, server)
}

/// Bytes of which no two parts are alike.
fn pattern(length: u32) -> Vec<u8> {
    (0..length / 4).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

async fn accept(acceptor: &Acceptor, server: TcpStream) -> Result<Stream, Failed> {
    acceptor.accept(server, CLIENT).await.map(Stream::Tls)
}

#[tokio::test]
async fn more_than_the_connection_holds_arrives_whole_in_both_directions() {
    let (client, server) = tcp_pair().await;
    let (client, server) = open(client, server).await;
    let sent = pattern(3 << 20);
    let (mut client_reads, mut client_writes) = tokio::io::split(client);
    let (mut server_reads, mut server_writes) = tokio::io::split(server);
    let whole = async {
        let (mut downwards, mut upwards) = (Vec::new(), Vec::new());
        let (down, up, _, _) = tokio::join!(
            client_reads.read_to_end(&mut downwards),
            server_reads.read_to_end(&mut upwards),
            async {
                server_writes.write_all(&sent).await.unwrap();
                server_writes.shutdown().await.unwrap();
            },
            async {
                client_writes.write_all(&sent).await.unwrap();
                client_writes.shutdown().await.unwrap();
            },
        );
        // A client reports an end without the closing alert as an error.
        down.unwrap();
        up.unwrap();
        assert!(downwards == sent, "{} bytes to the client", downwards.len());
        assert!(upwards == sent, "{} bytes to the server", upwards.len());
    };
    timeout(PATIENCE, whole).await.unwrap();
}

#[tokio::test]
async fn the_rest_of_a_write_leaves_without_another_and_after_the_owner_has_left() {
    let (client, server) = tcp_pair().await;
    let (mut client, server) = open(client, server).await;
    let sent = pattern(1 << 20);
    let mut written = 0;
    loop {
        match server.try_write(&sent[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(written > 0 && written < sent.len(), "{written}");
    server.shutdown_write();
    assert_eq!(server.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    drop(server);
    let mut received = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut received)).await.unwrap().unwrap();
    assert!(received == sent[..written], "{} of {written}", received.len());
}

#[tokio::test]
async fn a_record_that_is_larger_than_the_buffer_is_read_in_pieces() {
    let (client, server) = tcp_pair().await;
    let (mut client, server) = open(client, server).await;
    let sent = pattern(4_000);
    client.write_all(&sent).await.unwrap();
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let mut buffer = [0; 7];
        // With plaintext queued this must not wait for the connection.
        timeout(PATIENCE, server.readable()).await.unwrap().unwrap();
        match server.try_read(&mut buffer) {
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(received == sent);
    client.shutdown().await.unwrap();
    timeout(PATIENCE, server.readable()).await.unwrap().unwrap();
    assert_eq!(server.try_read(&mut [0; 7]).unwrap(), 0);
    // The end stays one.
    timeout(PATIENCE, server.readable()).await.unwrap().unwrap();
    assert_eq!(server.try_read(&mut [0; 7]).unwrap(), 0);
}

#[tokio::test]
async fn a_handshake_and_records_may_arrive_byte_by_byte() {
    let (acceptor, certificate) = acceptor(0);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (mut tcp, server) = tcp_pair().await;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let config = builder.with_protocol_versions(&[version]).unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(NAME).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let talk = async {
            let mut has_spoken = false;
            loop {
                let mut cipher = Vec::new();
                while client.wants_write() {
                    client.write_tls(&mut cipher).unwrap();
                }
                for byte in cipher {
                    tcp.write_all(&[byte]).await.unwrap();
                }
                if !client.is_handshaking() {
                    if std::mem::replace(&mut has_spoken, true) {
                        break;
                    }
                    client.writer().write_all(b"hello").unwrap();
                    continue;
                }
                let mut received = [0; 4_096];
                let count = tcp.read(&mut received).await.unwrap();
                client.read_tls(&mut &received[..count]).unwrap();
                client.process_new_packets().unwrap();
            }
            tcp
        };
        let serve = async {
            let mut server = accept(&acceptor, server).await.unwrap();
            let mut hello = [0; 5];
            server.read_exact(&mut hello).await.unwrap();
            hello
        };
        let (_tcp, hello) = timeout(PATIENCE, async { tokio::join!(talk, serve) }).await.unwrap();
        assert_eq!(&hello, b"hello", "{version:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_record_end_the_connection_with_an_alert() {
    let (client, server) = tcp_pair().await;
    let (mut client, server) = open(client, server).await;
    let (tcp, _) = client.get_mut();
    // A record of application data that no key has encrypted.
    tcp.write_all(&[23, 3, 3, 0, 32]).await.unwrap();
    tcp.write_all(&[7; 32]).await.unwrap();
    let error = loop {
        timeout(PATIENCE, server.readable()).await.unwrap().unwrap();
        match server.try_read(&mut [0; 100]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => break other.unwrap_err(),
        }
    };
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let alert = timeout(PATIENCE, client.read(&mut [0; 10])).await.unwrap().unwrap_err();
    assert!(alert.to_string().contains("BadRecordMac"), "{alert}");
}

#[tokio::test]
async fn other_protocols_are_recognised_by_their_first_byte() {
    let (acceptor, _) = acceptor(0);
    let (mut client, server) = tcp_pair().await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let refused = timeout(PATIENCE, accept(&acceptor, server)).await.unwrap();
    assert!(matches!(refused, Err(Failed::NotTls(_))), "{refused:?}");
    let (client, server) = tcp_pair().await;
    drop(client);
    let refused = timeout(PATIENCE, accept(&acceptor, server)).await.unwrap();
    assert!(matches!(refused, Err(Failed::Closed)), "{refused:?}");
}

#[tokio::test]
async fn a_client_resumes_its_session_and_has_a_rate_of_handshakes() {
    let (acceptor, certificate) = acceptor(1);
    let connector = TlsConnector::from(client_config(certificate));
    let mut kinds = Vec::new();
    // One a second, five at once.
    for _ in 0..5 {
        let (client, server) = tcp_pair().await;
        let name = ServerName::try_from(NAME).unwrap();
        let (client, server) =
            tokio::join!(connector.connect(name, client), accept(&acceptor, server));
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        // The tickets come with the first bytes.
        server.write_all(b"x").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        kinds.push(client.get_ref().1.handshake_kind().unwrap());
    }
    let resumed = kinds.iter().filter(|kind| **kind == rustls::HandshakeKind::Resumed).count();
    assert_eq!(resumed, 4, "{kinds:?}");
    let (_client, server) = tcp_pair().await;
    let refused = timeout(PATIENCE, accept(&acceptor, server)).await.unwrap();
    assert!(matches!(refused, Err(Failed::Closed)), "{refused:?}");
}
