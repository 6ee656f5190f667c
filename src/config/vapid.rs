//! `vapid.private_key`: the key that the hub signs pushes with (RFC 8292).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use p256::SecretKey;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use serde_json::json;

/// How long a signature is valid; push services reject more than 24 h.
const SIGNED_S: i64 = 12 * 3600;

/// The hub's own private key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no P-256 private key in base64url (32 bytes)")]
pub struct BadVapidKey;

/// The hub's signing key, which identifies it to push services and browsers.
#[derive(Clone)]
pub struct Vapid {
    key: SigningKey,
    public: String,
    subject: String,
}

impl std::fmt::Debug for Vapid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vapid").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Vapid {
    /// The configured key (`vapid.private_key`) and the contact address that is signed with it.
    ///
    /// # Errors
    /// [`BadVapidKey`].
    pub fn new(private_key: &str, subject: &str) -> Result<Self, BadVapidKey> {
        let bytes = decode(private_key.trim()).ok_or(BadVapidKey)?;
        let secret = SecretKey::from_slice(&bytes).map_err(|_| BadVapidKey)?;
        let public = URL_SAFE_NO_PAD.encode(secret.public_key().to_encoded_point(false).as_bytes());
        Ok(Self { key: secret.into(), public, subject: subject.to_owned() })
    }

    /// The public key, as `PushManager.subscribe` expects its `applicationServerKey`.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public
    }

    /// The `Authorization` header for a push service (`https://push.example`).
    #[must_use]
    pub fn authorization(&self, origin: &str, now: Timestamp) -> String {
        let head = json!({ "typ": "JWT", "alg": "ES256" });
        let expires_s = now.as_second().saturating_add(SIGNED_S);
        let claims = json!({ "aud": origin, "exp": expires_s, "sub": self.subject });
        let [head, claims] = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{head}.{claims}");
        let signature: Signature = self.key.sign(signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
        format!("vapid t={signed}.{signature}, k={}", self.public)
    }
}

/// base64url, with or without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_none_are_refused() {
        let zero = URL_SAFE_NO_PAD.encode([0; 32]);
        let long = URL_SAFE_NO_PAD.encode([7; 65]);
        for key in ["", "AAAA", "!", &long, &zero] {
            assert_eq!(Vapid::new(key, "mailto:a@example.com").unwrap_err(), BadVapidKey);
        }
    }

    #[test]
    fn a_private_key_is_not_shown() {
        let key = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
        let shown = format!("{:?}", Vapid::new(key, "mailto:a@example.com").unwrap());
        assert!(!shown.contains("yfWP") && shown.contains("BP4z9KsN"), "{shown}");
    }
}
