//! The fuzzers' harness of access tokens: only what the key signed is read, and whatever it signed
//! is judged within its bounds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken invariant panics, as in a test")]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellpull_domain::ids::UserId;
use futures_util::FutureExt;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;

use super::AuthError;
use super::claims::{Access, Claims, Profile};
use super::key::{self, Key};
use super::keys::{Keys, open_with};
use bellpull_config::Secret;

const SECRET: &str = "a secret that no fuzzer guesses";
const HEADER: &[u8] = br#"{"alg":"HS256","typ":"JWT"}"#;
const CLAIMS: &[u8] = br#"{"user_id":7,"exp":4000000000}"#;
const RSA: &str = include_str!("testkeys/rsa.pub.pem");

static OWN: LazyLock<Keys> = LazyLock::new(|| Keys::own(&Secret::new(SECRET.to_owned())));
static FOREIGN: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let p256 = include_str!("testkeys/p256.pub.pem");
    [RSA, p256].map(|pem| key::from_pem(pem).unwrap()).into()
});

/// A token; the first byte says what of it is given, the rest is made here.
pub fn tokens(bytes: &[u8]) {
    let Some((what, given)) = bytes.split_first() else { return };
    match what % 4 {
        0 => unsigned(given),
        1 => signed_claims(given),
        2 => signed_header(given),
        _ => changed(given),
    }
}

fn open(token: &str) -> Result<Claims, AuthError> {
    OWN.open(token).now_or_never().unwrap()
}

/// A token whose signature is right by HMAC's definition.
fn token(secret: &str, header: &[u8], claims: &[u8]) -> String {
    let said = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let signature = mac.chain_update(&said).finalize().into_bytes();
    format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Any text.
fn unsigned(given: &[u8]) {
    let Ok(text) = std::str::from_utf8(given) else { return };
    assert!(open(text).is_err(), "{text}");
    assert!(open_with(&FOREIGN, text).is_err(), "{text}");
}

/// Any claims, with the right signature.
fn signed_claims(given: &[u8]) {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let text = token(SECRET, HEADER, given);
    let opened = open(&text);
    let value: Option<Value> = serde_json::from_slice(given).ok();
    let Ok(claims) = opened else {
        // A name of ours twice is refused, and so is what is no object or too long.
        return;
    };
    // What no claim of ours holds is skipped, and so need not be valid to the last byte.
    let Some(value) = value else { return };
    let exp = value["exp"].as_f64();
    match claims.valid_until(now, None) {
        Ok(until) => {
            assert!(until > now && exp.is_some_and(|exp| exp > 1_800_000_000.0), "{value}");
        }
        Err(error) => assert!(error.to_string().len() < 200, "{error}"),
    }
    if claims.valid_until(now, Some("us")).is_ok() {
        assert_eq!(value["iss"], "us");
    }
    if claims.check_audience(Some("us")).is_ok() {
        let audience = &value["aud"];
        let all = audience.as_array().cloned().unwrap_or_else(|| vec![audience.clone()]);
        assert!(all.contains(&"us".into()), "{value}");
    }
    if let Ok(Access::User { id: UserId(id), .. }) = claims.access() {
        assert!((1..1 << 53).contains(&id), "{value}");
    }
    if let Ok(refresh) = claims.refresh(now) {
        assert_eq!(value["token_type"], "refresh");
        assert!((1..1 << 53).contains(&refresh.user.0), "{value}");
    }
    for profile in [Profile::Username, Profile::Email, Profile::FullName, Profile::Role] {
        assert!(claims.text(profile).len() <= given.len());
    }
}

/// Any header, with the right signature.
fn signed_header(given: &[u8]) {
    if open(&token(SECRET, given, CLAIMS)).is_ok() {
        let header: Value = serde_json::from_slice(given).unwrap();
        assert_eq!(header["alg"], "HS256");
        assert!(header.get("crit").is_none_or(Value::is_null), "{header}");
    }
    // The text of a public key is not a secret.
    assert!(open_with(&FOREIGN, &token(RSA, given, CLAIMS)).is_err());
}

/// A good token with some of its characters replaced.
fn changed(given: &[u8]) {
    let good = token(SECRET, HEADER, CLAIMS);
    assert!(open(&good).is_ok());
    let mut bytes = good.clone().into_bytes();
    for change in given.chunks_exact(2).take(4) {
        let at = usize::from(change[0]) % bytes.len();
        bytes[at] = change[1];
    }
    if let Ok(text) = std::str::from_utf8(&bytes) {
        assert!(text == good || open(text).is_err(), "{text} for {good}");
    }
}
