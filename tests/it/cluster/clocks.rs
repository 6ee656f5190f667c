//! Nodes whose clocks differ.

use std::net::SocketAddr;
use std::time::Duration;

use bellpull_load::cluster::{Shift, WallClock};
use reqwest::Method;
use serde_json::{Value, json};

use super::{PATIENCE, Shared, until};
use crate::support::answer;
use crate::support::skip::skipped;

async fn ask(
    at: SocketAddr,
    method: Method,
    path: &str,
    token: &str,
    body: &Value,
) -> (u16, Value) {
    let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
    let request = client.request(method, format!("http://{at}{path}"));
    answer(request.bearer_auth(token).json(body)).await
}

#[tokio::test]
async fn a_logout_counts_on_all_nodes_whatever_their_clocks_and_without_redis() {
    let Some(shared) = Shared::new(None).await else { return };
    let clock = match WallClock::new(shared.folder.path()) {
        Ok(clock) => clock,
        Err(error) => return skipped(&error.to_string()),
    };
    let own = clock.settings();
    let own: Vec<_> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (nth, shift) in
        [Shift::Behind(Duration::from_secs(45)), Shift::Ahead(Duration::from_secs(45))]
            .into_iter()
            .enumerate()
    {
        clock.set(shift).unwrap();
        let (a, b) = (shared.process("a", &[]), shared.process("b", &own));
        let body = json!({
            "username": format!("ann{nth}"),
            "email": format!("ann{nth}@example.com"),
            "password": "correct horse",
        });
        let made = ask(a.address, Method::POST, "/api/auth/register/", "", &body).await;
        assert_eq!(made.0, 201, "{}", made.1);
        let (_, told) = ask(a.address, Method::POST, "/api/auth/login/", "", &body).await;
        let token = told["access"].as_str().unwrap();
        let me = async |at| ask(at, Method::GET, "/api/auth/me/", token, &Value::Null).await.0;
        assert_eq!((me(a.address).await, me(b.address).await), (200, 200), "{shift:?}");
        let gone = ask(b.address, Method::POST, "/api/auth/logout/", token, &json!({})).await;
        assert_eq!(gone.0, 200, "{}", gone.1);
        assert_eq!(me(b.address).await, 401);
        until(async || me(a.address).await == 401, "a logout on a node with another clock").await;
        a.terminate();
        b.terminate();
    }
}
