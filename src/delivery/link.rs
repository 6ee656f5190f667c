//! Links in external messages: to the notification's target, and to unsubscribe.
//!
//! Links need the hub's external address (`http.public_url`). Without it a text has no links, and
//! an e-mail no `List-Unsubscribe`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellpull_domain::ids::UserId;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::account_link::AccountLinks;
use bellpull_config::Secret;

/// Signed with every unsubscribe link, so that no other signature of the same secret fits.
const PURPOSE: &str = "unsubscribe-email";

/// How many bytes of the signature are in a link: 128 bits.
const SIGNATURE_LEN: usize = 16;

/// Creates and checks links.
#[derive(Debug, Clone)]
pub struct Links {
    public_url: Option<String>,
    secret: Secret,
    accounts: Option<AccountLinks>,
}

/// What an unsubscribe link ends: one user's e-mails about one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The user.
    pub user: UserId,
    /// The event.
    pub event: String,
}

impl Links {
    /// Links to the hub at `public_url` (without a trailing slash), signed with its secret.
    #[must_use]
    pub fn new(public_url: Option<String>, secret: Secret) -> Self {
        Self { public_url, secret, accounts: None }
    }

    /// Adds links that change accounts.
    #[must_use]
    pub fn with_accounts(self, accounts: AccountLinks) -> Self {
        Self { accounts: Some(accounts), ..self }
    }

    /// Links that change accounts; `None` where another issuer manages accounts.
    #[must_use]
    pub fn accounts(&self) -> Option<&AccountLinks> {
        self.accounts.as_ref()
    }

    /// The target of a click on a notification: its own absolute URL, or a path on the public one.
    #[must_use]
    pub fn action(&self, action_url: &str) -> Option<String> {
        if action_url.starts_with("https://") || action_url.starts_with("http://") {
            return Some(action_url.to_owned());
        }
        let base = self.public_url.as_ref()?;
        // `//evil.example` would be another host.
        let is_path = action_url.starts_with('/') && !action_url.starts_with("//");
        is_path.then(|| format!("{base}{action_url}"))
    }

    /// The URL for a provider's status reports.
    #[must_use]
    pub fn hook(&self, provider: &str) -> Option<String> {
        self.public_url.as_ref().map(|base| format!("{base}/hooks/{provider}/"))
    }

    /// The link that ends an event's e-mails to a user with one request, without a login.
    #[must_use]
    pub fn unsubscribe(&self, unsubscribe: &Unsubscribe) -> Option<String> {
        let base = self.public_url.as_ref()?;
        Some(format!("{base}/unsubscribe/{}/", self.token(unsubscribe)))
    }

    /// Where users choose what they are sent, after a login.
    #[must_use]
    pub fn preferences(&self) -> Option<String> {
        self.public_url.as_ref().map(|base| format!("{base}/console/preferences"))
    }

    fn token(&self, Unsubscribe { user, event }: &Unsubscribe) -> String {
        let said = URL_SAFE_NO_PAD.encode(format!("{user}:{event}"));
        let signature = self.mac(&said).finalize().into_bytes();
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(&signature[..SIGNATURE_LEN]))
    }

    /// The content of such a link's token; `None` for a token that this hub did not sign.
    #[must_use]
    pub fn read_unsubscribe(&self, token: &str) -> Option<Unsubscribe> {
        let (said, signature) = token.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if signature.len() != SIGNATURE_LEN {
            return None;
        }
        self.mac(said).verify_truncated_left(&signature).ok()?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(said).ok()?).ok()?;
        let (user, event) = text.split_once(':')?;
        Some(Unsubscribe { user: UserId(user.parse().ok()?), event: event.to_owned() })
    }

    fn mac(&self, said: &str) -> Hmac<Sha256> {
        // HMAC accepts keys of any length.
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.reveal().as_bytes())
            .expect("HMAC takes keys of every length");
        mac.update(PURPOSE.as_bytes());
        mac.update(b":");
        mac.update(said.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        Links::new(Some("https://desk.example".to_owned()), Secret::new("s3cret".to_owned()))
    }

    #[test]
    fn an_unsubscribe_link_is_read_again_and_no_other_is() {
        let wanted = Unsubscribe { user: UserId(7), event: "ticket_created".to_owned() };
        let link = links().unsubscribe(&wanted).unwrap();
        let token = link.strip_prefix("https://desk.example/unsubscribe/").unwrap();
        let token = token.strip_suffix('/').unwrap();
        assert_eq!(links().read_unsubscribe(token), Some(wanted));

        let other = Links::new(None, Secret::new("another".to_owned()));
        assert_eq!(other.read_unsubscribe(token), None);
        let (said, signature) = token.split_once('.').unwrap();
        let forged = URL_SAFE_NO_PAD.encode("8:ticket_created");
        for bad in [
            format!("{forged}.{signature}"),
            format!("{said}."),
            format!("{said}.{}", &signature[..8]),
            said.to_owned(),
            String::new(),
            "a.b.c".to_owned(),
        ] {
            assert_eq!(links().read_unsubscribe(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_click_leads_to_the_hub_or_where_its_sender_said() {
        let lead = |url: &str| links().action(url);
        assert_eq!(lead("/tickets/5/").as_deref(), Some("https://desk.example/tickets/5/"));
        assert_eq!(lead("https://a.example/x").as_deref(), Some("https://a.example/x"));
        for nowhere in ["", "//evil.example/", "javascript:alert(1)", "tickets"] {
            assert_eq!(lead(nowhere), None, "{nowhere}");
        }
        let unknown = Links::new(None, Secret::new("s3cret".to_owned()));
        assert_eq!(unknown.action("/tickets/5/"), None);
    }
}
