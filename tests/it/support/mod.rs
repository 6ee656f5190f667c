//! A real hub on a port of its own and a database of its own, and people who use it.

use std::net::SocketAddr;
use std::time::Duration;

use bellpull::app::App;
use bellpull::auth::issue::Issuer;
use bellpull::config::{Config, Secret};
use bellpull_actors::domain::ids::UserId;
use bellpull_actors::domain::user::User;
use bellpull_actors::port::accounts::NewUser;
use bellpull_actors::port::clock::SystemClock;
use bellpull_actors::port::{AccountStore, Clock};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

const SECRET: &str = "a secret that only tests have, and that is long enough";

/// A running hub. Its database goes with it.
#[derive(Debug)]
pub(crate) struct Hub {
    app: App,
    client: reqwest::Client,
    _directory: tempfile::TempDir,
}

/// Somebody with an account and a token.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) username: String,
    pub(crate) token: String,
}

impl Hub {
    /// A hub as it comes.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A hub with other settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hub.db");
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            database_url: format!("sqlite://{}", path.display()),
            jwt_secret: Some(Secret::new(SECRET.to_owned())),
            ..Config::default()
        };
        change(&mut config);
        let app = App::start(config).await.expect("a hub");
        Self { app, client: reqwest::Client::new(), _directory: directory }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.app.address()
    }

    /// Where it listens, as the beginning of an address.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Makes an account, without a password, and a token for it.
    pub(crate) async fn user(&self, username: &str, role: &str) -> Person {
        let new = NewUser {
            id: None,
            username: username.to_owned(),
            email: format!("{username}@example.com"),
            full_name: String::new(),
            role: role.parse().unwrap(),
            whatsapp_number: String::new(),
            phone: String::new(),
            password_hash: None,
            now: SystemClock.now(),
        };
        let (user, _) = self.app.store().create_user(new, None).await.unwrap();
        let person = Person { id: user.id.0, username: user.username, token: String::new() };
        Person { token: self.token_expiring_in(&person, 3_600), ..person }
    }

    /// Another token for somebody.
    pub(crate) fn token_expiring_in(&self, person: &Person, seconds: i64) -> String {
        let now = SystemClock.now();
        let user = User {
            id: UserId(person.id),
            username: person.username.clone(),
            email: String::new(),
            full_name: String::new(),
            role: "client".parse().unwrap(),
            whatsapp_number: String::new(),
            phone: String::new(),
            is_active: true,
            created_at: now,
        };
        let expires_at = now + jiff::SignedDuration::from_secs(seconds);
        issuer().access(&user, None, now, expires_at).unwrap()
    }

    /// Our own command line: an account that exists nowhere.
    pub(crate) fn service(&self) -> Person {
        let token = issuer().service(SystemClock.now()).unwrap();
        Person { id: 0, username: "service".to_owned(), token }
    }

    /// A request of nobody's.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base());
        self.client.request(method, url).timeout(Duration::from_secs(20))
    }

    pub(crate) async fn get(&self, person: &Person, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path).bearer_auth(&person.token)).await
    }

    pub(crate) async fn post(&self, person: &Person, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(Method::POST, path).bearer_auth(&person.token).json(&body)).await
    }

    pub(crate) async fn patch(&self, person: &Person, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(Method::PATCH, path).bearer_auth(&person.token).json(&body)).await
    }

    pub(crate) async fn delete(&self, person: &Person, path: &str) -> (u16, Value) {
        answer(self.request(Method::DELETE, path).bearer_auth(&person.token)).await
    }
}

/// Status and body; `null` where there is no body. An error's body is always JSON.
pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let bytes = response.bytes().await.expect("a whole answer");
    if bytes.is_empty() {
        return (status, Value::Null);
    }
    let text = String::from_utf8_lossy(&bytes);
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("no JSON: {text}")))
}

fn issuer() -> Issuer {
    Issuer::new(&Secret::new(SECRET.to_owned()))
}
