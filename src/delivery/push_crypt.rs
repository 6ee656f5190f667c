//! Message encryption for web push (RFC 8291). Its signature is [`bellpull_config::vapid`]'s.

use aes_gcm::aead::Aead;
use aes_gcm::{Aes128Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellpull_domain::delivery::PushTarget;
use hkdf::Hkdf;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::{PublicKey, SecretKey};
use sha2::Sha256;

/// The size of the only record: push services accept no larger body.
const RECORD_SIZE: u32 = 4096;
/// A record's overhead: the header (salt, size, key length, key), the end delimiter, the tag.
const AROUND: usize = 16 + 4 + 1 + 65 + 1 + 16;
/// The longest plaintext, in bytes.
pub const TEXT_MAX: usize = 4096 - AROUND;
/// The delimiter of the last record.
const LAST: u8 = 2;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// The browser's public key.
    #[error("the browser's key is none")]
    Browser,
    /// The browser's secret.
    #[error("the browser's secret is none")]
    Secret,
    /// The text is longer than [`TEXT_MAX`], or there is no source of randomness.
    #[error("it could not be encrypted")]
    Failed,
}

/// A browser's keys, validated.
#[derive(Debug, Clone)]
pub struct BrowserKeys {
    public: PublicKey,
    auth: [u8; 16],
}

impl BrowserKeys {
    /// Parses the keys as the Push API provides them.
    ///
    /// # Errors
    /// [`BadKey`] for the invalid one.
    pub fn read(p256dh: &str, auth: &str) -> Result<Self, BadKey> {
        let point = decode(p256dh).filter(|bytes| bytes.len() == 65).ok_or(BadKey::Browser)?;
        let public = PublicKey::from_sec1_bytes(&point).map_err(|_| BadKey::Browser)?;
        let auth = decode(auth).and_then(|bytes| bytes.try_into().ok()).ok_or(BadKey::Secret)?;
        Ok(Self { public, auth })
    }

    /// The keys of a subscription.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn of(target: &PushTarget) -> Result<Self, BadKey> {
        Self::read(&target.p256dh, &target.auth)
    }

    /// Encrypts a text for this browser.
    ///
    /// # Errors
    /// [`BadKey::Failed`].
    pub fn encrypt(&self, text: &[u8]) -> Result<Vec<u8>, BadKey> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| BadKey::Failed)?;
        self.encrypt_with(text, &random_key()?, salt)
    }

    fn encrypt_with(
        &self,
        text: &[u8],
        own: &SecretKey,
        salt: [u8; 16],
    ) -> Result<Vec<u8>, BadKey> {
        if text.len() > TEXT_MAX {
            return Err(BadKey::Failed);
        }
        let theirs = uncompressed(&self.public);
        let ours = uncompressed(&own.public_key());
        let shared = p256::ecdh::diffie_hellman(own.to_nonzero_scalar(), self.public.as_affine());
        let info = [b"WebPush: info\0", &theirs[..], &ours].concat();
        let input: [u8; 32] = expand(&self.auth, shared.raw_secret_bytes(), &info)?;
        let key: [u8; 16] = expand(&salt, &input, b"Content-Encoding: aes128gcm\0")?;
        let nonce: [u8; 12] = expand(&salt, &input, b"Content-Encoding: nonce\0")?;
        let plain = [text, &[LAST]].concat();
        let cipher = Aes128Gcm::new(&key.into());
        let sealed = cipher.encrypt(&nonce.into(), &plain[..]).map_err(|_| BadKey::Failed)?;
        let length = u8::try_from(ours.len()).map_err(|_| BadKey::Failed)?;
        Ok([&salt[..], &RECORD_SIZE.to_be_bytes(), &[length], &ours, &sealed].concat())
    }
}

/// HKDF with SHA-256 (RFC 5869).
fn expand<const N: usize>(salt: &[u8], input: &[u8], info: &[u8]) -> Result<[u8; N], BadKey> {
    let mut out = [0; N];
    Hkdf::<Sha256>::new(Some(salt), input).expand(info, &mut out).map_err(|_| BadKey::Failed)?;
    Ok(out)
}

fn uncompressed(key: &PublicKey) -> Vec<u8> {
    key.to_encoded_point(false).as_bytes().to_vec()
}

/// base64url, with or without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// A key for one message. Nearly every random number is a valid key (all but one in 2^32).
fn random_key() -> Result<SecretKey, BadKey> {
    for _ in 0..4 {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| BadKey::Failed)?;
        if let Ok(key) = SecretKey::from_slice(&bytes) {
            return Ok(key);
        }
    }
    Err(BadKey::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256DH: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZ\
                          GH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    /// RFC 8291, section 5.
    #[test]
    fn the_standards_own_example_comes_out() {
        let keys = BrowserKeys::read(P256DH, AUTH).unwrap();
        let own = decode("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw").unwrap();
        let own = SecretKey::from_slice(&own).unwrap();
        let salt = decode("DGv6ra1nlYgDCS1FRnbzlw").unwrap().try_into().unwrap();
        let text = b"When I grow up, I want to be a watermelon";
        let sealed = keys.encrypt_with(text, &own, salt).unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(sealed),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLoc\
             InmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLV\
             WGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn no_two_pushes_share_a_key_and_none_is_too_long() {
        let keys = BrowserKeys::read(P256DH, AUTH).unwrap();
        let (one, two) = (keys.encrypt(b"x").unwrap(), keys.encrypt(b"x").unwrap());
        assert_ne!((&one[..16], &one[21..86]), (&two[..16], &two[21..86]));
        assert_eq!(keys.encrypt(&[b'x'; TEXT_MAX]).unwrap().len(), 4096);
        assert_eq!(keys.encrypt(&[b'x'; TEXT_MAX + 1]), Err(BadKey::Failed));
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        let bad = |p256dh: &str, auth: &str| BrowserKeys::read(p256dh, auth).unwrap_err();
        // A point that is not on the curve, a compressed one, garbage.
        let off_curve = URL_SAFE_NO_PAD.encode([&[4][..], &[7; 64]].concat());
        let compressed = URL_SAFE_NO_PAD.encode([&[2][..], &[7; 32]].concat());
        for key in [off_curve.as_str(), &compressed, "", "!", "AAAA"] {
            assert_eq!(bad(key, AUTH), BadKey::Browser, "{key}");
        }
        for auth in ["", "AAAA", "!", P256DH] {
            assert_eq!(bad(P256DH, auth), BadKey::Secret, "{auth}");
        }
        assert!(BrowserKeys::read(P256DH, &format!("{AUTH}==")).is_ok());
    }
}
