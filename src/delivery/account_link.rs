//! The token in a link that changes an account: created when its mail is rendered, stored nowhere.
//!
//! A token names a row of the store and is signed (HMAC-SHA256) with the secret that signs access
//! tokens. If that secret comes from the environment, neither the mail queue nor the database, its
//! log or a backup contains anything that opens an account; if it is stored in the database, a link
//! is as hard to forge as an access token. A token that the hub did not sign is refused without a
//! read of the store, so guessing costs the hub nothing. The store makes sure that a link works
//! only once.
//!
//! The token is in the URL's fragment: browsers do not send it, so it appears in no server's or
//! proxy's log and in no `Referer`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellpull_domain::account_link::{AccountLink, LinkPurpose};
use bellpull_domain::ids::{LinkId, UserId};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use bellpull_config::Secret;

/// Keeps these signatures apart from access tokens: what is signed there contains no colon.
const DOMAIN: &str = "bellpull account link";

/// The longest token that is parsed, in characters; real ones have about 90.
pub const TOKEN_MAX: usize = 200;

/// Creates and parses the tokens.
#[derive(Debug, Clone)]
pub struct AccountLinks {
    base: String,
    secret: Secret,
}

impl AccountLinks {
    /// Links to the hub at `base` (without a trailing slash), signed with its secret.
    #[must_use]
    pub fn new(base: String, secret: Secret) -> Self {
        Self { base, secret }
    }

    /// The URL of the page that a mail links to.
    #[must_use]
    pub fn url(&self, link: &AccountLink) -> String {
        format!("{}/account/{}/#{}", self.base, link.purpose.as_str(), self.token(link))
    }

    /// The token without its URL.
    #[must_use]
    pub fn token(&self, link: &AccountLink) -> String {
        let AccountLink { id, user, purpose, expires_at } = link;
        let said = URL_SAFE_NO_PAD.encode(format!("{id}:{user}:{}", expires_at.as_millisecond()));
        let signature = self.mac(*purpose, &said).finalize().into_bytes();
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The link that a token names; `None` for a token that this hub did not sign for that purpose.
    /// The link may have expired or been used.
    #[must_use]
    pub fn read(&self, purpose: LinkPurpose, token: &str) -> Option<AccountLink> {
        let (said, signature) = token.split_once('.').filter(|_| token.len() <= TOKEN_MAX)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.mac(purpose, said).verify_slice(&signature).ok()?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(said).ok()?).ok()?;
        let mut parts = text.split(':').map(str::parse::<i64>);
        let mut number = || parts.next()?.ok();
        let (id, user, expires_ms) = (LinkId(number()?), UserId(number()?), number()?);
        let expires_at = Timestamp::from_millisecond(expires_ms).ok()?;
        Some(AccountLink { id, user, purpose, expires_at })
    }

    fn mac(&self, purpose: LinkPurpose, said: &str) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.reveal().as_bytes())
            .expect("HMAC takes keys of every length");
        for part in [DOMAIN, ":", purpose.as_str(), ":", said] {
            mac.update(part.as_bytes());
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(secret: &str) -> AccountLinks {
        AccountLinks::new("https://desk.example".to_owned(), Secret::new(secret.to_owned()))
    }

    fn link(id: i64, purpose: LinkPurpose) -> AccountLink {
        let expires_at = Timestamp::from_millisecond(1_800_000_000_123).unwrap();
        AccountLink { id: LinkId(id), user: UserId(7), purpose, expires_at }
    }

    #[test]
    fn a_token_is_read_again_for_its_own_purpose_and_by_its_own_hub() {
        let made = link(3, LinkPurpose::Password);
        let url = links("s3cret").url(&made);
        let token = url.strip_prefix("https://desk.example/account/password/#").unwrap();
        let read = |secret: &str, purpose, token: &str| links(secret).read(purpose, token);
        assert_eq!(read("s3cret", LinkPurpose::Password, token), Some(made));
        assert_eq!(read("s3cret", LinkPurpose::Email, token), None);
        assert_eq!(read("another", LinkPurpose::Password, token), None);
        let other = links("s3cret").token(&link(4, LinkPurpose::Password));
        let (said, signature) = token.split_once('.').unwrap();
        let (other_said, _) = other.split_once('.').unwrap();
        for bad in [
            format!("{other_said}.{signature}"),
            format!("{said}."),
            format!("{said}.{}", &signature[..20]),
            said.to_owned(),
            String::new(),
            format!("{token}{}", "A".repeat(TOKEN_MAX)),
        ] {
            assert_eq!(read("s3cret", LinkPurpose::Password, &bad), None, "{bad}");
        }
        assert!(token.len() < TOKEN_MAX / 2 && other.len() < TOKEN_MAX / 2);
    }
}
