//! The keys that tokens are verified with, each pinned to one algorithm.
//!
//! Either one secret of ours (HS256), or another issuer's public keys: never both, so that the text
//! of a public key can never be used as a secret.

use jsonwebtoken::{Algorithm, DecodingKey, decode_header};

use super::AuthError;
use super::claims::Claims;
use super::key::{BAD_ALGORITHM, BAD_SIGNATURE, Key, UNKNOWN_KEY, bad_token};
use super::key_file::KeyFile;
use bellpull_config::Secret;

/// A token is a header, a few claims and a signature; ours take some 300 bytes, and a 4,096-bit key
/// signs with 683 characters. Longer ones are rejected unread.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// As many keys are tried for a token: an issuer that rotates has two or three of one kind, and a
/// client can make up any token.
const TRIED_MAX: usize = 8;

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

    /// Reads foreign keys now.
    pub(super) async fn read_anew(&self) {
        match self {
            Self::Own(_) => {}
            Self::Foreign(file) => file.read_now().await,
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

/// The claims of a token that one of the keys signed. Of several keys with the token's key id (RFC
/// 7517, 4.5: they may have one), or several that fit a token without one, each is tried.
pub(super) fn open_with(keys: &[Key], token: &str) -> Result<Claims, AuthError> {
    let header = decode_header(token).map_err(|error| bad_token(error.kind()))?;
    if header.typ.as_deref().is_some_and(is_of_other_use) {
        return Err(AuthError::BadToken("it is not an access token"));
    }
    let mut refused = why_none_fits(keys, header.alg);
    for key in fitting(keys, header.alg, header.kid.as_deref()).take(TRIED_MAX) {
        match key.open(token) {
            Err(AuthError::BadToken(BAD_SIGNATURE)) => {
                refused = AuthError::BadToken(BAD_SIGNATURE);
            }
            answer => return answer,
        }
    }
    Err(refused)
}

/// Whether a token is typed as something else than an access token (RFC 8725, 3.11): `logout+jwt`,
/// `secevent+jwt`. Those of access tokens end in `at+jwt` (RFC 9068); `JWT` says nothing.
fn is_of_other_use(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    typ.ends_with("+jwt") && !typ.ends_with("at+jwt")
}

/// The keys of the algorithm with that id; if none has it, those without an id; for a token without
/// a key id all of its algorithm.
fn fitting<'k>(
    keys: &'k [Key],
    algorithm: Algorithm,
    id: Option<&str>,
) -> impl Iterator<Item = &'k Key> {
    let of_algorithm = move |key: &&Key| key.algorithm == algorithm;
    let is_named = id.is_some() && keys.iter().any(|key| key.id.as_deref() == id);
    let id = id.map(str::to_owned);
    keys.iter().filter(of_algorithm).filter(move |key| match &id {
        None => true,
        Some(_) if is_named => key.id == id,
        Some(_) => key.id.is_none(),
    })
}

fn why_none_fits(keys: &[Key], algorithm: Algorithm) -> AuthError {
    let has_algorithm = keys.iter().any(|key| key.algorithm == algorithm);
    AuthError::BadToken(if has_algorithm { UNKNOWN_KEY } else { BAD_ALGORITHM })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_typed_as_something_else_opens_nothing() {
        for (typ, is_other) in [
            ("JWT", false),
            ("jwt", false),
            ("at+jwt", false),
            ("application/at+JWT", false),
            ("application/okta-internal-at+jwt", false),
            ("logout+jwt", true),
            ("application/secevent+jwt", true),
            ("DPoP+JWT", true),
        ] {
            assert_eq!(is_of_other_use(typ), is_other, "{typ}");
        }
    }
}
