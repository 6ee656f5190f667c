//! TLS by the hub itself, with a certificate in two files.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bellpull::config::TlsConfig;
use bellpull::tls::{Own, hub_client};
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::PATIENCE;
use crate::support::process::{Process, command, folder, person_with, run};

const NAME: &str = "hub.example";

/// Writes a new certificate and its key.
fn write_files(folder: &Path) -> TlsConfig {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let files = TlsConfig { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
    fs::write(&files.cert, made.cert.pem()).unwrap();
    fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

fn settings(files: &TlsConfig) -> [(&'static str, &str); 3] {
    [
        ("BELLPULL_TLS_CERT", files.cert.to_str().unwrap()),
        ("BELLPULL_TLS_KEY", files.key.to_str().unwrap()),
        ("BELLPULL_HTTP_WRITES_PER_S", "0"),
    ]
}

/// A client's connection, which trusts that certificate alone.
async fn connect(hub: &Process, files: &TlsConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.cert).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let tcp = TcpStream::connect(hub.address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), tcp).await
}

async fn socket(
    hub: &Process,
    files: &TlsConfig,
    token: &str,
) -> WebSocketStream<TlsStream<TcpStream>> {
    let stream = connect(hub, files).await.unwrap();
    let url = format!("wss://{NAME}/ws/?token={token}&dialect=bellpull.v1");
    tokio_tungstenite::client_async(url, stream).await.unwrap().0
}

/// The next frame with JSON.
async fn heard(socket: &mut WebSocketStream<TlsStream<TcpStream>>) -> Value {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("a frame in time").unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other @ (Message::Binary(_) | Message::Close(_) | Message::Frame(_)) => {
                panic!("{other:?}")
            }
        }
    }
}

async fn send(url: &str, own: &Own, token: &str, to: i64, title: &str, text: &str) {
    let client = hub_client(Some(own.clone())).timeout(PATIENCE).build().unwrap();
    let body = json!({"recipients": [to], "title": title, "message": text});
    let url = format!("{url}/api/notifications/");
    let answer = client.post(url).bearer_auth(token).json(&body).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 202, "{:?}", answer.text().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_rest_and_commands_work_over_the_hubs_own_tls() {
    const TEXT_BYTES: usize = 3_000;
    let (folder, database) = folder();
    let files = write_files(folder.path());
    let own = Own::read(&files).unwrap();
    let hub = Process::serve(&database, &settings(&files));
    let url = format!("https://{}", hub.address);
    let (_, admin) = person_with(&database, &[], "boss", "admin");
    let (id, token) = person_with(&database, &[], "ada", "agent");
    // A backlog of many records, while the client reads nothing.
    for n in 0..100 {
        send(&url, &own, &admin, id, &format!("Title {n}"), &"x".repeat(TEXT_BYTES)).await;
    }
    let mut socket = socket(&hub, &files, &token).await;
    let mut titles = Vec::new();
    while titles.len() < 100 {
        let frame = heard(&mut socket).await;
        if frame["type"] == "notification" {
            assert!(frame.to_string().len() > TEXT_BYTES, "{frame}");
            titles.push(frame["title"].as_str().unwrap_or_default().to_owned());
        }
    }
    let wanted: Vec<String> = (0..100).map(|n| format!("Title {n}")).collect();
    assert_eq!(titles, wanted);
    socket.send(Message::Text(r#"{"type":"ping"}"#.into())).await.unwrap();
    assert_eq!(heard(&mut socket).await["type"], "pong");
    // Links name what the client used.
    let client = hub_client(Some(own.clone())).timeout(PATIENCE).build().unwrap();
    let page = client.get(format!("{url}/api/notifications/?page_size=1")).bearer_auth(&token);
    let page: Value = page.send().await.unwrap().json().await.unwrap();
    assert!(page["next"].as_str().unwrap().starts_with("https://"), "{page}");
    // A client without the certificate is told why, by its own library.
    assert!(bellpull::tls::client().build().unwrap().get(&url).send().await.is_err());
    // Commands find the hub by the database, and know it by its certificate.
    let asked = |arguments: &[&str]| {
        let mut command = command(&database);
        let listen = hub.address.to_string();
        command.args(arguments).env("BELLPULL_LISTEN", listen).envs(settings(&files));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    assert!(asked(&["check", "--running"]).contains("is ready"));
    assert!(asked(&["tree"]).contains("users/0"));
    assert!(asked(&["check"]).contains("the certificate is valid until"));
    let told = run(&database, &["tree"]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("a certificate that is not trusted"), "{told}");
    // A stop ends the socket as over plain TCP.
    hub.signal("-TERM");
    let end = timeout(PATIENCE, async {
        loop {
            if let Some(Ok(Message::Close(frame))) = socket.next().await {
                break frame.unwrap();
            }
        }
    });
    assert_eq!(u16::from(end.await.unwrap().code), 1012);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_used_and_open_sockets_stay() {
    let (folder, database) = folder();
    let files = write_files(folder.path());
    let log = database.with_file_name("log");
    let filter = ("BELLPULL_LOG_FILTER", "info");
    let hub =
        Process::serve_logged(&database, &[settings(&files).as_slice(), &[filter]].concat(), &log);
    let url = format!("https://{}", hub.address);
    let (_, admin) = person_with(&database, &[], "boss", "admin");
    let (id, token) = person_with(&database, &[], "ada", "agent");
    let mut socket = socket(&hub, &files, &token).await;
    while heard(&mut socket).await["type"] != "welcome" {}
    write_files(folder.path());
    let renewed = Own::read(&files).unwrap();
    let begun = Instant::now();
    while connect(&hub, &files).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "the new certificate is not used");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(fs::read_to_string(&log).unwrap().contains("a new TLS certificate is in use"));
    send(&url, &renewed, &admin, id, "Still", "here").await;
    while heard(&mut socket).await["type"] != "notification" {}
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_is_told_that_the_address_speaks_tls() {
    let (folder, database) = folder();
    let files = write_files(folder.path());
    let hub = Process::serve(&database, &settings(&files));
    let mut stream = TcpStream::connect(hub.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with(r#""code":"tls_required"}"#), "{answer}");
}

#[test]
fn unusable_files_are_refused_at_the_start() {
    let (folder, database) = folder();
    let files = write_files(folder.path());
    let refused = |arguments: &[&str]| {
        let output = run(&database, &[&["serve"], arguments].concat());
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let (cert, key) = (files.cert.to_str().unwrap(), files.key.to_str().unwrap());
    let alone = refused(&["--tls-cert", cert]);
    assert!(alone.contains("--tls-cert: needs tls.key as well"), "{alone}");
    let missing = refused(&["--tls-cert", cert, "--tls-key", "/no.pem"]);
    assert!(missing.contains("tls.key: /no.pem: No such file"), "{missing}");
    let swapped = refused(&["--tls-cert", key, "--tls-key", cert]);
    assert!(swapped.contains("no certificate in it"), "{swapped}");
    assert!(!database.exists(), "nothing was made");
}
