//! Twilio's status reports, which it posts to the hub.
//!
//! Each message names the URL for its reports, if the hub has an external address
//! (`http.public_url`). That URL is not secret, so a report counts only with the signature of the
//! account's token over the URL and every field.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bellpull_domain::delivery::{ProviderReport, ProviderStatus};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha1::Sha1;

use super::link::Links;
use super::said;
use bellpull_config::Secret;
use bellpull_config::delivery::SmsConfig;

/// The header with the signature, in lower case.
pub const SIGNATURE_HEADER: &str = "x-twilio-signature";

/// The provider's segment in the URL for reports.
pub const HOOK: &str = "sms";

/// A form's fields, decoded.
pub type Form = Vec<(String, String)>;

/// What authenticates a caller.
#[derive(Debug, Clone, Default)]
pub struct SmsReports {
    /// The account's token and the URL that Twilio was given.
    known: Option<(Secret, String)>,
}

impl SmsReports {
    /// From the settings; no caller is trusted while SMS is off or no URL was given.
    #[must_use]
    pub fn new(config: Option<&SmsConfig>, links: &Links) -> Self {
        let token = config.map(|config| config.token.clone());
        Self { known: token.zip(links.hook(HOOK)) }
    }

    /// Whether a form is signed with the account's token.
    #[must_use]
    pub fn is_signed(&self, form: &Form, signature: &str) -> bool {
        let Some((token, address)) = &self.known else { return false };
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        let mut fields: Vec<&(String, String)> = form.iter().collect();
        fields.sort();
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha1>::new_from_slice(token.reveal().as_bytes())
            .expect("HMAC takes keys of every length");
        mac.update(address.as_bytes());
        for (name, value) in fields {
            mac.update(name.as_bytes());
            mac.update(value.as_bytes());
        }
        mac.verify_slice(&signature).is_ok()
    }
}

/// The fields of a body.
#[must_use]
pub fn form(body: &[u8]) -> Form {
    form_urlencoded::parse(body).into_owned().collect()
}

/// The report in a form; `None` while a message is still on its way to the network.
#[must_use]
pub fn read(form: &Form, now: Timestamp) -> Option<ProviderReport> {
    let field = |wanted: &str| {
        let found = form.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let said_so = field("MessageStatus")?;
    let status = match said_so {
        "undelivered" | "canceled" => ProviderStatus::Failed,
        name => ProviderStatus::from_name(name)?,
    };
    let is_failed = status == ProviderStatus::Failed;
    let error = is_failed.then(|| {
        let code = field("ErrorCode").unwrap_or_default();
        said(format!("{code} {}", field("ErrorMessage").unwrap_or(said_so)).trim())
    });
    Some(ProviderReport { provider_id: field("MessageSid")?.to_owned(), status, error, at: now })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports(token: &str, address: &str) -> SmsReports {
        SmsReports { known: Some((Secret::new(token.to_owned()), address.to_owned())) }
    }

    #[test]
    fn only_the_accounts_signature_over_the_address_and_all_fields_counts() {
        // The example of Twilio's documentation.
        let body = b"To=%2B18005551212&From=%2B14158675309&Digits=1234\
                     &CallSid=CA1234567890ABCDE&Caller=%2B14158675309";
        let (form, good) = (form(body), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        let address = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert!(reports("12345", address).is_signed(&form, good));
        assert!(!reports("12346", address).is_signed(&form, good));
        assert!(!reports("12345", "https://mycompany.com/").is_signed(&form, good));
        assert!(!SmsReports::default().is_signed(&form, good));
        let mut more = form.clone();
        more.push(("Z".to_owned(), String::new()));
        assert!(!reports("12345", address).is_signed(&more, good));
        for bad in ["", "?", &good[..20], "AAAA"] {
            assert!(!reports("12345", address).is_signed(&form, bad), "{bad}");
        }
    }

    #[test]
    fn a_report_says_how_far_a_message_has_come() {
        let now = Timestamp::UNIX_EPOCH;
        let read = |text: &str| super::read(&form(text.as_bytes()), now);
        let status = |text: &str| read(text).map(|report| report.status);
        assert_eq!(status("MessageSid=SM1&MessageStatus=sent"), Some(ProviderStatus::Sent));
        assert_eq!(
            status("MessageSid=SM1&MessageStatus=delivered"),
            Some(ProviderStatus::Delivered)
        );
        let failed = read("MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003").unwrap();
        assert_eq!(
            (failed.status, failed.error.as_deref()),
            (ProviderStatus::Failed, Some("30003 undelivered"))
        );
        for nothing in ["MessageSid=SM1&MessageStatus=queued", "MessageStatus=sent", "", "%%%"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
