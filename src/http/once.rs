//! `Idempotency-Key`: a repeated request gets the answer to the first one.
//!
//! Every request that creates something takes such a key. The store records it in the transaction
//! of what the request creates; here it is read, and a repetition is answered.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bellpull_domain::idempotency::{IdempotencyKey, Used};
use bellpull_domain::ids::UserId;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::error::ApiError;
use bellpull_auth::Principal;

/// The limit for a header value in a database index.
const KEY_MAX: usize = 255;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A key as it was sent, and a hash of the body that it came with.
#[derive(Debug)]
pub(super) struct SentKey {
    key: Result<String, ApiError>,
    body: [u8; 32],
}

/// Whose keys they are: an account's, or a back end's, which has no account.
#[derive(Debug, Clone)]
pub(super) struct KeyOwner {
    owner: UserId,
    service: Option<String>,
}

impl From<UserId> for KeyOwner {
    fn from(owner: UserId) -> Self {
        Self { owner, service: None }
    }
}

impl From<&Principal> for KeyOwner {
    fn from(principal: &Principal) -> Self {
        Self { owner: principal.user.id, service: principal.service().map(str::to_owned) }
    }
}

impl SentKey {
    /// The key of a request with this body, if the client sent one.
    pub(super) fn of(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let key = key(headers).transpose()?;
        Some(Self { key, body: Sha256::digest(body).into() })
    }

    /// The caller's key. `what` is what the request names besides its body: its path's id, for
    /// example.
    ///
    /// # Errors
    /// [`ApiError::Fields`] if it is not a valid one.
    pub(super) fn owned(&self, owner: KeyOwner, what: &str) -> Result<IdempotencyKey, ApiError> {
        let KeyOwner { owner, service } = owner;
        let key = self.key.clone()?;
        // No key as it was sent has a space.
        let key = service.map_or(key.clone(), |service| format!("{service} {key}"));
        let body_hash = match what {
            "" => self.body,
            what => Sha256::new().chain_update(what).chain_update(self.body).finalize().into(),
        };
        Ok(IdempotencyKey { owner, key, body_hash })
    }

    /// The same for another body.
    pub(super) fn with_body(&self, body: &[u8]) -> Self {
        Self { key: self.key.clone(), body: Sha256::digest(body).into() }
    }
}

/// The idempotency key, if the client sent one.
fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let bad = || {
        let text = format!("Must be one header of 1 to {KEY_MAX} visible ASCII characters.");
        ApiError::field("Idempotency-Key", text)
    };
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_good = |key: &&[u8]| (1..=KEY_MAX).contains(&key.len()) && key.iter().all(visible);
    let key = Some(value.as_bytes()).filter(is_good).ok_or_else(bad)?;
    if values.next().is_some() {
        return Err(bad());
    }
    Ok(Some(String::from_utf8_lossy(key).into_owned()))
}

fn visible(byte: &u8) -> bool {
    byte.is_ascii_graphic()
}

/// The answer to a request that has created something.
pub(super) fn created<T: Serialize>(made: T) -> Response {
    (StatusCode::CREATED, Json(made)).into_response()
}

/// Marks the answer to a request that was carried out before.
pub(super) fn replayed(mut response: Response) -> Response {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

impl From<Used> for ApiError {
    fn from(used: Used) -> Self {
        match used {
            Used::Reused => Self::Conflict {
                code: "idempotency_key_reused",
                detail: "This Idempotency-Key was used with another body.".to_owned(),
            },
            // What it created cannot be shown any more.
            Used::Repeated(_) => Self::NotFound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_short_visible_header() {
        let of = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(KEY, HeaderValue::from_bytes(value).unwrap());
            }
            key(&headers)
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[b"a-1!"]), Ok(Some("a-1!".to_owned())));
        assert_eq!(of(&[&[b'x'; 255]]), Ok(Some("x".repeat(255))));
        let bad: [&[&[u8]]; 5] =
            [&[b""], &[b"a b"], &[&[b'x'; 256]], &[b"\xc3\xbc"], &[b"a", b"a"]];
        for bad in bad {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
