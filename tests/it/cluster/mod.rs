//! Two nodes on one PostgreSQL database, each with a store of its own: what one process kept in
//! memory holds for both, with a Redis between them and without.

mod limits;
mod rights;

use bellpull::config::{Config, Secret};
use bellpull_actors::domain::node::NodeName;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::postgres::{self, Database};
use crate::support::redis::Private;
use crate::support::skip::skipped;
use crate::support::{Hub, PATIENCE, Person, answer};

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
        if postgres::server().is_none() {
            skipped("TEST_POSTGRES names no PostgreSQL server");
            return None;
        }
        let database = Database::create().await;
        let node = async |name| {
            let (url, redis) = (database.url(), redis.as_ref().map(Private::url));
            let configure = |config: &mut Config| {
                config.database_url = url.into();
                config.node = NodeName::parse(name);
                config.redis_url = redis.map(Secret::new);
                change(config);
            };
            Box::pin(Hub::start_with(configure)).await
        };
        let (a, b) = (node("a").await, node("b").await);
        Some(Self { a, b, redis, database })
    }

    /// Waits until both nodes call the broker this.
    async fn both_say(&self, state: &str) {
        for hub in [&self.a, &self.b] {
            let is_so = async || {
                let (_, body) = answer(hub.request(Method::GET, "/readyz/")).await;
                body["checks"]["broker"] == state
            };
            until(is_so, "the state of the broker").await;
        }
    }
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
