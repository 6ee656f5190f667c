//! A real hub on a free port and a store of its own, and its users.
//!
//! The store is a temporary SQLite file; with `TEST_STORE=postgres`, a database on the server that
//! `TEST_POSTGRES` names.

pub mod limited;
pub mod line;
pub mod many;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod services;
pub mod skip;
pub mod standby;
pub mod terminal;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bellpull::app::{App, StartError};
use bellpull::config::{Config, Secret};
use bellpull::nodes::Membership;
use bellpull::storage::StoreOptions;
use bellpull_domain::address::Addresses;
use bellpull_domain::node::NodeName;
use bellpull_domain::user::Origin;
use bellpull_port::accounts::NewUser;
use bellpull_port::{LeaseOwner, Store};
use jiff::Timestamp;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

/// How long anything may take: long enough for a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Signs the tests' tokens.
pub const SECRET: &str = "a secret of the tests alone, for signing";

/// The owner of a test's leases; a hub's channels have another.
pub fn owner() -> LeaseOwner {
    LeaseOwner::new("test", Timestamp::UNIX_EPOCH)
}

/// A hub in this process.
pub struct Hub {
    app: App,
    http: Client,
    database: PathBuf,
    _folder: tempfile::TempDir,
    /// Dropped after the hub.
    postgres: Option<postgres::Database>,
}

/// A user with an account and a token.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: i64,
    pub username: String,
    pub token: String,
}

impl Hub {
    /// A hub with the defaults.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A hub with other settings.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(change, StoreOptions { exclusive: true, ..StoreOptions::default() }).await
    }

    /// A hub with other settings and another kind of store.
    pub async fn start_on(change: impl FnOnce(&mut Config), options: StoreOptions) -> Self {
        Self::start_by(change, async |config| App::start_with(config, options).await).await
    }

    /// A hub on a store that the test has opened.
    pub async fn start_on_store(store: Arc<dyn Store>) -> Self {
        Self::start_by(|_| {}, async |config| App::start_on_store(&config, store).await).await
    }

    /// A node of that name beside others on their store. The first that stops closes it.
    pub async fn start_node(store: &Arc<dyn Store>, name: &str) -> Result<Self, StartError> {
        let name = NodeName::parse(name);
        let store = Arc::clone(store);
        let start = async |config| App::start_on_store(&config, store).await;
        Self::try_start_by(|config| config.node = name, start).await
    }

    /// A node of that name that meets others on a Redis: on their store, or with one of its own.
    pub async fn start_joined(store: Option<Arc<dyn Store>>, name: &str, redis: &str) -> Self {
        let (name, redis) = (NodeName::parse(name), Secret::new(redis.to_owned()));
        let change = |config: &mut Config| {
            config.node = name;
            config.redis_url = Some(redis);
        };
        let start = async |config| match store {
            Some(store) => App::start_on_store(&config, store).await,
            None => App::start(config).await,
        };
        Self::start_by(change, start).await
    }

    /// It among the nodes.
    pub fn nodes(&self) -> &Membership {
        self.app.nodes()
    }

    async fn start_by(
        change: impl FnOnce(&mut Config),
        start: impl AsyncFnOnce(Config) -> Result<App, StartError>,
    ) -> Self {
        Self::try_start_by(change, start).await.unwrap()
    }

    async fn try_start_by(
        change: impl FnOnce(&mut Config),
        start: impl AsyncFnOnce(Config) -> Result<App, StartError>,
    ) -> Result<Self, StartError> {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("hub.db");
        let postgres = match is_on_postgres() {
            true => Some(postgres::Database::create().await),
            false => None,
        };
        let url = match &postgres {
            Some(postgres) => postgres.url(),
            None => format!("sqlite://{}", database.display()),
        };
        let mut config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            database_url: url.into(),
            jwt_secret: Some(Secret::new(SECRET.to_owned())),
            drain_notice_ms: 0,
            drain_window_ms: 200,
            ..Config::default()
        };
        // Tests raise and mark as fast as they can; those of the limit set it.
        config.http.writes_per_s = 0;
        change(&mut config);
        let app = start(config).await?;
        // As browsers do.
        let follow = reqwest::redirect::Policy::limited(5);
        let http = bellpull::tls::client().redirect(follow).build().unwrap();
        Ok(Self { app, http, database, _folder: folder, postgres })
    }

    /// Makes an account (without a password: see `register` for those) and a token for it.
    pub async fn user(&self, username: &str, role: &str) -> Person {
        account(&**self.store(), username, role).await
    }

    /// A user's token that expires soon.
    pub fn token_expiring_in(&self, person: &Person, seconds: i64) -> String {
        token(person.id, seconds)
    }

    pub fn address(&self) -> SocketAddr {
        self.app.address()
    }

    pub fn base(&self) -> String {
        self.app.url()
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        self.app.store()
    }

    /// The file of its SQLite database, where the test names no other. A test that asks for it is
    /// about SQLite: see [`sqlite_only`].
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// A request without a token, for the raw cases.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base()))
    }

    pub async fn get(&self, who: &Person, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path).bearer_auth(&who.token)).await
    }

    pub async fn post(&self, who: &Person, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(Method::POST, path).bearer_auth(&who.token).json(&body)).await
    }

    pub async fn patch(&self, who: &Person, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(Method::PATCH, path).bearer_auth(&who.token).json(&body)).await
    }

    pub async fn delete(&self, who: &Person, path: &str) -> (u16, Value) {
        answer(self.request(Method::DELETE, path).bearer_auth(&who.token)).await
    }

    /// Raises a ticket; its id.
    pub async fn ticket(&self, who: &Person, title: &str) -> i64 {
        let (status, ticket) = self.post(who, "/api/tickets/", json!({"title": title})).await;
        assert_eq!(status, 201, "{ticket}");
        ticket["id"].as_i64().unwrap()
    }

    /// Makes the actor at that path of the tree fail.
    pub fn panic_at(&self, path: &str) {
        self.app.hub().panic_at(path);
    }

    /// How many sessions it has.
    pub fn sessions(&self) -> usize {
        self.app.hub().users.sessions()
    }

    pub async fn stop(self) {
        self.app.stop().await;
    }
}

/// Makes an account (without a password) and a token for it.
pub async fn account(store: &dyn Store, username: &str, role: &str) -> Person {
    let new = NewUser {
        id: None,
        origin: Origin::Hub,
        username: username.to_owned(),
        addresses: Addresses::email(format!("{username}@example.com")),
        full_name: String::new(),
        role: role.parse().unwrap(),
        is_email_verified: true,
        password_hash: None,
        now: Timestamp::now(),
    };
    let (user, _) = store.create_user(new, None).await.unwrap();
    Person { id: user.id.0, username: username.to_owned(), token: token(user.id.0, 3_600) }
}

/// Whether whole-system tests run on PostgreSQL this time.
pub fn is_on_postgres() -> bool {
    std::env::var("TEST_STORE").is_ok_and(|store| store == "postgres")
}

/// Whether this test, which is about SQLite alone, has nothing to do this time.
pub fn sqlite_only() -> bool {
    is_on_postgres()
}

/// The status and the body (null where there is none) of an answer.
pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
    (status, body)
}

/// Seconds since 1970.
pub fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    since.as_secs() as i64
}

fn token(user: i64, ttl_s: i64) -> String {
    sign(&json!({"user_id": user, "token_type": "access", "exp": now_s() + ttl_s}))
}

/// Any claims, signed as the hub signs.
pub fn sign(claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}
