//! Every wrong kind of token is refused; logins, refreshes and registrations from end to end.

mod nodes;
mod people;
mod tokens;
mod ws_tickets;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bellpull_domain::address::Addresses;
use bellpull_domain::user::Origin;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::testing::{FakeStore, StillClock};
use super::*;
use bellpull_config::{Config, Secret};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

const SECRET: &str = "a secret for tests, long enough";

/// An `Auth` with its fakes; user 1 is `ada`, a client with the password `lovelace`.
struct Bench {
    auth: Auth,
    store: Arc<FakeStore>,
    clock: Arc<StillClock>,
}

fn config() -> Config {
    let secret = Some(Secret::new(SECRET.to_owned()));
    Config { jwt_secret: secret, ..Config::default() }
}

async fn bench(config: Config) -> Bench {
    let store = Arc::new(FakeStore::default());
    let clock = Arc::new(StillClock::new());
    let auth = Auth::assemble(&config, store.clone(), clock.clone()).await.unwrap();
    let ada = bellpull_port::accounts::NewUser {
        id: None,
        origin: if config.auth.has_issuer() { Origin::ISSUER } else { Origin::Hub },
        username: "ada".to_owned(),
        addresses: Addresses::email("ada@example.com"),
        full_name: String::new(),
        role: Role::Client,
        is_email_verified: true,
        password_hash: Some(password::hash("lovelace").unwrap()),
        now: clock.now(),
    };
    bellpull_port::AccountStore::create_user(&*store, ada, None).await.unwrap();
    Bench { auth, store, clock }
}

impl Bench {
    fn now_s(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// Good claims of user 1, with `changes` laid over them (`null` takes one away).
    fn claims(&self, changes: Value) -> Value {
        let mut claims = json!({"user_id": 1, "token_type": "access", "exp": self.now_s() + 60});
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    fn token(&self, changes: Value) -> String {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        encode(&Header::new(Algorithm::HS256), &self.claims(changes), &key).unwrap()
    }

    async fn refusal(&self, token: &str) -> &'static str {
        match self.auth.authenticate(token).await {
            Err(AuthError::BadToken(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}
