//! Signals: which end the hub and how, which have it read files anew, which do nothing.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use sqlx::{Connection, Executor, PgConnection};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::PATIENCE;
use crate::support::postgres::{Database, server};
use crate::support::process::{Process, command, folder, person};
use crate::support::skip::skipped;

/// Each would end a process that does not handle it.
const HARMLESS: [&str; 6] = ["-HUP", "-USR1", "-USR2", "-ALRM", "-VTALRM", "-IO"];

async fn socket(hub: &Process, token: &str) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let url = format!("ws://{}/ws/?token={token}&dialect=bellpull.v1", hub.address);
    let mut socket = tokio_tungstenite::connect_async(url).await.unwrap().0;
    let first = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(first, Message::Text(_)), "{first:?}");
    socket
}

/// Whether it has answered a request.
async fn answers(hub: &Process) -> bool {
    let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
    client.get(format!("http://{}/readyz/", hub.address)).send().await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_signal_that_ends_the_hub_drains_it_and_the_others_do_nothing() {
    let (_folder, database) = folder();
    let mut token = String::new();
    for ends in ["-TERM", "-INT", "-QUIT"] {
        let hub = Process::serve(&database, &[("BELLPULL_DRAIN_WINDOW_MS", "100")]);
        if token.is_empty() {
            token = person(&database, "ada", "agent").1;
        }
        let mut socket = socket(&hub, &token).await;
        for harmless in HARMLESS {
            hub.signal(harmless);
            assert!(answers(&hub).await, "{harmless} ended the hub");
        }
        hub.signal(ends);
        let code = loop {
            match timeout(PATIENCE, socket.next()).await.expect("an end in time") {
                Some(Ok(Message::Close(frame))) => break frame.map(|frame| u16::from(frame.code)),
                Some(Ok(_)) => {}
                other => panic!("{ends}: {other:?}"),
            }
        };
        assert_eq!(code, Some(1012), "{ends}");
        let status = hub.exited();
        assert!(status.success(), "{ends}: {status:?}, by signal {:?}", status.signal());
    }
}

fn certificate(folder: &Path) -> [(&'static str, String); 2] {
    let made = rcgen::generate_simple_self_signed(["hub.example".to_owned()]).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    [("BELLPULL_TLS_CERT", text(&cert)), ("BELLPULL_TLS_KEY", text(&key))]
}

#[test]
fn a_certificate_that_cannot_be_read_ends_neither_renewal_nor_the_hubs_obedience() {
    let (folder, database) = folder();
    let settings = certificate(folder.path());
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let [cert, key] = settings;
    let settings = [cert, key, ("BELLPULL_LOG_FILTER", "info")];
    let log = folder.path().join("log");
    let hub = Process::serve_logged(&database, &settings, &log);
    let says = |text: &str| {
        let deadline = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(&log).unwrap().contains(text) {
            assert!(Instant::now() < deadline, "never said: {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let cert = folder.path().join("cert.pem");
    std::fs::remove_file(&cert).unwrap();
    // Without a writer, opening it would block.
    assert!(Command::new("mkfifo").arg(&cert).status().unwrap().success());
    hub.signal("-HUP");
    says("is not a regular file");
    std::fs::remove_file(&cert).unwrap();
    certificate(folder.path());
    hub.signal("-HUP");
    says("a new TLS certificate is in use");
    std::fs::remove_file(&cert).unwrap();
    assert!(Command::new("mkfifo").arg(&cert).status().unwrap().success());
    hub.signal("-HUP");
    assert!(hub.terminate().success());
}

/// Waits for its end.
fn ended(child: &mut Child, within: Duration) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

#[tokio::test]
async fn a_start_behind_a_locked_migration_is_ended_at_once() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let (_folder, file) = folder();
    let database = Database::blank().await;
    let mut migrated = command(&file);
    migrated.env("BELLPULL_DATABASE_URL", database.url()).arg("migrate");
    assert!(migrated.status().unwrap().success());
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    let mut work = other.begin().await.unwrap();
    work.execute("LOCK TABLE _sqlx_migrations IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut hub = command(&file);
    hub.env("BELLPULL_DATABASE_URL", database.url()).args(["serve", "--listen", "127.0.0.1:0"]);
    let mut hub = hub.stdout(Stdio::null()).spawn().unwrap();
    let mut admin = PgConnection::connect(&database.url()).await.unwrap();
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                 AND datname = current_database())";
    let deadline = Instant::now() + PATIENCE;
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut admin).await.unwrap() {
        assert!(Instant::now() < deadline, "it never waits for the lock");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pid = hub.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = ended(&mut hub, Duration::from_secs(5));
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    work.rollback().await.unwrap();
}
