//! Two nodes on one PostgreSQL database, each with a store of its own: what one process kept in
//! memory holds for both, with a Redis between them and without.

mod acl;
mod by_hand;
mod clocks;
mod copies;
mod due;
mod fail_over;
mod forged;
mod hints;
mod hostile;
mod leases;
mod limits;
mod members;
mod post_office;
mod presence;
mod rates;
mod rights;
mod streams;

use std::net::SocketAddr;

use bellpull::config::{Config, Secret};
use bellpull::storage::{self, StoreOptions};
use bellpull_domain::node::NodeName;
use bellpull_domain::routing::{Channel, Channels};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::postgres::{self, Database};
use crate::support::process::{Process, UNLIMITED};
use crate::support::redis::Private;
use crate::support::skip::skipped;
use crate::support::{Hub, PATIENCE, Person, SECRET, account, answer};

/// What nodes have in common: for a test that starts and ends them itself.
struct Shared {
    redis: Option<Private>,
    database: Database,
    /// Where processes run: no settings of others are found there.
    folder: TempDir,
}

impl Shared {
    /// A database; a Redis, if it is given. `None`: there is no PostgreSQL.
    async fn new(redis: Option<Private>) -> Option<Self> {
        if postgres::server().is_none() {
            skipped("TEST_POSTGRES names no PostgreSQL server");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        Some(Self { redis, database: Database::create().await, folder })
    }

    /// A node in this process.
    async fn hub(&self, name: &str, change: impl FnOnce(&mut Config)) -> Hub {
        let (url, redis) = (self.database.url(), self.redis.as_ref().map(Private::url));
        let configure = |config: &mut Config| {
            config.database_url = url.into();
            config.node = NodeName::parse(name);
            config.redis_url = redis.map(Secret::new);
            change(config);
        };
        Box::pin(Hub::start_with(configure)).await
    }

    /// A node in a process of its own, which can be killed.
    fn process(&self, name: &str, settings: &[(&str, &str)]) -> Process {
        let file = self.folder.path().join("none.db");
        let (url, redis) = (self.database.url(), self.redis.as_ref().map(Private::url));
        let mut all = vec![
            ("BELLPULL_DATABASE_URL", url.as_str()),
            ("BELLPULL_NODE", name),
            ("BELLPULL_JWT_SECRET", SECRET),
            UNLIMITED,
        ];
        all.extend(redis.as_deref().map(|url| ("BELLPULL_REDIS_URL", url)));
        all.extend_from_slice(settings);
        Process::serve(&file, &all)
    }

    /// Accounts, made before any node runs.
    async fn accounts<const N: usize>(&self, accounts: [(&str, &str); N]) -> [Person; N] {
        let channels = Channels::of(&[Channel::Email]);
        let options = StoreOptions { channels, ..StoreOptions::default() };
        let store = storage::open(&self.database.url(), options).await.unwrap();
        let made = accounts.map(|(name, role)| account(&*store, name, role));
        let people = futures_util::future::join_all(made).await;
        store.close().await;
        people.try_into().unwrap()
    }
}

/// Two nodes. They end before their database and their Redis.
struct Nodes {
    a: Hub,
    b: Hub,
    redis: Option<Private>,
    database: Database,
}

impl Nodes {
    /// Without Redis. `None`: there is no PostgreSQL.
    async fn apart() -> Option<Self> {
        Self::start(None, |_| {}).await
    }

    /// With a Redis of their own. `None`: PostgreSQL or Redis is missing.
    async fn joined() -> Option<Self> {
        Self::joined_with(|_| {}).await
    }

    /// The same with other settings.
    async fn joined_with(change: fn(&mut Config)) -> Option<Self> {
        let nodes = Self::start(Some(Private::start(&[]).await?), change).await?;
        nodes.both_say("ok").await;
        Some(nodes)
    }

    async fn start(redis: Option<Private>, change: fn(&mut Config)) -> Option<Self> {
        let shared = Shared::new(redis).await?;
        let (a, b) = (shared.hub("a", change).await, shared.hub("b", change).await);
        let Shared { redis, database, .. } = shared;
        Some(Self { a, b, redis, database })
    }

    /// Waits until both nodes call the broker this.
    async fn both_say(&self, state: &str) {
        for hub in [&self.a, &self.b] {
            broker_is(hub.address(), state).await;
        }
    }

    /// Ends Redis, and waits until both nodes have noticed it.
    async fn lose_redis(&mut self) {
        self.redis.as_mut().unwrap().kill();
        self.both_say("degraded").await;
    }

    /// Starts Redis again, empty, and waits until both nodes are connected.
    async fn regain_redis(&mut self) {
        self.redis.as_mut().unwrap().restart().await;
        self.both_say("ok").await;
    }
}

/// Waits until a node calls the broker this.
async fn broker_is(at: SocketAddr, state: &str) {
    let is_so = async || {
        let client = bellpull::tls::client().build().unwrap();
        let (_, body) = answer(client.get(format!("http://{at}/readyz/"))).await;
        body["checks"]["broker"] == state
    };
    until(is_so, "the state of the broker").await;
}

/// A request to any node, which must succeed.
async fn ask(at: SocketAddr, who: &Person, method: Method, path: &str, body: &Value) -> Value {
    let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
    let request = client.request(method, format!("http://{at}{path}")).bearer_auth(&who.token);
    let (status, told) = answer(request.json(body)).await;
    assert!((200..300).contains(&status), "{path}: {status} {told}");
    told
}

/// Raises a ticket at any node; its id.
async fn raise(at: SocketAddr, who: &Person, title: &str) -> i64 {
    let told = ask(at, who, Method::POST, "/api/tickets/", &json!({"title": title})).await;
    told["id"].as_i64().unwrap()
}

/// What a node shows to operators of one of its actors.
async fn observed(hub: &Hub, root: &Person, path: &str) -> Value {
    fn find(node: &Value, path: &str) -> Option<Value> {
        if node["path"] == path {
            return Some(node["observed"].clone());
        }
        node["children"].as_array()?.iter().find_map(|child| find(child, path))
    }
    let (status, tree) =
        hub.get(root, &format!("/api/operator/tree/?node={}", hub.nodes().name())).await;
    assert_eq!(status, 200, "{tree}");
    find(&tree, path).unwrap_or_default()
}

/// Waits until something is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool, what: &str) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect(what);
}

/// A client with a login of its own.
async fn log_in(hub: &Hub, username: &str) -> Person {
    let body = json!({
        "username": username,
        "email": format!("{username}@example.com"),
        "password": "correct horse",
    });
    let post = |path, body: &Value| hub.request(Method::POST, path).json(body);
    let (status, user) = answer(post("/api/auth/register/", &body)).await;
    assert_eq!(status, 201, "{user}");
    let (status, told) = answer(post("/api/auth/login/", &body)).await;
    assert_eq!(status, 200, "{told}");
    let (id, token) = (told["user"]["id"].as_i64(), told["access"].as_str());
    Person { id: id.unwrap(), username: username.to_owned(), token: token.unwrap().to_owned() }
}
