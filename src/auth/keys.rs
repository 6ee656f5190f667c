//! The keys that tokens are verified with, each pinned to one algorithm.
//!
//! Either one secret of ours (HS256), or another issuer's public keys: never both, so that the text
//! of a public key can never be used as a secret.

use jsonwebtoken::{Algorithm, DecodingKey, decode_header};

use super::AuthError;
use super::claims::Claims;
use super::key::{BAD_ALGORITHM, BAD_SIGNATURE, Key, UNKNOWN_KEY, bad_token};
use super::key_file::KeyFile;
use crate::config::Secret;

/// A token is a header, a few claims and a signature; ours take some 300 bytes, and a 4,096-bit key
/// signs with 683 characters. Longer ones are rejected unread.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The keys that tokens are verified with.
#[derive(Debug)]
pub(super) enum Keys {
    /// Our own secret.
    Own(Box<Key>),
    /// Another issuer's public keys.
    Foreign(Box<KeyFile>),
}

impl Keys {
    /// Our own secret.
    pub(super) fn own(secret: &Secret) -> Self {
        let key = DecodingKey::from_secret(secret.reveal().as_bytes());
        Self::Own(Box::new(Key::new(None, Algorithm::HS256, key)))
    }

    /// Whether the tokens are ours to issue.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// The claims of a token signed by one of the keys; times are not checked yet.
    pub(super) async fn open(&self, token: &str) -> Result<Claims, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::BadToken("it is too long"));
        }
        let file = match self {
            Self::Own(key) => return key.open(token),
            Self::Foreign(file) => file,
        };
        let seen = file.keys();
        match open_with(&seen.keys, token) {
            Err(AuthError::BadToken(BAD_ALGORITHM | BAD_SIGNATURE | UNKNOWN_KEY))
                if file.look_again(&seen).await =>
            {
                open_with(&file.keys().keys, token)
            }
            answer => answer,
        }
    }

    /// Reads foreign keys periodically; never returns.
    pub(super) async fn follow(&self) {
        match self {
            Self::Own(_) => std::future::pending().await,
            Self::Foreign(file) => file.follow().await,
        }
    }
}

pub(super) fn open_with(keys: &[Key], token: &str) -> Result<Claims, AuthError> {
    let header = decode_header(token).map_err(|error| bad_token(error.kind()))?;
    pick(keys, header.alg, header.kid.as_deref())?.open(token)
}

/// The key that the header names; if it names none, the only unnamed (or, for a token without a key
/// id, the only) key of its algorithm.
fn pick<'a>(keys: &'a [Key], algorithm: Algorithm, id: Option<&str>) -> Result<&'a Key, AuthError> {
    let named = keys.iter().find(|key| id.is_some() && key.id.as_deref() == id);
    if let Some(key) = named {
        return Ok(key);
    }
    let fits = |key: &&Key| key.algorithm == algorithm && (id.is_none() || key.id.is_none());
    let mut fitting = keys.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(key), None) => Ok(key),
        (None, _) if keys.iter().all(|key| key.algorithm != algorithm) => {
            Err(AuthError::BadToken(BAD_ALGORITHM))
        }
        _ => Err(AuthError::BadToken(UNKNOWN_KEY)),
    }
}
