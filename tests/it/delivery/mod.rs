//! What leaves the house: the binary with a real SMTP server, and with HTTP servers in the
//! shape of WhatsApp's and of Twilio's.

mod email;
mod escalation;
mod fault;
mod kill;
mod late;
mod outbound;
mod passwords;
mod postfix;
mod push;
mod scripted;
mod sink;
mod slow;
mod sms;
mod smtp;
mod templates;
mod unsubscribe;
mod webhook;
mod whatsapp;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::process::run_ok;

/// How long anything may take: long enough for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(40);

/// A user at a hub in another process, with an e-mail address and a number.
#[derive(Debug, Clone)]
struct Colleague {
    id: i64,
    token: String,
}

impl Colleague {
    fn join(database: &Path, name: &str, role: &str, number: &str) -> Self {
        let email = format!("{name}@example.com");
        let mut arguments = vec!["user", "create", "--username", name, "--password"];
        arguments.extend(["correct horse", "--role", role, "--email", &email]);
        arguments.extend(["--whatsapp-number", number, "--phone", number]);
        let user: Value = serde_json::from_str(&run_ok(database, &arguments)).unwrap();
        let token = run_ok(database, &["token", "--user", name]);
        Self { id: user["id"].as_i64().unwrap(), token }
    }

    async fn ask(&self, at: SocketAddr, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
        let request = client.request(method, format!("http://{at}{path}"));
        let response = request.bearer_auth(&self.token).json(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
    }

    async fn get(&self, at: SocketAddr, path: &str) -> Value {
        let (status, answer) = self.ask(at, Method::GET, path, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Does something that must be done; the answer.
    async fn post(&self, at: SocketAddr, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(at, Method::POST, path, &body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// Raises a ticket; its id.
    async fn raise(&self, at: SocketAddr, title: &str) -> i64 {
        self.post(at, "/api/tickets/", json!({ "title": title })).await["id"].as_i64().unwrap()
    }

    /// How many deliveries there are on a channel with a status.
    async fn count(&self, at: SocketAddr, channel: &str, status: &str) -> i64 {
        let path = format!("/api/deliveries/?channel={channel}&status={status}&page_size=1");
        self.get(at, &path).await["count"].as_i64().unwrap()
    }

    /// The newest delivery of a channel.
    async fn newest(&self, at: SocketAddr, channel: &str) -> Value {
        let path = format!("/api/deliveries/?channel={channel}&page_size=1");
        self.get(at, &path).await["results"][0].clone()
    }

    /// What a channel tells operators.
    async fn channel(&self, at: SocketAddr, name: &str) -> Value {
        let tree = self.get(at, "/api/operator/tree/").await;
        let of = |node: &Value, path: &str| {
            let children = node["children"].as_array().unwrap();
            children.iter().find(|child| child["path"] == path).cloned().unwrap_or_default()
        };
        of(&of(&tree, "channels"), &format!("channels/{name}"))
    }
}

/// Looks until it is so.
async fn until<F: AsyncFnMut() -> bool>(what: &str, mut is_so: F) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
