//! One key that tokens are verified with, pinned to one algorithm; from PEM files and key sets.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode};
use serde::Deserialize;
use serde_json::Value;

use super::AuthError;
use super::claims::Claims;

/// RFC 7518 requires RSA keys of at least 2,048 bits.
const RSA_BYTES_MIN: usize = 2048 / 8;

/// RFC 8032; the library slices as many without a look at the length.
const ED25519_BYTES: usize = 32;

// Also the error for a token whose key is new, until the file is read again.
pub(super) const BAD_ALGORITHM: &str = "its algorithm is not accepted";
pub(super) const BAD_SIGNATURE: &str = "its signature is wrong";
pub(super) const UNKNOWN_KEY: &str = "its key is not known";

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    key: DecodingKey,
    validation: Validation,
}

impl Key {
    pub(super) fn new(id: Option<String>, algorithm: Algorithm, key: DecodingKey) -> Self {
        let mut validation = Validation::new(algorithm);
        // Times and audience are checked with the claims, against the hub's own clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self { id, algorithm, key, validation }
    }

    #[cfg(test)]
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn open(&self, token: &str) -> Result<Claims, AuthError> {
        let data = decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| bad_token(error.kind()))?;
        if data.header.crit.is_some() {
            return Err(AuthError::BadToken("it has critical extensions"));
        }
        Ok(data.claims)
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that may grow; all the same")]
pub(super) fn bad_token(kind: &ErrorKind) -> AuthError {
    AuthError::BadToken(match kind {
        ErrorKind::InvalidSignature => BAD_SIGNATURE,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => BAD_ALGORITHM,
        _ => "it is not a well-formed token",
    })
}

/// The key of a PEM file.
pub(super) fn from_pem(text: &str) -> Result<Key, &'static str> {
    let label = text.lines().find(|line| line.starts_with("-----BEGIN "));
    if label.is_some_and(|line| line.contains("PRIVATE")) {
        return Err("is a private key; give the public key alone");
    }
    let bytes = text.as_bytes();
    let (algorithm, key) = if let Ok(key) = DecodingKey::from_rsa_pem(bytes) {
        (Algorithm::RS256, key)
    } else if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
        (Algorithm::ES256, key)
    } else if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
        (Algorithm::EdDSA, key)
    } else {
        return Err("is not a PEM public key (RSA, P-256 or Ed25519)");
    };
    check(algorithm, &key)?;
    Ok(Key::new(None, algorithm, key))
}

/// A key set, whose keys are read one by one.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// The signing keys of a key set. One that cannot be used is skipped, whatever is wrong with it
/// (RFC 7517, 5): a set has keys for other applications too.
pub(super) fn from_jwks(text: &str) -> Result<Vec<Key>, &'static str> {
    // Editors of Windows begin a file with a mark of its encoding.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let set: KeySet = serde_json::from_str(text).map_err(|_| "is not a JSON Web Key Set")?;
    let mut keys = Vec::new();
    for value in set.keys {
        let kid = value.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned();
        // The libraries below are not written for malformed keys: some panic.
        match std::panic::catch_unwind(|| from_jwk(value)) {
            Ok(Ok(key)) => keys.push(key),
            Ok(Err(NoKey::Foreign)) => {
                tracing::info!(kid, "a key of the set is not for signatures of ours");
            }
            Ok(Err(NoKey::Unusable(why))) => {
                tracing::warn!(kid, "a key of the set is skipped: it {why}");
            }
            Err(_) => tracing::warn!(kid, "a key of the set is skipped: it cannot be read"),
        }
    }
    if keys.is_empty() { Err("has no public key that signs") } else { Ok(keys) }
}

/// Why a key of a set is skipped.
enum NoKey {
    /// It is not for signatures, or of a kind that is not supported.
    Foreign,
    /// It should be usable and is not.
    Unusable(&'static str),
}

fn from_jwk(mut value: Value) -> Result<Key, NoKey> {
    let unreadable = NoKey::Unusable("cannot be read");
    // RFC 9864 gives EdDSA with this curve a name of its own.
    if value.get("alg").is_some_and(|alg| alg == "Ed25519") {
        value["alg"] = "EdDSA".into();
    }
    let has_kty = value.get("kty").is_some_and(Value::is_string);
    let Ok(jwk) = serde_json::from_value::<Jwk>(value) else {
        return Err(if has_kty { NoKey::Foreign } else { unreadable });
    };
    let algorithm = algorithm_of(&jwk).ok_or(NoKey::Foreign)?;
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| unreadable)?;
    check(algorithm, &key).map_err(NoKey::Unusable)?;
    Ok(Key::new(jwk.common.key_id, algorithm, key))
}

/// The algorithm that a key of a set is used with; `None` for encryption keys, shared secrets, and
/// unsupported curves.
#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that may grow; all the same")]
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    if jwk.common.public_key_use.as_ref().is_some_and(|it| *it != PublicKeyUse::Signature) {
        return None;
    }
    let named = jwk.common.key_algorithm.map(Algorithm::try_from);
    let fitting: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(it) if it.curve == EllipticCurve::P256 => {
            &[Algorithm::ES256]
        }
        AlgorithmParameters::EllipticCurve(it) if it.curve == EllipticCurve::P384 => {
            &[Algorithm::ES384]
        }
        AlgorithmParameters::OctetKeyPair(it) if it.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDSA]
        }
        _ => &[],
    };
    match named {
        None => fitting.first().copied(),
        Some(Ok(named)) => fitting.iter().copied().find(|one| *one == named),
        Some(Err(_)) => None,
    }
}

/// Finds an unusable key at start, not with the first token.
fn check(algorithm: Algorithm, key: &DecodingKey) -> Result<(), &'static str> {
    use jsonwebtoken::DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
    let too_short = match key.kind() {
        SecretOrDer(der) => der.len() < RSA_BYTES_MIN,
        RsaModulusExponent { n, .. } => n.len() < RSA_BYTES_MIN,
    };
    if key.family() == AlgorithmFamily::Rsa && too_short {
        return Err("has an RSA key of less than 2048 bits");
    }
    if let (AlgorithmFamily::Ed, SecretOrDer(bytes)) = (key.family(), key.kind())
        && bytes.len() != ED25519_BYTES
    {
        return Err("has an Ed25519 key that is not 32 bytes long");
    }
    let is_even = |number: &[u8]| number.last().is_none_or(|last| last % 2 == 0);
    if let RsaModulusExponent { n, e } = key.kind()
        && (is_even(n) || is_even(e))
    {
        return Err("has an RSA key whose numbers are not odd");
    }
    // An unusable key is an error; a wrong signature is not.
    jsonwebtoken::crypto::verify("AAAA", b"", key, algorithm)
        .map(|_| ())
        .map_err(|_| "has a key of a kind that is not accepted (RSA, P-256 or Ed25519)")
}
