//! Tokens that are issued elsewhere: who issued them and when, and keys that change while the hub
//! runs.

use std::path::Path;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::Caller;
use crate::support::now_s;
use crate::support::process::{Process, folder};

const OLD: &str = include_str!("../../../src/auth/testkeys/p256.pem");
const NEW: &str = include_str!("../../../src/auth/testkeys/ed25519.pem");

fn old_key() -> (Algorithm, EncodingKey, &'static str) {
    (Algorithm::ES256, EncodingKey::from_ec_pem(OLD.as_bytes()).unwrap(), "old")
}

fn new_key() -> (Algorithm, EncodingKey, &'static str) {
    (Algorithm::EdDSA, EncodingKey::from_ed_pem(NEW.as_bytes()).unwrap(), "new")
}

type Key = (Algorithm, EncodingKey, &'static str);

/// Replaces the file with a set of these keys, as a deployment does: whole or not at all.
fn write_set(file: &Path, keys: &[Key]) {
    let jwk = |(algorithm, key, kid): &Key| {
        let mut jwk = Jwk::from_encoding_key(key, *algorithm).unwrap();
        jwk.common.key_id = Some((*kid).to_owned());
        jwk
    };
    let keys: Vec<Jwk> = keys.iter().map(jwk).collect();
    replace(file, &json!({ "keys": keys }).to_string());
}

fn replace(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, file).unwrap();
}

fn caller(hub: &Process, (algorithm, key, kid): &Key, more: &Value) -> Caller {
    let mut claims = json!({"user_id": 7, "exp": now_s() + 600, "username": "ada"});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let header = Header { kid: Some((*kid).to_owned()), ..Header::new(*algorithm) };
    Caller { id: 7, token: encode(&header, &claims, key).unwrap(), at: hub.address }
}

async fn status(caller: &Caller) -> u16 {
    caller.get("/api/auth/me/").await.0
}

#[tokio::test]
async fn an_issuer_is_asked_for_where_one_is_set_and_the_future_issues_nothing() {
    let (_folder, database) = folder();
    let set = database.with_file_name("jwks.json");
    write_set(&set, &[old_key()]);
    let hub = Process::serve(
        &database,
        &[
            ("BELLPULL_AUTH_JWKS_FILE", set.to_str().unwrap()),
            ("BELLPULL_AUTH_AUTO_PROVISION", "true"),
            ("BELLPULL_AUTH_ISSUER", "https://login.example.com"),
        ],
    );
    let own = json!("https://login.example.com");
    for (claims, wanted) in [
        (json!({"iss": own}), 200),
        (json!({"iss": own, "iat": now_s()}), 200),
        (json!({"iss": own, "iat": now_s() + 30}), 200),
        (json!({"iss": own, "iat": now_s() + 600}), 401),
        (json!({"iss": own, "iat": "now"}), 401),
        (json!({}), 401),
        (json!({"iss": "https://login.example.com/"}), 401),
        (json!({"iss": [own]}), 401),
    ] {
        let caller = caller(&hub, &old_key(), &claims);
        assert_eq!(status(&caller).await, wanted, "{claims}");
    }
}

#[tokio::test]
async fn a_foreign_user_whose_name_looks_like_anothers_comes_in_under_its_id() {
    let (_folder, database) = folder();
    crate::support::process::person(&database, "ada", "admin");
    let set = database.with_file_name("jwks.json");
    write_set(&set, &[old_key()]);
    let settings = [
        ("BELLPULL_AUTH_JWKS_FILE", set.to_str().unwrap()),
        ("BELLPULL_AUTH_AUTO_PROVISION", "true"),
    ];
    let hub = Process::serve(&database, &settings);
    let claims = json!({"username": "\u{430}da", "role": "super-admin"});
    let (status, told) = caller(&hub, &old_key(), &claims).get("/api/auth/me/").await;
    assert_eq!((status, &told["username"]), (200, &json!("\u{430}da-7")), "{told}");
    assert_eq!(told["role"], "client", "a role that looks like a built-in one is none");
}

#[tokio::test]
async fn our_own_tokens_carry_the_issuer_that_is_set() {
    let (_folder, database) = folder();
    let before = crate::support::process::person(&database, "carl", "client").1;
    let issuer = ("BELLPULL_AUTH_ISSUER", "https://hub.example.com");
    let hub = Process::serve(&database, &[issuer]);
    let without = Caller { id: 1, token: before, at: hub.address };
    assert_eq!(status(&without).await, 401, "a token of before the setting names no issuer");
    let login = json!({"username": "carl", "password": "correct horse"});
    let (code, told) = without.post("/api/auth/login/", login).await;
    assert_eq!(code, 200, "{told}");
    let token = told["access"].as_str().unwrap().to_owned();
    assert_eq!(status(&Caller { token, ..without.clone() }).await, 200);
    let refresh = json!({"refresh": told["refresh"]});
    assert_eq!(without.post("/api/auth/refresh/", refresh).await.0, 200);
}

/// Asks until the answer is the wanted one: a file that has just been read is left alone for ten
/// seconds.
async fn becomes(caller: &Caller, wanted: u16) {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let status = status(caller).await;
        if status == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "still {status}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_key_that_is_not_known_is_looked_for_in_the_file_and_a_broken_file_changes_nothing() {
    let (_folder, database) = folder();
    let set = database.with_file_name("jwks.json");
    let log = database.with_file_name("log");
    write_set(&set, &[old_key()]);
    let settings = [
        ("BELLPULL_AUTH_JWKS_FILE", set.to_str().unwrap()),
        ("BELLPULL_AUTH_AUTO_PROVISION", "true"),
    ];
    let hub = Process::serve_logged(&database, &settings, &log);
    let (old, new) = (caller(&hub, &old_key(), &json!({})), caller(&hub, &new_key(), &json!({})));
    assert_eq!(status(&old).await, 200);
    replace(&set, "{\"keys\": [");
    assert_eq!(status(&new).await, 401);
    let is_logged = || {
        let log = std::fs::read_to_string(&log).unwrap();
        log.contains("ERROR") && log.contains("auth.jwks_file")
    };
    let deadline = Instant::now() + Duration::from_secs(40);
    while !is_logged() {
        assert!(Instant::now() < deadline, "{}", std::fs::read_to_string(&log).unwrap());
        status(&new).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(status(&old).await, 200, "the keys of before stay");
    write_set(&set, &[old_key(), new_key()]);
    becomes(&new, 200).await;
    assert_eq!(status(&old).await, 200);
    // A key that is withdrawn is forgotten with the next reading.
    write_set(&set, &[new_key()]);
    let other: Key = (Algorithm::EdDSA, new_key().1, "newer");
    status(&caller(&hub, &other, &json!({}))).await;
    let unknown = caller(&hub, &other, &json!({}));
    let deadline = Instant::now() + Duration::from_secs(40);
    while status(&old).await != 401 {
        assert!(Instant::now() < deadline, "a withdrawn key is still good");
        status(&unknown).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(status(&new).await, 200);
}
