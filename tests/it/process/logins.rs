//! Logins under attack: memory, and clients with the right password.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::PATIENCE;
use crate::support::process::{Process, folder, person};

/// Connections of the attacker.
const CONNECTIONS: usize = 80;

/// How long a login with the right password may take while others attack. It takes two hashes of
/// 20 ms; this allows for a debug build on a machine that runs other tests.
const LOGIN_MAX: Duration = Duration::from_secs(10);

/// A client with a connection of its own, from this loopback address.
fn client(from: [u8; 4]) -> Client {
    let from = IpAddr::V4(Ipv4Addr::from(from));
    bellpull::tls::client().timeout(PATIENCE).local_address(from).build().unwrap()
}

async fn login(client: &Client, hub: &Process, username: &str, password: &str) -> StatusCode {
    let url = format!("http://{}/api/auth/login/", hub.address);
    let body = json!({"username": username, "password": password});
    let response = client.post(url).json(&body).send().await.unwrap();
    let status = response.status();
    if status == StatusCode::TOO_MANY_REQUESTS {
        let retry_after = response.headers()["retry-after"].to_str().unwrap();
        assert!(retry_after.parse::<u32>().unwrap() >= 1, "{retry_after}");
    }
    response.bytes().await.unwrap();
    status
}

/// Connections that try to log in without a pause, until they are stopped.
struct Attack {
    is_over: Arc<AtomicBool>,
    /// Each returns how often it was answered 503.
    tasks: Vec<JoinHandle<usize>>,
}

impl Attack {
    /// `name` gives the username of the n-th attempt of a connection.
    fn begin(hub: &Arc<Process>, name: fn(usize, usize) -> String) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let task = |connection| {
            let (hub, is_over) = (Arc::clone(hub), Arc::clone(&is_over));
            tokio::spawn(async move {
                let client = client([127, 0, 0, 1]);
                let (mut attempt, mut unavailable) = (0, 0);
                while !is_over.load(Ordering::Relaxed) {
                    let name = name(connection, attempt);
                    let status = login(&client, &hub, &name, "a guess").await;
                    unavailable += usize::from(status == StatusCode::SERVICE_UNAVAILABLE);
                    attempt += 1;
                }
                unavailable
            })
        };
        let tasks = (0..CONNECTIONS).map(task).collect();
        Self { is_over, tasks }
    }

    /// Stops it; how often it was answered 503.
    async fn end(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        join_all(self.tasks).await.into_iter().map(Result::unwrap).sum()
    }
}

/// The resident memory of a process, in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_failed_logins_take_at_most_30_mib() {
    if !Path::new("/proc/self/status").exists() {
        return; // it is read on Linux alone
    }
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let before = resident_kib(hub.pid());
    let failed = AtomicUsize::new(0);
    join_all((0..CONNECTIONS).map(async |connection| {
        let client = client([127, 0, 0, 1]);
        for attempt in 0..200 {
            let name = format!("unknown-{connection}-{attempt}");
            if login(&client, &hub, &name, "a guess").await == StatusCode::UNAUTHORIZED {
                failed.fetch_add(1, Ordering::Relaxed);
            }
            if failed.load(Ordering::Relaxed) >= 500 {
                return;
            }
        }
    }))
    .await;
    let grown = resident_kib(hub.pid()).saturating_sub(before);
    assert!(failed.into_inner() >= 500);
    assert!(grown <= 30 * 1024, "{grown} KiB more than before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_names_on_80_connections_keep_no_account_out() {
    let (_folder, database) = folder();
    let hub = Arc::new(Process::serve(&database, &[]));
    person(&database, "ada", "client");
    let attack = Attack::begin(&hub, |connection, attempt| format!("no-{connection}-{attempt}"));
    let mut outcomes = Vec::new();
    for _ in 0..12 {
        let victim = client([127, 0, 0, 1]);
        let attempt = login(&victim, &hub, "ada", "correct horse");
        outcomes.push(tokio::time::timeout(LOGIN_MAX, attempt).await.map_err(|_| "too late"));
    }
    let unavailable = attack.end().await;
    assert_eq!(outcomes, [Ok(StatusCode::OK); 12]);
    assert_eq!(unavailable, 0, "an attack is told 429");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_password_gets_in_after_fifty_wrong_ones_from_its_address() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    person(&database, "ada", "client");
    let here = client([127, 0, 0, 1]);
    let wrong = (0..50).map(|n| {
        let (here, hub) = (&here, &hub);
        async move { login(here, hub, "ada", &format!("guess {n}")).await }
    });
    let outcomes = join_all(wrong).await;
    let told = outcomes.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count();
    assert!((10..=12).contains(&told), "{told} guesses were answered: {outcomes:?}");
    assert_eq!(login(&here, &hub, "ada", "correct horse").await, StatusCode::OK);
    // From now on this name and address have a place of their own.
    assert_eq!(login(&here, &hub, "ada", "correct horse").await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_whose_clients_disconnect_take_no_turn() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let mut gone = Vec::new();
    for n in 0..400 {
        let body = format!("{{\"username\":\"gone-{n}\",\"password\":\"a guess\"}}");
        let length = body.len();
        let mut stream = TcpStream::connect(hub.address).await.unwrap();
        let request = format!(
            "POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        gone.push(stream);
    }
    drop(gone);
    // All of them would take 8 s and more; this one is of the class that is served last.
    let began = Instant::now();
    let here = client([127, 0, 0, 1]);
    assert_eq!(login(&here, &hub, "unknown", "a guess").await, StatusCode::UNAUTHORIZED);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_does_not_use_up_the_registrations_of_all() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[("BELLPULL_AUTH_REGISTRATIONS_PER_MIN", "12")]);
    let register = async |client: &Client, name: String| {
        let url = format!("http://{}/api/auth/register/", hub.address);
        let body = json!({"username": name, "email": format!("{name}@example.com"),
            "password": "correct horse"});
        client.post(url).json(&body).send().await.unwrap().status()
    };
    let noisy = client([127, 0, 0, 1]);
    let mut outcomes = Vec::new();
    for n in 0..20 {
        outcomes.push(register(&noisy, format!("noisy-{n}")).await);
    }
    let made = outcomes.iter().filter(|status| **status == StatusCode::CREATED).count();
    assert_eq!(outcomes.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
    let other = client([127, 0, 0, 2]);
    let status = register(&other, "quiet".to_owned()).await;
    assert_eq!(status, StatusCode::CREATED, "after {made} of another client");
    assert!((2..=4).contains(&made), "{made} of one client");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_behind_a_trusted_proxy_are_told_apart() {
    let (_folder, database) = folder();
    let settings = [
        ("BELLPULL_AUTH_REGISTRATIONS_PER_MIN", "6"),
        ("BELLPULL_HTTP_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8"),
    ];
    let hub = Process::serve(&database, &settings);
    let mut made = 0;
    let mut register = async |from: [u8; 4], header: (&str, &str)| {
        made += 1;
        let url = format!("http://{}/api/auth/register/", hub.address);
        let body = json!({"username": format!("user-{made}"),
            "email": format!("user-{made}@example.com"), "password": "correct horse"});
        let request = client(from).post(url).json(&body).header(header.0, header.1);
        request.send().await.unwrap().status().as_u16()
    };
    let proxy = [127, 0, 0, 1];
    assert_eq!(register(proxy, ("x-forwarded-for", "192.0.2.1")).await, 201);
    assert_eq!(register(proxy, ("x-forwarded-for", "192.0.2.1")).await, 429);
    // What the client itself wrote stands to the left of what the proxies wrote.
    assert_eq!(register(proxy, ("x-forwarded-for", "192.0.2.9, 192.0.2.1, 10.1.1.1")).await, 429);
    assert_eq!(register(proxy, ("x-forwarded-for", "192.0.2.2")).await, 201);
    assert_eq!(register(proxy, ("forwarded", "for=192.0.2.2;proto=https")).await, 429);
    assert_eq!(register(proxy, ("forwarded", "for=\"[2001:db8::1]:4711\"")).await, 201);
    // Another peer speaks for itself alone.
    assert_eq!(register([127, 0, 0, 2], ("x-forwarded-for", "192.0.2.3")).await, 201);
    assert_eq!(register([127, 0, 0, 2], ("x-forwarded-for", "192.0.2.4")).await, 429);
}
