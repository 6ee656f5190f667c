//! `serve` from its first line to its exit code.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WsError;

use super::cli::files_beside;
use super::{Caller, PATIENCE, until};
use crate::support::process::{Process, UNLIMITED, command, folder, run};

#[test]
fn an_address_that_is_taken_is_named_and_nothing_stays_behind() {
    let (_folder, database) = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flags, wanted) in [
        (vec!["serve", "--listen", &address], "bellpull: listen: cannot listen on "),
        (
            vec!["serve", "--listen", "127.0.0.1:0", "--operator-listen", &address],
            "bellpull: operator.listen: cannot listen on ",
        ),
    ] {
        let output = run(&database, &flags);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.starts_with(wanted) && stderr.contains(&address), "{stderr}");
        assert!(output.stdout.is_empty());
        assert_eq!(files_beside(&database), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_stops_it_gracefully_and_nothing_is_lost() {
    for signal in ["-TERM", "-INT"] {
        let (_folder, database) = folder();
        let settings = [("BELLPULL_DRAIN_WINDOW_MS", "9000"), UNLIMITED];
        let hub = Process::serve(&database, &settings);
        let ada = Caller::join(&database, hub.address, "ada", "admin");
        let bob = Caller::join(&database, hub.address, "bob", "admin");
        let root = Caller::join(&database, hub.address, "root", "super_admin");
        let carl = Caller::join(&database, hub.address, "carl", "client");
        let mut sockets = vec![
            ada.socket("").await,
            ada.socket("").await,
            ada.socket("").await,
            bob.socket("").await,
        ];
        let first = carl.raise("One").await;
        for socket in &mut sockets {
            assert_eq!(socket.next().await["ticket"]["id"], first);
        }
        // A client watches the tree: that must not delay the end.
        let url = format!("http://{}/api/operator/events/", hub.address);
        let watch = bellpull::tls::client()
            .build()
            .unwrap()
            .get(url)
            .bearer_auth(&root.token)
            .send()
            .await
            .unwrap();
        assert_eq!(watch.status().as_u16(), 200);

        // Requests are under way all the time.
        let writers: Vec<_> = (0..4).map(|n| tokio::spawn(write(carl.clone(), n))).collect();
        until("something is written", async || ada.inbox().await.len() > 4).await;
        let half = HalfSent::open(&carl).await;
        let began = std::time::Instant::now();
        hub.signal(signal);
        let mut told = BTreeSet::new();
        for socket in &mut sockets {
            let (_, code, reason) = socket.drained().await;
            assert_eq!(code, 1012);
            let reason: Value = serde_json::from_str(&reason).expect("JSON");
            told.insert(reason["retry_after_ms"].as_u64().expect("a number"));
        }
        assert_eq!(told.len(), 4, "each has a time of its own: {told:?}");
        assert!(told.iter().all(|ms| *ms < 9_000), "{told:?}");
        assert!(*told.last().unwrap() >= 4_500, "they are spread: {told:?}");
        until("not ready", async || root.readiness().await != 200).await;
        let half = half.finish().await;
        assert_eq!(hub.exited().code(), Some(0), "{signal}");
        assert!(began.elapsed().as_secs() < 4, "it took {:?}", began.elapsed());
        let files = ["hub.db", "hub.db.positions"];
        assert_eq!(files_beside(&database), files, "the log is in the file again");

        let mut written = BTreeSet::from([first, half]);
        for writer in writers {
            written.extend(writer.await.unwrap());
        }
        restarted(&database, &[&ada, &bob], &written).await;
    }
}

/// A request of which the hub has read the head, and not yet the body.
struct HalfSent(TcpStream);

const BODY: &str = r#"{"title":"Half of it came before the signal"}"#;

impl HalfSent {
    async fn open(who: &Caller) -> Self {
        let mut stream = TcpStream::connect(who.at).await.unwrap();
        let head = format!(
            "POST /api/tickets/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            who.token,
            BODY.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut go_on = [0; 25];
        timeout(PATIENCE, stream.read_exact(&mut go_on)).await.expect("in time").unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self(stream)
    }

    /// Sends the rest; the ticket's id.
    async fn finish(mut self) -> i64 {
        self.0.write_all(BODY.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = self.0.read_to_string(&mut answer);
        timeout(PATIENCE, read).await.expect("in time").unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str::<Value>(body).unwrap()["id"].as_i64().unwrap()
    }
}

/// Writes until the hub is gone; what was acknowledged. An answer is 201, 503 or none at all.
async fn write(who: Caller, n: usize) -> Vec<i64> {
    let mut written = Vec::new();
    for count in 0.. {
        let body = json!({ "title": format!("writer {n}, {count}") });
        match who.post("/api/tickets/", body).await {
            (201, ticket) => written.push(ticket["id"].as_i64().unwrap()),
            (503, _) => {}
            (0, _) => break,
            (status, body) => panic!("{status} {body}"),
        }
    }
    written
}

/// All is there, and nothing is sent twice.
async fn restarted(database: &std::path::Path, admins: &[&Caller], written: &BTreeSet<i64>) {
    let hub = Process::serve(database, &[]);
    for admin in admins {
        let admin = admin.moved(hub.address);
        let inbox = admin.inbox().await;
        let tickets: BTreeSet<i64> = inbox.iter().map(|row| row.1).collect();
        assert_eq!(tickets.len(), inbox.len(), "nothing is there twice");
        assert!(tickets.is_superset(written), "{written:?} in {tickets:?}");
        let numbers: Vec<i64> = inbox.iter().map(|row| row.0).collect();
        assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
    }
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_delivered_before_a_stop_is_not_told_again() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let carl = Caller::join(&database, hub.address, "carl", "client");
    let mut socket = ada.socket("").await;
    for n in 1..=3 {
        carl.raise("Announced").await;
        assert_eq!(socket.next().await["seq"], n);
    }
    assert!(hub.terminate().success());
    let (texts, code, _) = socket.drained().await;
    assert_eq!((texts.len(), code), (0, 1012));

    let hub = Process::serve(&database, &[]);
    let (ada, carl) = (ada.moved(hub.address), carl.moved(hub.address));
    let mut socket = ada.socket("").await;
    socket.expect_nothing().await;
    assert_eq!(ada.socket("&since=1").await.next().await["seq"], 2);
    carl.raise("New").await;
    assert_eq!(socket.next().await["seq"], 4);
    assert!(hub.terminate().success());
}

#[test]
fn a_signal_right_after_the_first_line_is_a_graceful_stop_too() {
    let (_folder, database) = folder();
    for _ in 0..5 {
        assert_eq!(Process::serve(&database, &[]).terminate().code(), Some(0));
    }
    assert_eq!(files_beside(&database), ["hub.db", "hub.db.positions"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_can_have_an_address_of_their_own() {
    let (_folder, database) = folder();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let own = free.to_string();
    let hub = Process::serve(&database, &[("BELLPULL_OPERATOR_LISTEN", &own)]);
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    let there = root.moved(free);
    let operators = ["/metrics", "/api/operator/tree/", "/metrics/", "/api/operator/tree"];
    for path in operators {
        assert_eq!(root.get(path).await.0, 404, "{path}");
        assert_eq!(there.get(path).await.0, 200, "{path}");
    }
    assert_eq!(root.get("/api/operator/events/").await.0, 404);
    assert_eq!((root.restart("users/0").await, there.restart("users/0").await), (404, 200));
    for path in ["/healthz", "/readyz"] {
        until(path, async || (root.get(path).await.0, there.get(path).await.0) == (200, 200)).await;
    }
    for path in ["/api/tickets/", "/api/auth/me/", "/ws/notifications/"] {
        assert_eq!(there.get(path).await.0, 404, "{path}");
    }
    let tree = crate::support::process::run_ok(&database, &["tree"]);
    assert!(tree.contains("users/0"), "the command asks where it is answered: {tree}");
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_logged_out_stays_out_after_a_restart() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let mut logins = Vec::new();
    for _ in 0..3 {
        let body = json!({"username": "ada", "password": "correct horse"});
        let (status, answer) = ada.post("/api/auth/login/", body).await;
        assert_eq!(status, 200, "{answer}");
        let token = |name: &str| answer[name].as_str().unwrap().to_owned();
        logins.push((Caller { token: token("access"), ..ada.clone() }, token("refresh")));
    }
    let [(open, _), (left, _), (robbed, first_refresh)] = &logins[..] else { panic!() };
    assert_eq!(left.post("/api/auth/logout/", json!({})).await.0, 200);
    // A refresh token that comes back after its successor ends a login too.
    let refresh =
        async |token: &str| ada.post("/api/auth/refresh/", json!({"refresh": token})).await;
    let (_, answer) = refresh(first_refresh).await;
    assert_eq!(refresh(answer["refresh"].as_str().unwrap()).await.0, 200);
    assert_eq!(refresh(first_refresh).await.0, 401);
    hub.kill();

    // Its tokens live shorter now: that does not shorten those already issued.
    let hub = Process::serve(&database, &[("BELLPULL_AUTH_ACCESS_TTL_S", "30")]);
    for (who, is_out) in [(open, false), (left, true), (robbed, true)] {
        let who = who.moved(hub.address);
        let (status, answer) = who.get("/api/auth/me/").await;
        assert_eq!(status, if is_out { 401 } else { 200 }, "{answer}");
        let url = format!("ws://{}/ws/notifications/?token={}", hub.address, who.token);
        let stream = TcpStream::connect(hub.address).await.unwrap();
        match tokio_tungstenite::client_async(url, stream).await {
            Ok(_) => assert!(!is_out, "a socket was opened"),
            Err(WsError::Http(response)) => {
                assert!(is_out && response.status().as_u16() == 403, "{response:?}");
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(hub.terminate().success());
}

/// The log's disk may be full: `/dev/full` fails every write.
#[tokio::test]
async fn a_log_that_cannot_be_written_harms_nothing() {
    let (_folder, database) = folder();
    let settings = [("BELLPULL_LOG_FILTER", "debug")];
    let hub = Process::serve_logged(&database, &settings, Path::new("/dev/full"));
    let client = bellpull::tls::client().build().unwrap();
    let ready = client.get(format!("http://{}/readyz/", hub.address)).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    assert!(hub.terminate().success());
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let refused = command(&database).args(["serve", "--listen", "x"]).stderr(full).status();
    assert_eq!(refused.unwrap().code(), Some(2));
}
