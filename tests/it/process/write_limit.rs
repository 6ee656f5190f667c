//! `http.writes_per_s`: how often an account may write, over REST and over sockets together.

use futures_util::SinkExt;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Caller, PATIENCE};
use crate::support::process::{Process, folder, run_ok};

/// Statuses of so many small writes at once, and a refused one with its wait.
async fn write_at_once(who: &Caller, count: usize) -> (Vec<u16>, Option<(u64, Value)>) {
    let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
    let writes = (0..count).map(|_| {
        let url = format!("http://{}/api/preferences/", who.at);
        let request = client.put(url).bearer_auth(&who.token).json(&json!({"email_digest": "off"}));
        async move { request.send().await.unwrap() }
    });
    let (mut statuses, mut refused) = (Vec::new(), None);
    for response in join_all(writes).await {
        let status = response.status().as_u16();
        statuses.push(status);
        if status == 429 {
            let wait = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            refused = Some((wait, response.json().await.unwrap()));
        }
    }
    (statuses, refused)
}

fn count(statuses: &[u16], wanted: u16) -> usize {
    statuses.iter().filter(|status| **status == wanted).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_writes_fifty_at_once_by_default_an_admin_ten_times_as_many() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let carl = Caller::join(&database, hub.address, "carl", "client");
    let dora = Caller::join(&database, hub.address, "dora", "client");
    let admin = Caller::join(&database, hub.address, "admin", "admin");
    let (statuses, refused) = write_at_once(&carl, 200).await;
    let (taken, thrown) = (count(&statuses, 200), count(&statuses, 429));
    assert!(taken >= 50, "only {taken} were taken");
    assert!(thrown > 0 && taken + thrown == 200, "{taken} taken, {thrown} refused");
    let (wait, body) = refused.unwrap();
    assert_eq!((wait, &body["code"]), (1, &json!("throttled")), "{body}");
    // Reading is not limited, others are not held up, and admins have more.
    assert_eq!(carl.get("/api/preferences/").await.0, 200);
    assert_eq!(count(&write_at_once(&dora, 40).await.0, 200), 40);
    assert_eq!(count(&write_at_once(&admin, 300).await.0, 200), 300);
}

#[tokio::test]
async fn no_limit_where_none_is_set() {
    let (_folder, database) = folder();
    // Nor of the requests that an account may have in progress.
    let settings =
        [("BELLPULL_HTTP_WRITES_PER_S", "0"), ("BELLPULL_HTTP_MAX_REQUESTS_PER_USER", "0")];
    let hub = Process::serve(&database, &settings);
    let carl = Caller::join(&database, hub.address, "carl", "client");
    assert_eq!(count(&write_at_once(&carl, 200).await.0, 200), 200);
}

/// A path of the document with something in the place of its parameters.
fn filled(path: &str) -> String {
    let mut filled = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        filled.push('/');
        filled.push_str(match part {
            "{path}" => "users/0",
            "{event}" => "ticket_created",
            "{channel}" => "EMAIL",
            "{locale}" => "en",
            _ if part.starts_with('{') => "4711",
            word => word,
        });
    }
    filled + "/"
}

#[tokio::test]
async fn every_documented_write_of_an_account_is_limited() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[("BELLPULL_HTTP_WRITES_PER_S", "1")]);
    let carl = Caller::join(&database, hub.address, "carl", "client");
    let document: Value = serde_json::from_str(&run_ok(&database, &["openapi"])).unwrap();
    let (mut seen, mut free) = (0, Vec::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let is_open = operation["security"] == json!([{}]);
            if is_open || !["post", "put", "patch", "delete"].contains(&method.as_str()) {
                continue;
            }
            seen += 1;
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let mut is_limited = false;
            // The first of them may still find some of the five, or one that has come since.
            for _ in 0..20 {
                let status = carl.ask(method.clone(), &filled(path), &json!({})).await.0;
                assert!(![0, 401, 405].contains(&status), "{method} {path}: {status}");
                is_limited = status == 429;
                if is_limited {
                    break;
                }
            }
            // Also that of the one that is not: too many may be in progress.
            let is_documented = operation["responses"]["429"].is_object();
            assert!(is_documented, "{method} {path}: the document does not say so");
            if !is_limited {
                free.push(path.as_str());
            }
        }
    }
    assert!(seen > 35, "{seen}");
    assert!(free.is_empty(), "{free:?}");
}

/// Says something over a socket of the protocol's own and waits for its reply.
async fn reply(socket: &mut super::Socket, command: &Value) -> Value {
    socket.0.send(Message::text(command.to_string())).await.unwrap();
    loop {
        let told = socket.next().await;
        if told["type"] == "reply" && told["id"] == command["id"] {
            return told;
        }
    }
}

#[tokio::test]
async fn sockets_and_requests_share_one_limit() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let carl = Caller::join(&database, hub.address, "carl", "client");
    let url = format!("ws://{}/ws/?dialect=bellpull.v1&token={}", hub.address, carl.token);
    let stream = tokio::net::TcpStream::connect(hub.address).await.unwrap();
    let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let mut socket = super::Socket(socket);
    let mut refused = Value::Null;
    for n in 0..90 {
        // Names a row that is not there: nothing is written, and all the same it was a try.
        let mark = json!({"type": "unread", "id": n.to_string(), "ids": [n + 1]});
        let told = reply(&mut socket, &mark).await;
        if told["ok"] == false {
            refused = told;
            break;
        }
    }
    assert_eq!(refused["code"], "throttled", "{refused}");
    let wait_ms = refused["retry_after_ms"].as_u64().unwrap();
    assert!((1..=1_000).contains(&wait_ms), "{refused}");
    let (statuses, _) = write_at_once(&carl, 30).await;
    assert!(count(&statuses, 429) > 0, "{statuses:?}");
    // What writes nothing goes on, on both.
    let watch = json!({"type": "subscribe", "id": "s", "stream": "project:1:tickets"});
    let told = reply(&mut socket, &watch).await;
    assert_eq!(told["ok"], true, "{told}");
}
